/**
 * What scheduler and kubelets do, for the local backend's two nodes: pods of the API server become pods of the lab.
 *
 * In: the API server, the lab's nodes. Out: running pods and their status at the API server.
 * It lists all pods again and again: there are some dozen, and so nothing has to be caught up with when the API server was
 * away. Then pods go on as they are, as with a kubelet.
 * What is left out, because nothing here needs it: resources, taints, images that are pulled, volumes but two kinds, Leases.
 * @module
 */
import { join } from "@std/path/join";
import { delay } from "@std/async/delay";
import type { VantagePoint } from "../../../commands/testing/vantage_point.ts";
import { podAddresses } from "../../lab/cluster_addresses.ts";
import type { Cluster, ClusterNode } from "../../lab/mod.ts";
import { ApiError, type KubeApi } from "../kube_api.ts";
import type { LocalImage } from "./images.ts";
import { LocalPod } from "./pod.ts";
import { nodesFor, type Pod, type PodPlace } from "./pod_spec.ts";
import { podStatus } from "./pod_status.ts";

const PERIOD_MS = 100;

/** Pods' addresses end with these. */
const HOSTS = { first: 10, last: 250 };

/** What they need. */
export interface KubeletsOptions {
  readonly api: KubeApi;
  readonly cluster: Cluster;
  /** By node. */
  readonly vantagePoints: ReadonlyMap<string, VantagePoint>;
  readonly images: ReadonlyMap<string, LocalImage>;
  /** PEM, of the API server. */
  readonly ca: string;
  /** What a kubelet sets in every container. */
  readonly env: Readonly<Record<string, string>>;
  /** Existing; for volumes, accounts and logs. */
  readonly dir: string;
}

/** A pod, and what was last said of it. */
interface Known {
  readonly pod: LocalPod;
  said: string;
  /** By condition: its status, and since when. */
  readonly since: Map<string, { readonly status: string; readonly at: string }>;
}

/** See the module's comment. */
export class Kubelets implements AsyncDisposable {
  readonly #options: KubeletsOptions;
  readonly #known = new Map<string, Known>();
  readonly #making = new Set<string>();
  readonly #end = new AbortController();
  readonly #running: Promise<void>;
  readonly #hosts = new Map<string, Set<number>>();
  /** What went wrong outside of any pod; the API server's absence is none. */
  readonly #faults: unknown[] = [];
  #turn = 0;

  constructor(options: KubeletsOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** A pod by its name. @throws {Error} when it does not run here */
  pod(namespace: string, name: string): LocalPod {
    for (const { pod } of this.#known.values()) {
      const { metadata } = pod.pod;
      if (metadata.namespace === namespace && metadata.name === name && !pod.isEnding) return pod;
    }
    throw new Error(`no pod ${namespace}/${name} runs here`);
  }

  /** Ends all pods at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#running;
    await Promise.all([...this.#known.values()].map(({ pod }) => pod.end(0)));
    if (this.#faults.length > 0) {
      throw new AggregateError(this.#faults, `kubelet: ${this.#faults.join("; ")}`);
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#end;
    while (!signal.aborted) {
      await this.#tolerate(async () => this.#sync(await this.#options.api.list<Pod>("/api/v1/pods")));
      await delay(PERIOD_MS, { signal }).catch(() => {});
    }
  }

  async #sync(pods: readonly Pod[]): Promise<void> {
    const seen = new Set(pods.map(({ metadata }) => metadata.uid));
    for (const [uid, { pod }] of this.#known) {
      if (!seen.has(uid)) this.#forget(uid, pod);
    }
    await Promise.all(pods.map((pod) => this.#tolerate(() => this.#syncOne(pod))));
  }

  async #syncOne(pod: Pod): Promise<void> {
    const known = this.#known.get(pod.metadata.uid);
    if (pod.metadata.deletionTimestamp !== undefined) await this.#delete(pod, known);
    else if (pod.spec.nodeName === undefined) await this.#schedule(pod);
    else if (known === undefined) await this.#start(pod, pod.spec.nodeName);
    if (known !== undefined) await this.#report(known);
  }

  /** The API server is not there, or not ready, or others have changed the pod: the next look finds out. */
  async #tolerate(attempt: () => Promise<void>): Promise<void> {
    try {
      await attempt();
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof TypeError || isTimeout(error))) {
        this.#faults.push(error);
      }
    }
  }

  async #schedule(pod: Pod): Promise<void> {
    const { metadata: { name, namespace } } = pod;
    const nodes = this.#options.cluster.nodes.map((node) => ({
      name: node.name,
      labels: { "kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux" },
    }));
    const fitting = nodesFor(pod, nodes);
    const target = fitting[this.#turn++ % fitting.length];
    if (target === undefined) return;
    await this.#options.api.create(`/api/v1/namespaces/${namespace}/pods/${name}/binding`, {
      metadata: { name },
      target: { kind: "Node", name: target },
    });
  }

  async #start(pod: Pod, nodeName: string): Promise<void> {
    const { uid, namespace } = pod.metadata;
    const node = this.#options.cluster.nodes.find((one) => one.name === nodeName);
    if (node === undefined || this.#making.has(uid)) return;
    this.#making.add(uid);
    try {
      const [configMaps, account] = await Promise.all([this.#configMaps(pod), this.#account(pod)]);
      const { place, namespace: network } = await this.#network(pod, node);
      const folder = (kind: string, own: string): string => {
        const path = join(this.#options.dir, kind, own);
        Deno.mkdirSync(path, { recursive: true });
        return path;
      };
      this.#known.set(uid, {
        pod: new LocalPod({
          pod,
          place,
          namespace: network,
          node: this.#options.vantagePoints.get(nodeName)!,
          images: this.#options.images,
          configMaps,
          account,
          env: this.#options.env,
          folders: {
            volumes: folder("volumes", uid),
            host: folder("hosts", nodeName),
            logs: folder("logs", join(nodeName, namespace)),
          },
        }),
        said: "",
        since: new Map(),
      });
    } finally {
      this.#making.delete(uid);
    }
  }

  /** Its own network, or its node's. */
  async #network(
    { spec: { hostNetwork } }: Pod,
    node: ClusterNode,
  ): Promise<{ readonly place: PodPlace; readonly namespace: ClusterNode["namespace"] }> {
    const hostIPs = node.addresses.primary;
    const nodeName = node.name;
    if (hostNetwork === true) {
      return { place: { nodeName, hostIPs, podIPs: hostIPs }, namespace: node.namespace };
    }
    const used = this.#hosts.getOrInsertComputed(nodeName, () => new Set());
    let host = HOSTS.first;
    while (used.has(host)) host++;
    if (host > HOSTS.last) throw new Error(`${nodeName} has no address left`);
    used.add(host);
    const { namespace } = await this.#options.cluster.addPod(node, { name: `${nodeName}-${host}`, host });
    return { place: { nodeName, hostIPs, podIPs: podAddresses(node.name, host) }, namespace };
  }

  async #configMaps(
    { metadata: { namespace }, spec }: Pod,
  ): Promise<ReadonlyMap<string, Record<string, string>>> {
    const containers = [...spec.initContainers ?? [], ...spec.containers];
    const names = containers.flatMap(({ envFrom = [] }) =>
      envFrom.map(({ configMapRef }) => configMapRef?.name)
    );
    const maps = new Map<string, Record<string, string>>();
    for (const name of new Set(names)) {
      const path = `/api/v1/namespaces/${namespace}/configmaps/${name}`;
      maps.set(name ?? "", (await this.#options.api.get<{ data: Record<string, string> }>(path)).data);
    }
    return maps;
  }

  /** The files of its service account, with a token of its own. */
  async #account(
    { metadata: { uid, namespace }, spec: { serviceAccountName } }: Pod,
  ): Promise<string | undefined> {
    if (serviceAccountName === undefined) return undefined;
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccountName}/token`;
    const { status } = await this.#options.api.create<{ status: { token: string } }>(path, { spec: {} });
    const folder = join(this.#options.dir, "accounts", uid);
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(join(folder, "token"), status.token);
    await Deno.writeTextFile(join(folder, "ca.crt"), this.#options.ca);
    await Deno.writeTextFile(join(folder, "namespace"), namespace);
    return folder;
  }

  async #delete({ metadata: { uid, namespace, name } }: Pod, known: Known | undefined): Promise<void> {
    const remove = async (): Promise<void> => {
      await this.#options.api.remove(`/api/v1/namespaces/${namespace}/pods/${name}`, {
        gracePeriodSeconds: 0,
      });
    };
    if (known === undefined) return await remove();
    if (known.pod.isEnding) return;
    // Not waited for: other pods go on meanwhile. What the API server does not take now it is told at a later look.
    known.pod.end().then(async () => {
      while (this.#known.has(uid)) {
        await remove().catch(() => {});
        await delay(PERIOD_MS);
      }
    }).catch((error) => this.#faults.push(error));
  }

  /** It is not at the API server any more. */
  #forget(uid: string, pod: LocalPod): void {
    this.#known.delete(uid);
    pod.end().then(() => {
      if (pod.pod.spec.hostNetwork === true) return;
      const host = Number(pod.place.podIPs.ipv4.split(".").at(-1));
      this.#hosts.get(pod.place.nodeName)?.delete(host);
    }).catch((error) => this.#faults.push(error));
  }

  /** Says what has changed, with the time at which a condition became what it is. */
  async #report(known: Known): Promise<void> {
    const status = podStatus(known.pod);
    const text = JSON.stringify(status);
    if (text === known.said) return;
    const now = new Date().toISOString().replace(/\.\d+/, "");
    const conditions = status.conditions.map(({ type, status }) => {
      const before = known.since.get(type);
      const since = before?.status === status ? before : { status, at: now };
      known.since.set(type, since);
      return { type, status, lastTransitionTime: since.at };
    });
    const { namespace, name } = known.pod.pod.metadata;
    await this.#options.api.patch(`/api/v1/namespaces/${namespace}/pods/${name}/status`, {
      status: { ...status, conditions },
    });
    known.said = text;
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}

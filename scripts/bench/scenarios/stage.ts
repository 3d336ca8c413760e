/**
 * Where a scenario is played: two nodes, its replicas, a client for each load, and a real API server that tells both proxies of them.
 *
 * In: a scenario's manifests. Out: what runs and measures it needs; disposing it ends and removes everything.
 * Invariants: the same pods and objects for both sides; between two of them all processes of replicas are new. No packet leaves the
 * namespaces.
 * @module
 */
import { join } from "@std/path/join";
import { delay } from "@std/async/delay";
import { ApiWriter } from "../../lab/api_writer.ts";
import { type ControlPlane, startControlPlane } from "../../lab/control_plane.ts";
import { Cluster, type Namespace } from "../../lab/mod.ts";
import { Relay } from "../../lab/relay.ts";
import type { ApiAccess } from "../../lab/service_account.ts";
import { temporaryFolder } from "../../lab/temporary_folder.ts";
import { nodeWrite } from "../../parity/api_objects.ts";
import { SERVICE_CIDRS } from "../../parity/addresses.ts";
import type { Side } from "./catalog.ts";
import type { Play, PlayedLoad } from "./manifests.ts";
import { type ProxyPrograms, type RunningProxy, startProxy } from "./proxies.ts";
import { MockGraph } from "./mock_graph.ts";
import { ScenarioReplicas } from "./replicas.ts";

/** Paths of all programs. */
export interface ScenarioPrograms extends ProxyPrograms {
  readonly etcd: string;
  readonly kubeApiserver: string;
  readonly fortio: string;
  readonly kustomize: string;
  readonly mockGraph: string;
}

/** The host part of the clients' addresses, the first of them. */
const FIRST_CLIENT = 2;

/** How long a proxy may take until it serves everything. */
const PATIENCE_MS = 60_000;

/** See the module's comment. */
export class ScenarioStage implements AsyncDisposable {
  readonly replicas: ScenarioReplicas;
  readonly #play: Play;
  readonly #cluster: Cluster;
  readonly #programs: ScenarioPrograms;
  readonly #access: ApiAccess;
  readonly #dir: string;
  /** Where loads come from, on the first node; and a pod of the other node. */
  readonly #client: Namespace;
  readonly #observer: Namespace;
  readonly #made: AsyncDisposableStack;

  private constructor(parts: {
    readonly replicas: ScenarioReplicas;
    readonly play: Play;
    readonly cluster: Cluster;
    readonly programs: ScenarioPrograms;
    readonly access: ApiAccess;
    readonly dir: string;
    readonly client: Namespace;
    readonly observer: Namespace;
    readonly made: AsyncDisposableStack;
  }) {
    this.replicas = parts.replicas;
    this.#play = parts.play;
    this.#cluster = parts.cluster;
    this.#programs = parts.programs;
    this.#access = parts.access;
    this.#dir = parts.dir;
    this.#client = parts.client;
    this.#observer = parts.observer;
    this.#made = parts.made;
  }

  /** Builds it; neither proxies nor replicas run. @throws {Error} when a part does not start, or the API server refuses an object */
  static async create(play: Play, programs: ScenarioPrograms): Promise<ScenarioStage> {
    await using made = new AsyncDisposableStack();
    const dir = await temporaryFolder(made, "lightpath-bench-");
    const planeDir = join(dir, "control-plane");
    await Deno.mkdir(planeDir);
    const plane = made.use(
      await startControlPlane({
        etcd: programs.etcd,
        kubeApiserver: programs.kubeApiserver,
        dir: planeDir,
        signal: AbortSignal.timeout(120_000),
      }),
    );
    const access: ApiAccess = {
      host: "127.0.0.1",
      port: plane.apiserverPort,
      token: plane.token("admin"),
      ca: await Deno.readTextFile(plane.caFile),
    };
    const cluster = made.use(await Cluster.create({ prefixes: [SERVICE_CIDRS.IPv4], nft: programs.nft }));
    const [nodeA, nodeB] = cluster.nodes;
    const client = (await cluster.addPod(nodeA, { name: "client", host: FIRST_CLIENT })).namespace;
    const observer = (await cluster.addPod(nodeB, { name: "observer", host: FIRST_CLIENT })).namespace;
    const relay = made.use(Relay.create({ port: plane.apiserverPort, dir }));
    for (const { namespace } of cluster.nodes) await relay.enter(namespace);
    const writer = made.use(new ApiWriter(access));
    await writer.all(cluster.nodes.map(({ name }) => [nodeWrite(name)]));
    const hosts = await createServices(plane, play);
    for (const [namespace, addresses] of hosts) await writeHosts(hostsFile(dir, namespace), addresses);
    const mockGraph = made.use(await MockGraph.start(cluster.outside, { program: programs.mockGraph, dir }));
    const replicas = await ScenarioReplicas.create({
      ...{ cluster, play, hosts, mockGraph },
      write: (write) => writer.all([[write]]),
    });
    return new ScenarioStage({
      ...{ replicas, play, cluster, programs, access, dir, client, observer },
      made: made.move(),
    });
  }

  /** Starts proxies and replicas, and waits until every Service answers on both nodes. */
  async start(
    sides: readonly Side[],
  ): Promise<{ readonly proxies: readonly RunningProxy[]; stop(): Promise<void> }> {
    await this.replicas.start();
    const proxies: RunningProxy[] = [];
    for (const side of sides) {
      const options = {
        nodes: this.#cluster.nodes,
        access: this.#access,
        dir: this.#dir,
        programs: this.#programs,
      };
      proxies.push(await startProxy(side, { ...options, isParallel: sides.length > 1 }));
    }
    await this.#answers(proxies);
    return {
      proxies,
      stop: async () => {
        await this.replicas.stop();
        for (const proxy of proxies) await proxy.stop();
      },
    };
  }

  /** Runs a load. @returns fortio's result */
  async load({ namespace }: PlayedLoad, args: readonly string[]): Promise<string> {
    const hosts = hostsFile(this.#dir, namespace);
    return await this.#client.run(withHosts(hosts, [this.#programs.fortio, ...args]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#made.disposeAsync();
  }

  async #answers(proxies: readonly RunningProxy[]): Promise<void> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    for (const { namespace, name, port: { port } } of this.#play.services) {
      const hosts = hostsFile(this.#dir, namespace);
      const ask = [this.#programs.fortio, "curl", "-quiet", "-timeout=2s", `http://${name}:${port}/healthz`];
      for (const from of [this.#client, this.#observer]) {
        for (;;) {
          const { code, stderr } = await from.exec(withHosts(hosts, ask));
          if (code === 0) break;
          if (performance.now() > deadlineMs) {
            const words = proxies.map((proxy) => proxy.recentOutput()).join("\n");
            throw new Error(`${namespace}/${name} does not answer from ${from.name}: ${stderr}\n${words}`);
          }
          await delay(200);
        }
      }
    }
  }
}

/** Creates namespaces and Services. @returns of each namespace its Services' addresses by name */
async function createServices(
  plane: ControlPlane,
  { namespaces, services }: Play,
): Promise<Map<string, Record<string, string>>> {
  const hosts = new Map<string, Record<string, string>>();
  for (const name of namespaces) {
    const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name } };
    await plane.call("POST", "/api/v1/namespaces", namespace);
    hosts.set(name, {});
  }
  for (const { namespace, name, object } of services) {
    const created = await plane.call("POST", `/api/v1/namespaces/${namespace}/services`, object) as {
      readonly spec: { readonly clusterIP: string };
    };
    hosts.get(namespace)![name] = created.spec.clusterIP;
  }
  return hosts;
}

function hostsFile(dir: string, namespace: string): string {
  return join(dir, `hosts-${namespace}`);
}

async function writeHosts(path: string, addresses: Readonly<Record<string, string>>): Promise<void> {
  const lines = Object.entries(addresses).map(([name, address]) => `${address} ${name}\n`);
  await Deno.writeTextFile(path, ["127.0.0.1 localhost\n", ...lines].join(""));
}

/** Runs a command so that it finds these hosts. */
function withHosts(hosts: string, command: readonly string[]): string[] {
  return ["unshare", "-m", "sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, hosts, ...command];
}

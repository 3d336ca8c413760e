/**
 * A pod of the local backend: its network, its volumes and its containers, in the order in which a kubelet starts and ends them.
 *
 * In: the Pod, a network namespace for it, what its image stands for. Out: what its status says.
 * Invariants: init containers one after the other, those with `restartPolicy: Always` stay; at the end the others first, then
 * these in reverse; nothing of it is left when `end` returns.
 * Source: Kubernetes "Pod Lifecycle", "Sidecar Containers".
 * @module
 */
import { join } from "@std/path/join";
import { delay } from "@std/async/delay";
import type { VantagePoint } from "../../../commands/testing/vantage_point.ts";
import type { LabProcess, Namespace } from "../../lab/mod.ts";
import { LocalContainer } from "./container.ts";
import { containerCommand, type ContainerMount } from "./container_root.ts";
import { findImage, type LocalImage } from "./images.ts";
import { containerEnv, type ContainerSpec, expand, type Pod, type PodPlace, portNumber } from "./pod_spec.ts";

/** A service account's files, as they are mounted. */
const ACCOUNT_FOLDER = "/run/secrets/kubernetes.io/serviceaccount";

/** A kubelet's default. */
const GRACE_SECONDS = 30;

/** What a pod is started with. */
export interface LocalPodOptions {
  readonly pod: Pod;
  readonly place: PodPlace;
  /** The node's own where `hostNetwork` is set. */
  readonly namespace: Namespace;
  /** Probes are made from the node. */
  readonly node: VantagePoint;
  readonly images: ReadonlyMap<string, LocalImage>;
  /** `data` by name, of the pod's namespace. */
  readonly configMaps: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** An existing folder with the service account's files; undefined: it has none. */
  readonly account: string | undefined;
  /** What a kubelet sets in every container. */
  readonly env: Readonly<Record<string, string>>;
  /** Empty folders: for its volumes; that stands for the node's file system; for logs. */
  readonly folders: { readonly volumes: string; readonly host: string; readonly logs: string };
}

/** See the module's comment. */
export class LocalPod {
  readonly pod: Pod;
  readonly place: PodPlace;
  readonly namespace: Namespace;
  readonly startTime: string = new Date().toISOString();
  /** Why it cannot be started, if so. */
  problem: string | undefined;
  readonly #options: LocalPodOptions;
  readonly #containers = new Map<string, LocalContainer>();
  readonly #starting: Promise<void>;
  readonly #ending = new AbortController();
  #isInitialized = false;
  #ended: Promise<void> | undefined;

  constructor(options: LocalPodOptions) {
    this.#options = options;
    this.pod = options.pod;
    this.place = options.place;
    this.namespace = options.namespace;
    this.#starting = this.#start().catch((error) => {
      this.problem = error instanceof Error ? error.message : String(error);
    });
  }

  /** Whether all of its init containers have done their work. */
  get isInitialized(): boolean {
    return this.#isInitialized;
  }

  /** The state of a container; undefined: it was not started yet. */
  container(name: string): LocalContainer | undefined {
    return this.#containers.get(name);
  }

  get isEnding(): boolean {
    return this.#ended !== undefined;
  }

  /** Ends it, with its grace or another; the same promise each time. */
  end(graceSeconds?: number): Promise<void> {
    return this.#ended ??= this.#end(graceSeconds ?? this.#graceSeconds());
  }

  #graceSeconds(): number {
    const { spec: { terminationGracePeriodSeconds }, metadata: { deletionGracePeriodSeconds } } = this.pod;
    return deletionGracePeriodSeconds ?? terminationGracePeriodSeconds ?? GRACE_SECONDS;
  }

  /** Where a container's log is. */
  logFile(container: string): string {
    return join(this.#options.folders.logs, `${this.pod.metadata.name}.${container}.log`);
  }

  async #start(): Promise<void> {
    const { initContainers = [], containers } = this.pod.spec;
    for (const spec of initContainers) {
      if (spec.restartPolicy === "Always") {
        await this.#keep(spec);
      } else {
        await this.#complete(spec);
      }
      if (this.#ending.signal.aborted) return;
    }
    this.#isInitialized = true;
    for (const spec of containers) this.#add(spec);
  }

  /** A sidecar: the next one waits until it has started. */
  async #keep(spec: ContainerSpec): Promise<void> {
    const container = this.#add(spec);
    while (!container.hasStarted && !this.#ending.signal.aborted) await delay(20);
  }

  /** Until it succeeds. */
  async #complete(spec: ContainerSpec): Promise<void> {
    while (!this.#ending.signal.aborted) {
      const process = this.#spawn(spec);
      const end = (): void => void process.kill("SIGKILL");
      this.#ending.signal.addEventListener("abort", end);
      const { success } = await process.status;
      this.#ending.signal.removeEventListener("abort", end);
      if (success) return;
      await delay(1_000);
    }
  }

  #add(spec: ContainerSpec): LocalContainer {
    const container = new LocalContainer({
      spec,
      start: () => this.#spawn(spec),
      probe: async ({ httpGet: { host = this.place.podIPs.ipv4, port, path = "/" } }) => {
        const target = `${host}:${portNumber(port, spec)}`;
        const { outcome, status } = await this.#options.node.http(target, { path, timeoutMs: 1_000 });
        return outcome === "answered" && status >= 200 && status < 400;
      },
      say: (line) => this.#write(spec.name, line),
    });
    this.#containers.set(spec.name, container);
    return container;
  }

  #spawn(spec: ContainerSpec): LabProcess {
    const { images, configMaps, env: base } = this.#options;
    const image = findImage(images, spec.image);
    const env = containerEnv(this.pod, spec, {
      place: this.place,
      configMaps,
      base: { ...image.env, HOSTNAME: this.pod.metadata.name, ...base },
    });
    const command = [...spec.command ?? image.entrypoint, ...spec.args ?? []].map((word) =>
      expand(word, env)
    );
    const securityContext = { ...this.pod.spec.securityContext, ...spec.securityContext };
    const mounts = [...image.mounts, ...this.#volumeMounts(spec)];
    return this.namespace.spawn(containerCommand({ command, env, mounts, securityContext }), {
      onLine: (line) => this.#write(spec.name, line),
    });
  }

  #volumeMounts({ volumeMounts = [] }: ContainerSpec): ContainerMount[] {
    const { account, folders } = this.#options;
    const mounts = volumeMounts.map(({ name, mountPath }) => {
      const volume = this.pod.spec.volumes?.find((one) => one.name === name);
      if (volume?.hostPath !== undefined) {
        const { path } = volume.hostPath;
        // Kernel settings are the node's by its network namespace, files by a folder of its own.
        if (path.startsWith("/proc/")) return { from: path, to: mountPath };
        return { from: folderFor(join(folders.host, path)), to: mountPath };
      }
      if (volume?.emptyDir === undefined) {
        throw new TypeError(`the volume ${name} is of no kind that is known here`);
      }
      return { from: folderFor(join(folders.volumes, name)), to: mountPath };
    });
    return account === undefined ? mounts : [...mounts, { from: account, to: ACCOUNT_FOLDER }];
  }

  #write(container: string, line: string): void {
    Deno.writeTextFileSync(this.logFile(container), `${line}\n`, { append: true });
  }

  async #end(graceSeconds: number): Promise<void> {
    this.#ending.abort();
    await this.#starting;
    const { containers, initContainers = [] } = this.pod.spec;
    const deadlineMs = performance.now() + graceSeconds * 1_000;
    const stop = async ({ name, lifecycle }: ContainerSpec): Promise<void> => {
      const container = this.#containers.get(name);
      if (container === undefined) return;
      const leftMs = (): number => Math.max(0, deadlineMs - performance.now());
      const sleepSeconds = lifecycle?.preStop?.sleep?.seconds ?? 0;
      if (container.isRunning) await delay(Math.min(sleepSeconds * 1_000, leftMs()));
      await container.stop(leftMs());
    };
    await Promise.all(containers.map(stop));
    for (const sidecar of initContainers.toReversed()) await stop(sidecar);
    if (this.pod.spec.hostNetwork !== true) await this.namespace[Symbol.asyncDispose]();
  }
}

function folderFor(path: string): string {
  Deno.mkdirSync(path, { recursive: true });
  return path;
}

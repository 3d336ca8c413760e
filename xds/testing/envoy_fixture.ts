/**
 * A real Envoy fed by the real ADS server from a real model, on loopback; for tests.
 *
 * The constant listeners are reached without a redirect: they listen on all addresses, so a connection to
 * 127.0.0.7:<http port> has that very destination, and a Service whose VIP is 127.0.0.7 answers it.
 * @module
 */
import { delay } from "@std/async/delay";
import { join } from "@std/path/join";
import type { KubeObject, ObjectEvent, Service } from "../../agent/kube/objects.ts";
import { getFromSocket } from "../../agent/get_from_socket.ts";
import { silentLogger } from "../../agent/log.ts";
import { IP_FAMILIES, ServiceModel } from "../../agent/model/mod.ts";
import { portSpec, service } from "../../agent/model/testing/objects.ts";
import { ensureTool } from "../../scripts/tools/mod.ts";
import { bootstrap } from "../bootstrap.ts";
import type { XdsMode } from "../listeners.ts";
import { readLines } from "../read_lines.ts";
import type { EncodedResource, Interest, ResourceSource } from "../resource_source.ts";
import { ResourceStore } from "../resource_store.ts";
import { type AdsServer, createAdsServer } from "../server.ts";
import type {
  AckEvent,
  NackEvent,
  ResponseEvent,
  StreamIdentity,
  StreamObserver,
  SubscribeEvent,
} from "../stream_observer.ts";
import type { XdsType } from "../type_urls.ts";
import { openWorkingSet, type WorkingSetFile } from "../working_set_file.ts";

/** Envoy's binary, or why there is none. */
export const envoyTool = await ensureTool("envoy", {
  onProgress: (line) => void Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`)),
});

/** What a server did, in the order in which it did it. */
export interface Recorded {
  readonly responses: ResponseEvent[];
  readonly acks: AckEvent[];
  readonly nacks: NackEvent[];
  readonly subscribed: SubscribeEvent[];
  readonly opened: StreamIdentity[];
}

/** Model, store, ADS server and Envoy. Each but the model can be started again. */
export class EnvoyFixture implements AsyncDisposable {
  readonly mode: XdsMode;
  readonly tcpPort: number;
  readonly httpPort: number;
  readonly directory: string;
  recorded: Recorded = newRecord();
  model: ServiceModel;
  store: ResourceStore;
  /** Resources that are sent instead of the store's own; to provoke a NACK. */
  readonly forged = new Map<string, EncodedResource>();
  /** Whether requests are noted but not answered. */
  isSilent = false;
  /** Called after an event was recorded, at the very moment it happens. */
  readonly hooks: Pick<StreamObserver, "onResponse" | "onSubscribe" | "onAck"> = {};
  /** The lines of Envoy's access log, in the order in which they came. */
  readonly accessLog: Readonly<Record<string, unknown>>[] = [];
  #server: AdsServer | undefined;
  #workingSet: WorkingSetFile | undefined;
  #envoy: Deno.ChildProcess | undefined;
  #envoyEnded = new AbortController();
  #logged: Promise<void> = Promise.resolve();

  readonly #zone: string;

  private constructor(directory: string, { mode, zone }: { readonly mode: XdsMode; readonly zone: string }) {
    this.mode = mode;
    this.#zone = zone;
    this.model = this.#newModel();
    this.directory = directory;
    this.tcpPort = freePort();
    this.httpPort = freePort();
    this.store = this.#newStore();
  }

  /** Starts all of it with these objects. */
  static async start(
    objects: readonly KubeObject[],
    { mode = "on-demand" as XdsMode, zone = "" } = {},
  ): Promise<EnvoyFixture> {
    const fixture = new EnvoyFixture(await Deno.makeTempDir({ prefix: "lp-" }), { mode, zone });
    try {
      fixture.apply(...objects);
      await fixture.startServer();
      await fixture.startEnvoy();
      return fixture;
    } catch (error) {
      await fixture[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Applies objects and serves the outcome. */
  apply(...objects: readonly KubeObject[]): void {
    this.reduce(objects.map((object) => ({ type: "apply", object })));
  }

  /** Deletes a Service of namespace `default`. */
  deleteService(name: string): void {
    this.reduce([{ type: "delete", kind: "Service", namespacedName: `default/${name}` }]);
  }

  reduce(events: readonly ObjectEvent[]): void {
    this.store.update(this.model.reduce(events).changes);
  }

  /** What a freshly started agent would hold: a new model and store over the same objects. */
  replaceModel(objects: readonly KubeObject[]): void {
    this.model = this.#newModel();
    this.store = this.#newStore();
    this.apply(...objects);
  }

  /** The names of the Clusters Envoy has from the agent, as its admin interface lists them. */
  async clusters(): Promise<string[]> {
    const { body: text } = await getFromSocket(join(this.directory, "admin.sock"), "/clusters");
    return [...text.matchAll(/^(.*)::added_via_api::true$/gm)].map(([, name = ""]) => name).sort();
  }

  /** The names of the Listeners Envoy has from the agent. */
  async ownListeners(): Promise<string[]> {
    const { body: text } = await getFromSocket(join(this.directory, "admin.sock"), "/listeners");
    const names = [...text.matchAll(/^(.*?)::/gm)].map(([, name = ""]) => name);
    return names.filter((name) => name !== "tcp" && name !== "http").sort();
  }

  /** Whether a connected Envoy has asked for resources of that type. */
  hasAsked(type: XdsType): boolean {
    return this.#server?.streams().some(({ types }) => types[type].wildcard !== "none") ?? false;
  }

  /** A Service whose VIP is `127.0.0.<host>`, at the HTTP listener's port or the TCP listener's. */
  service(
    name: string,
    host: number,
    { kind = "http" as "http" | "h2c" | "tcp", overrides = {} as Partial<Service> } = {},
  ): Service {
    return service({
      name,
      clusterIPs: [`127.0.0.${host}`],
      ports: [portSpec({ name: kind, port: kind === "tcp" ? this.tcpPort : this.httpPort })],
      ...overrides,
    });
  }

  /** Starts an agent: it knows the Clusters the one before it noted. */
  async startServer(): Promise<void> {
    this.recorded = newRecord();
    const { responses, acks, nacks, subscribed, opened } = this.recorded;
    const workingSet = await openWorkingSet({ directory: this.directory, logger: silentLogger });
    this.#workingSet = workingSet;
    this.#server = await createAdsServer({
      source: this.#source(),
      address: `unix:${join(this.directory, "ads.sock")}`,
      logger: silentLogger,
      observer: {
        onStreamOpen: (event) => void opened.push(event),
        onResponse: (event) => {
          responses.push(event);
          this.hooks.onResponse?.(event);
        },
        onAck: (event) => {
          acks.push(event);
          this.hooks.onAck?.(event);
        },
        onNack: (event) => void nacks.push(event),
        onSubscribe: (event) => {
          subscribed.push(event);
          if (event.type === "Cluster") workingSet.used(event.names);
          this.hooks.onSubscribe?.(event);
        },
        onHeld: ({ type, names }) => {
          if (type === "Cluster") workingSet.held(names);
        },
      },
    });
    this.store.markReady();
  }

  async stopServer(): Promise<void> {
    await this.#server?.close();
    this.#server = undefined;
    await this.#workingSet?.[Symbol.asyncDispose]();
  }

  /** Whether Envoy can answer at `127.0.0.<host>` as the store has it now; see taken.ts. */
  hasTaken(host: number): boolean {
    return this.#server?.hasTaken([`127.0.0.${host}:${this.httpPort}`]) ?? false;
  }

  /** Waits until Envoy has answered everything it was sent. */
  async settled(): Promise<void> {
    await until("Envoy has acknowledged everything", () => {
      const streams = this.#server?.streams() ?? [];
      return streams.length > 0 &&
        streams.every(({ types }) =>
          Object.values(types).every(({ inFlight, owed }) => inFlight + owed === 0)
        );
    });
  }

  /** One of Envoy's counters or gauges; 0 while Envoy has none of that name. */
  async stat(name: string): Promise<number> {
    const { body: text } = await getFromSocket(join(this.directory, "admin.sock"), "/stats?usedonly");
    const line = text.split("\n").find((line) => line.startsWith(`${name}: `));
    return line === undefined ? 0 : Number(line.slice(name.length + 2));
  }

  /** Counters and gauges of a Cluster by name, used or not; `name` is its name in statistics. */
  async statsOf(name: string): Promise<ReadonlyMap<string, number>> {
    const { body: text } = await getFromSocket(join(this.directory, "admin.sock"), "/stats");
    const prefix = `cluster.${name}.`;
    const own = text.split("\n").filter((line) => line.startsWith(prefix));
    return new Map(own.flatMap((line) => {
      const [, stat, value] = /^(\S+): (\d+)$/.exec(line.slice(prefix.length)) ?? [];
      return stat === undefined ? [] : [[stat, Number(value)]];
    }));
  }

  /** Starts an Envoy, and waits until it listens and the agent knows it. */
  async startEnvoy(): Promise<void> {
    const streams = this.recorded.opened.length;
    await this.spawnEnvoy();
    await until("Envoy listens", () => this.isListening());
    await until("Envoy is connected", () => this.recorded.opened.length > streams);
  }

  /** Whether Envoy takes connections. */
  async isListening(): Promise<boolean> {
    return await isListening(this.httpPort);
  }

  /** Of the Envoy that was started last. */
  get envoyPid(): number {
    if (this.#envoy === undefined) throw new Error("no Envoy runs");
    return this.#envoy.pid;
  }

  /** Starts an Envoy. */
  async spawnEnvoy(): Promise<void> {
    const config = join(this.directory, "envoy.json");
    await Deno.writeTextFile(
      config,
      JSON.stringify(bootstrap({
        nodeName: "node-1",
        mode: this.mode,
        adsAddress: { kind: "unix", path: join(this.directory, "ads.sock") },
        adminSocket: join(this.directory, "admin.sock"),
        tcpPort: this.tcpPort,
        httpPort: this.httpPort,
        families: ["IPv4"],
      })),
    );
    if (envoyTool.path === undefined) throw new Error(envoyTool.unavailable);
    this.#envoy = new Deno.Command(envoyTool.path, {
      args: [
        "-c",
        config,
        "--concurrency",
        "1",
        "--use-dynamic-base-id",
        "--log-level",
        "warning",
        "--log-path",
        join(this.directory, "envoy.log"),
        "--file-flush-interval-msec",
        "50",
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#envoyEnded = new AbortController();
    this.#logged = readLines(
      this.#envoy.stdout,
      // The last line of an Envoy that is killed may be half a line.
      (line) => void (line.endsWith("}") && this.accessLog.push(JSON.parse(line))),
      this.#envoyEnded.signal,
    );
  }

  async stopEnvoy(): Promise<void> {
    this.#envoy?.kill("SIGKILL");
    await this.#envoy?.status;
    this.#envoyEnded.abort();
    await this.#logged;
    this.#envoy = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopEnvoy();
    await this.stopServer();
    await Deno.remove(this.directory, { recursive: true });
  }

  #newModel(): ServiceModel {
    return new ServiceModel({ serviceProxyName: "", families: IP_FAMILIES }, {
      nodeName: "node-1",
      zone: this.#zone,
    });
  }

  #newStore(): ResourceStore {
    return new ResourceStore({
      view: this.model,
      nodeAddresses: { IPv4: [], IPv6: [] },
      usedClusters: () => this.#workingSet?.names() ?? [],
    });
  }

  #source(): ResourceSource {
    const { store, forged } = this;
    const isReady = (): boolean => store.ready && !this.isSilent;
    return {
      get ready(): boolean {
        return isReady();
      },
      get: (type: XdsType, name: string, interest: Interest) =>
        forged.get(name) ?? store.get(type, name, interest),
      names: (type, scope) => store.names(type, scope),
      isPushed: (cluster) => store.isPushed(cluster),
      onChange: (listener) => store.onChange(listener),
    };
  }
}

/** Waits for something that comes about by itself; gives up long after any delay that is meant. */
export async function until(what: string, met: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 15_000;
  while (performance.now() < deadlineMs) {
    if (await met()) return;
    await delay(10);
  }
  throw new Error(`Waited in vain until ${what}`);
}

function newRecord(): Recorded {
  return { responses: [], acks: [], nacks: [], subscribed: [], opened: [] };
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "0.0.0.0", port: 0 });
  return listener.addr.port;
}

async function isListening(port: number): Promise<boolean> {
  try {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    connection.close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
}

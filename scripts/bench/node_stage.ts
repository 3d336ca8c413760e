/**
 * Where `scale` plays: a node with three backends and a client as pods, a world, and per repetition an Envoy.
 *
 * In: the programs' paths, the world wanted. Out: all of it; disposing it ends and removes everything.
 * Lightpath is bundled, and the node has a service account, as in the pod it ships in: both are worth many megabytes.
 * Invariant: nothing of it is on the host but processes and one temporary folder; no packet leaves its namespaces.
 * @module
 */
import { fromFileUrl } from "@std/path/from-file-url";
import { join } from "@std/path/join";
import { Lab, type LabProcess, type Pod, startEchoServerIn } from "../lab/mod.ts";
import { giveServiceAccount } from "../lab/service_account.ts";
import { temporaryFolder } from "../lab/temporary_folder.ts";
import { BUNDLED_ENVIRONMENT, bundledCommand, bundleLightpath } from "../lightpath_command.ts";
import type { AgentOptions } from "./measured_agent.ts";
import type { VipReport } from "./vip_probe.ts";
import { BACKEND_PORT, type WorldShape } from "./world.ts";
import { World } from "./world_client.ts";

/** What the node is called in the world. */
export const NODE_NAME = "bench-node";

const ENVOY_CONFIG = "/run/lightpath/envoy.json";
const ADMIN_SOCKET = "/run/lightpath/envoy-admin.sock";
const VIP_PROBE = fromFileUrl(new URL("./vip_probe.ts", import.meta.url));

/** When Envoy learns of a Service. */
export type Mode = "on-demand" | "eager";
/** What kind of API server holds the world. */
export type Source = "api" | "synthetic";

/** Paths of the programs. */
export interface Programs {
  readonly envoy: string;
  readonly nft: string;
  /** Needed for source `api`. */
  readonly etcd?: string;
  readonly kubeApiserver?: string;
}

/** What a stage is made for. */
export interface NodeStageOptions {
  readonly services: number;
  readonly mode: Mode;
  readonly source: Source;
  readonly programs: Programs;
  /** Further flags of `deno run` for the agent, e.g. `--v8-flags=…`. */
  readonly denoFlags: readonly string[];
  /** Further environment of the agent. */
  readonly env?: Readonly<Record<string, string>>;
  /** Keeps names and lines of the source in the program: for profiles. */
  readonly readable?: boolean;
  readonly onProgress: (line: string) => void;
}

/** The stage; see the module's comment. */
export class NodeStage implements AsyncDisposable {
  readonly lab: Lab;
  readonly client: Pod;
  readonly shape: WorldShape;
  readonly world: World;
  /** For further files of a run. */
  readonly dir: string;
  readonly #options: NodeStageOptions;
  readonly #backend: string;
  readonly #program: string;
  readonly #serviceAccount: Readonly<Record<string, string>>;
  readonly #made: AsyncDisposableStack;

  private constructor(
    options: NodeStageOptions,
    parts: {
      readonly lab: Lab;
      readonly client: Pod;
      readonly shape: WorldShape;
      readonly world: World;
      readonly dir: string;
      readonly program: string;
      readonly serviceAccount: Readonly<Record<string, string>>;
      readonly made: AsyncDisposableStack;
    },
  ) {
    this.#options = options;
    this.lab = parts.lab;
    this.client = parts.client;
    this.shape = parts.shape;
    this.world = parts.world;
    this.dir = parts.dir;
    this.#program = parts.program;
    this.#serviceAccount = parts.serviceAccount;
    this.#backend = `${parts.shape.backends[0]}:${BACKEND_PORT}`;
    this.#made = parts.made;
  }

  /** Builds it; the world is complete, and neither agent nor Envoy run. */
  static async create(options: NodeStageOptions): Promise<NodeStage> {
    await using made = new AsyncDisposableStack();
    const dir = await temporaryFolder(made, "lightpath-bench-");
    const program = await bundleLightpath(join(dir, "lightpath"), { minify: !options.readable });
    const lab = made.use(await Lab.create());
    // So that what is not served yet is answered as unreachable each time, not only the first few times.
    await lab.outside.sysctl({ "net/ipv4/icmp_ratelimit": "0" });
    const backends: Pod[] = [];
    for (const host of [11, 12, 13]) backends.push(await lab.addPod({ name: `backend-${host}`, host }));
    const client = await lab.addPod({ name: "client", host: 100 });
    await Promise.all(
      backends.map(({ name, namespace }) => startEchoServerIn(namespace, { name, httpPort: BACKEND_PORT })),
    );
    const shape: WorldShape = { services: options.services, backends: backends.map(({ ipv4 }) => ipv4) };
    const { onProgress, programs: { etcd, kubeApiserver } } = options;
    const world = made.use(
      await World.start(lab.node, {
        dir,
        onProgress,
        shape,
        ...(options.source === "synthetic" ? { source: "synthetic" } : {
          source: "api",
          etcd: etcd ?? "etcd",
          kubeApiserver: kubeApiserver ?? "kube-apiserver",
          node: { name: NODE_NAME, address: lab.nodeAddresses.ipv4 },
        }),
      }),
    );
    const serviceAccount = await giveServiceAccount(lab.node, world.access);
    return new NodeStage(options, {
      ...{ lab, client, shape, world, dir, program, serviceAccount },
      made: made.move(),
    });
  }

  /** The path of nft. */
  get nft(): string {
    return this.#options.programs.nft;
  }

  /** How the agent is started on this stage. */
  get agentOptions(): AgentOptions {
    const { mode, denoFlags, env } = this.#options;
    const flags = [
      `--node-name=${NODE_NAME}`,
      "--envoy=external",
      // Every repetition begins with an Envoy that knows nothing.
      "--state-dir=",
      `--mode=${mode}`,
      `--nft-bin=${this.nft}`,
    ];
    return {
      command: [...bundledCommand(this.#program, denoFlags), "agent"],
      flags,
      env: { ...BUNDLED_ENVIRONMENT, ...this.#serviceAccount, ...env },
    };
  }

  /** Starts an Envoy with the constant configuration; it waits for an agent. */
  async startEnvoy(): Promise<LabProcess> {
    const { node } = this.lab;
    await node.run(["mkdir", "-p", "-m", "700", "/run/lightpath"]);
    await node.run(["rm", "-f", ADMIN_SOCKET]);
    const flags = [`--node-name=${NODE_NAME}`, `--mode=${this.#options.mode}`, "--format=json"];
    await node.run([...bundledCommand(this.#program), "bootstrap", ...flags, `--output=${ENVOY_CONFIG}`]);
    return node.spawn([
      this.#options.programs.envoy,
      ...["-c", ENVOY_CONFIG, "-l", "warning", "--concurrency", "2", "--disable-hot-restart"],
    ]);
  }

  /** Removes what an agent left in the kernel. */
  async cleanUp(): Promise<void> {
    const flags = [`--nft-bin=${this.nft}`];
    await this.lab.node.run([...bundledCommand(this.#program), "cleanup", ...flags]);
  }

  /** Asks destinations from the client's pod, until all have answered. @throws {Error} when one never does */
  async askAll(
    destinations: readonly string[],
    options: { readonly giveUpMs?: number } = {},
  ): Promise<VipReport> {
    const report = await this.ask(destinations, options);
    const { unanswered, failures } = report;
    if (unanswered.length === 0) return report;
    throw new Error(
      `${unanswered.length} of ${destinations.length} VIPs never answered, ${unanswered[0]} for one: ` +
        JSON.stringify(failures),
    );
  }

  /** Asks destinations from the client's pod, each until it answers or for so long. */
  async ask(
    destinations: readonly string[],
    { giveUpMs = 20_000 }: { readonly giveUpMs?: number } = {},
  ): Promise<VipReport> {
    const flags = ["run", "--allow-all", "--no-config", VIP_PROBE];
    const output = await this.client.namespace.run([
      Deno.execPath(),
      ...flags,
      String(giveUpMs),
      this.#backend,
      ...destinations,
    ]);
    return JSON.parse(output) as VipReport;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#made.disposeAsync();
  }
}

/**
 * A node with backends, a client pod and a neighbour, on which the real program is run with real nft and real Envoy.
 *
 * In: the tools, fetched where the machine lacks them. Out: the fixture; disposing it ends and removes everything.
 * Invariant: one fixture has one folder of manifests and at most one agent at the default addresses at a time.
 * @module
 */
import {
  Lab,
  type LabProcess,
  namespacesUnavailable,
  type Pod,
  startEchoServerIn,
} from "../../scripts/lab/mod.ts";
import { parseRuleset } from "../../redirect/parse_ruleset.ts";
import { servedPath } from "../../redirect/served_value.ts";
import { progress } from "../../scripts/tool_path.ts";
import { ensureTool } from "../../scripts/tools/mod.ts";
import { LIGHTPATH, RunningAgent } from "./lightpath_process.ts";
import { ManifestFolder } from "./manifests.ts";
import { until } from "./until.ts";
import { VantagePoint } from "./vantage_point.ts";

const nftTool = await ensureTool("nft", { onProgress: progress });
const ipsetTool = await ensureTool("ipset", { onProgress: progress });
const iptablesTools = {
  "iptables-nft": await ensureTool("iptables-nft", { onProgress: progress }),
  "iptables-legacy": await ensureTool("iptables-legacy", { onProgress: progress }),
};
const conntrackTool = await ensureTool("conntrack", { onProgress: progress });
const envoyTool = await ensureTool("envoy", { onProgress: progress });

/** Why these tests cannot run here; all undefined when they can. */
export const fixtureUnavailable: readonly (string | undefined)[] = [
  await namespacesUnavailable(),
  nftTool.unavailable,
  conntrackTool.unavailable,
  envoyTool.unavailable,
  await Deno.stat("/proc/net/if_inet6").then(() => undefined, () => "this kernel has no IPv6"),
];

/** The same for those with iptables. */
export const iptablesUnavailable: readonly (string | undefined)[] = [
  ...fixtureUnavailable,
  ipsetTool.unavailable,
  ...Object.values(iptablesTools).map(({ unavailable }) => unavailable),
];

/** Paths of the programs, for flags. */
export const NFT: string = nftTool.path ?? "nft";
export const CONNTRACK: string = conntrackTool.path ?? "conntrack";
export const ENVOY: string = envoyTool.path ?? "envoy";

export const IPSET: string = ipsetTool.path ?? "ipset";
export const IPTABLES: Readonly<Record<keyof typeof iptablesTools, string>> = {
  "iptables-nft": iptablesTools["iptables-nft"].path ?? "iptables-nft",
  "iptables-legacy": iptablesTools["iptables-legacy"].path ?? "iptables-legacy",
};

/** Flags of an agent that redirects by iptables of a kind. */
export function iptablesFlags(variant: keyof typeof iptablesTools): string[] {
  return ["--redirect=iptables", `--iptables-bin=${IPTABLES[variant]}`, `--ipset-bin=${IPSET}`];
}

/** In the lab's own /run, so that tests leave the machine's /var/lib alone. */
export const STATE_DIR = "/run/lightpath-state";

/** An Envoy that an agent runs, for `processes`. */
export const ENVOY_COMMAND = "[e]nvoy-bootstrap.json";

/** See the module's comment. */
export class NodeFixture implements AsyncDisposable {
  readonly lab: Lab;
  readonly manifests: ManifestFolder;
  /** Where the tests connect from: a process on the node, a pod, a machine beyond the node. */
  readonly node: VantagePoint;
  readonly pod: VantagePoint;
  readonly outside: VantagePoint;
  readonly client: Pod;
  /** Echo servers called `backend-1` …: HTTP/1.1 and h2c on 8080, TCP on 9000. */
  readonly backends: readonly [Pod, Pod];
  readonly #made: AsyncDisposableStack;

  private constructor(parts: {
    readonly lab: Lab;
    readonly manifests: ManifestFolder;
    readonly vantagePoints: readonly [VantagePoint, VantagePoint, VantagePoint];
    readonly client: Pod;
    readonly backends: readonly [Pod, Pod];
    readonly made: AsyncDisposableStack;
  }) {
    this.lab = parts.lab;
    this.manifests = parts.manifests;
    [this.node, this.pod, this.outside] = parts.vantagePoints;
    this.client = parts.client;
    this.backends = parts.backends;
    this.#made = parts.made;
  }

  /** Builds it; no agent and no Envoy runs yet. */
  static async create(): Promise<NodeFixture> {
    await using made = new AsyncDisposableStack();
    const sockets = await Deno.makeTempDir({ prefix: "lightpath-test-" });
    made.defer(() => Deno.remove(sockets, { recursive: true }));
    const manifests = made.use(await ManifestFolder.create());
    const lab = made.use(await Lab.create());
    // So that what is not served is answered as unreachable each time, not only the first few times.
    await lab.outside.sysctl({ "net/ipv4/icmp_ratelimit": "0", "net/ipv6/icmp/ratelimit": "0" });
    const client = await lab.addPod({ name: "client", host: 100 });
    const backends: [Pod, Pod] = [
      await lab.addPod({ name: "backend-1", host: 11 }),
      await lab.addPod({ name: "backend-2", host: 12 }),
    ];
    const [node, pod, outside] = await Promise.all([
      VantagePoint.create(lab.node, sockets),
      VantagePoint.create(client.namespace, sockets),
      VantagePoint.create(lab.outside, sockets),
      ...backends.map(({ name, namespace }) => startEchoServerIn(namespace, { name })),
    ]);
    const vantagePoints = [node, pod, outside] as const;
    return new NodeFixture({ lab, manifests, vantagePoints, client, backends, made: made.move() });
  }

  /** Addresses of the backends in one family. */
  addresses(family: "ipv4" | "ipv6", ...which: readonly (0 | 1)[]): string[] {
    return (which.length === 0 ? [0, 1] as const : which).map((index) => this.backends[index][family] ?? "");
  }

  /** Starts an agent that runs Envoy itself, unless the flags say otherwise. */
  startAgent(...flags: readonly string[]): RunningAgent {
    return new RunningAgent(this.node, [
      `--manifests=${this.manifests.path}`,
      "--node-name=node-1",
      `--nft-bin=${NFT}`,
      `--conntrack-bin=${CONNTRACK}`,
      `--state-dir=${STATE_DIR}`,
      `--envoy-bin=${ENVOY}`,
      "--envoy-concurrency=2",
      // Of the whole machine, and not to be set from a namespace.
      "--conntrack-max-per-core=0",
      // The fixture's own clients keep connections that are idle.
      "--drain-time=300ms",
      ...flags,
    ]);
  }

  /** Starts an Envoy beside the agent, with the bootstrap as the program writes it, and flags of Envoy's own. */
  startEnvoy(...flags: readonly string[]): Promise<LabProcess> {
    return this.startOtherEnvoy({ flags });
  }

  /** The same, with words in front, e.g. to give up a capability, or with a bootstrap that is changed by hand. */
  async startOtherEnvoy(
    { words = [], flags = [], change = () => {} }: {
      readonly words?: readonly string[];
      readonly flags?: readonly string[];
      // deno-lint-ignore no-explicit-any
      readonly change?: (bootstrap: any) => void;
    },
  ): Promise<LabProcess> {
    const config = "/run/lightpath/envoy.json";
    const bootstrap = JSON.parse(
      await this.lab.node.run([...LIGHTPATH, "bootstrap", "--node-name=node-1", "--format=json"]),
    );
    change(bootstrap);
    const script = `mkdir -p -m 700 /run/lightpath && cat > ${config}`;
    await this.lab.node.run(["sh", "-c", script], { stdin: JSON.stringify(bootstrap) });
    const ownFlags = ["-c", config, "-l", "warning", "--concurrency", "2", "--disable-hot-restart"];
    return this.lab.node.spawn([...words, ENVOY, ...ownFlags, ...flags]);
  }

  /** Waits until connections of the client pod to an HTTP destination go through Envoy, or past it. */
  async untilThroughEnvoy(target: string, expected = true): Promise<void> {
    await until(`the way ${expected ? "through" : "past"} Envoy`, () => this.pod.isThroughEnvoy(target), {
      wanted: (is) => is === expected,
    });
  }

  /** Kills the node's Envoy, whoever started it. */
  async killEnvoy(): Promise<void> {
    await this.lab.node.run(["sh", "-c", "kill -9 $(grep -lx envoy /proc/[0-9]*/comm | cut -d/ -f3)"]);
  }

  /**
   * How many processes of the node have a command line that matches, which is to be written so that it does not match itself;
   * one that has ended but was not waited for has no command line.
   */
  async processes(commandLine: string): Promise<number> {
    const { stdout } = await this.lab.node.exec([
      "sh",
      "-c",
      `cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o '${commandLine}' | wc -l`,
    ]);
    return Number(stdout.trim());
  }

  /** What Envoy's admin interface answers. */
  async envoyAdmin(path: string): Promise<string> {
    const script = `const { request } = await import("node:http");
      request({ socketPath: "/run/lightpath/envoy-admin.sock", path: Deno.args[0], agent: false },
        (incoming) => incoming.on("data", (piece) => Deno.stdout.writeSync(piece))).end();`;
    return await this.lab.node.run([Deno.execPath(), "eval", "--no-config", script, path]);
  }

  /** The node's whole nftables ruleset, as text. */
  async ruleset(): Promise<string> {
    return await this.lab.node.run([NFT, "list", "ruleset"]);
  }

  /** The way a destination takes in the kernel, by the key's text: `envoy-http`, `no-endpoint`; undefined when it has none. */
  async pathInKernel(key: string): Promise<string | undefined> {
    const listing = await this.lab.node.run([NFT, "-j", "list", "table", "inet", "lightpath"]);
    const found = parseRuleset(JSON.parse(listing)).elements.find((element) =>
      element.key === key && /^(service|no-endpoint)-/.test(element.container)
    );
    return found?.value === "" ? "no-endpoint" : servedPath(found?.value ?? "");
  }

  /** Changes the kernel's table behind the agent's back. */
  async nftByHand(...words: readonly string[]): Promise<void> {
    await this.lab.node.run([NFT, ...words]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#made.disposeAsync();
  }
}

/**
 * Where `bench l7` plays: a client and two endpoints as pods; on the node an agent with its Envoy, and a static Envoy.
 *
 * In: the programs' paths. Out: all of it running, the kernel redirecting, every Service asked once; disposing it ends and
 * removes everything.
 *
 * Both Envoys have one worker and, where the machine has two, a processor to themselves, so that at full speed it is the worker
 * that limits: shared with client and endpoints, a pair's ratio was between 0.75 and 1.14 in half of the rounds. Both throw away
 * what they log, which a node's container runtime would read at its own cost. Both are behind a VIP, which the kernel translates.
 * @module
 */
import { ManifestFolder } from "../../commands/testing/manifests.ts";
import { ACCESS_LOG_ARGUMENTS } from "../../xds/access_log.ts";
import { Lab, type LabProcess, type Namespace } from "../lab/mod.ts";
import { lightpathCommand } from "../lightpath_command.ts";
import {
  CASE_NAMES,
  type CaseName,
  CASES,
  ENDPOINT_PORT,
  manifests,
  type Proxy,
  STATIC_VIP,
  VIP,
} from "./l7_cases.ts";
import { type LoadGenerator, runLoad } from "./fortio.ts";
import { type JsonObject, staticBootstrap } from "./l7_static.ts";
import { MeasuredAgent } from "./measured_agent.ts";
import { dealProcessors, onProcessors, type Processors } from "./processors.ts";

/** Paths of the programs. */
export interface L7Programs {
  readonly envoy: string;
  readonly nft: string;
  readonly fortio: string;
}

const NODE_NAME = "bench-node";
const LIGHTPATH_CONFIG = "/run/lightpath/envoy.json";
const STATIC_CONFIG = "/run/lightpath/static.json";
const ADMIN_SOCKET = "/run/lightpath/envoy-admin.sock";

/** The static Envoy's VIP is the node's; its ports are those it listens on. */
const STATIC_REDIRECT = `table inet static-envoy {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    ip daddr ${STATIC_VIP} redirect
  }
}
`;

/** By whom a case's address is answered. */
type Addresses = Readonly<Record<Proxy, string>>;

/** The stage; see the module's comment. */
export class L7Stage implements AsyncDisposable {
  readonly client: LoadGenerator;
  readonly #addresses: Addresses;
  readonly #pids: Readonly<Record<Exclude<Proxy, "none">, number>>;
  readonly #made: AsyncDisposableStack;

  private constructor(parts: {
    readonly client: LoadGenerator;
    readonly addresses: Addresses;
    readonly pids: Readonly<Record<Exclude<Proxy, "none">, number>>;
    readonly made: AsyncDisposableStack;
  }) {
    this.client = parts.client;
    this.#addresses = parts.addresses;
    this.#pids = parts.pids;
    this.#made = parts.made;
  }

  /** Builds it. @throws {Error} when a part does not start, or a case does not answer */
  static async create({ envoy, nft, fortio }: L7Programs): Promise<L7Stage> {
    await using made = new AsyncDisposableStack();
    const processors = await dealProcessors();
    const folder = made.use(await ManifestFolder.create());
    const lab = made.use(await Lab.create());
    const { node } = lab;
    const endpoints: string[] = [];
    for (const host of [11, 12]) {
      const { namespace, ipv4 } = await lab.addPod({ name: `endpoint-${host}`, host });
      await startEndpoint(namespace, onProcessors(processors?.rest, [fortio]));
      endpoints.push(ipv4);
    }
    const from = (await lab.addPod({ name: "client", host: 100 })).namespace;
    const client = { fortio, from, processors: processors?.rest };
    // Each connection leaves its port behind for a minute, and there are 28,000.
    for (const namespace of [node, client.from]) await namespace.sysctl({ "net/ipv4/tcp_tw_reuse": "1" });
    await folder.write("services.yaml", manifests(endpoints));

    const lightpath = await startLightpath(node, { envoy, nft, manifests: folder.path, processors });
    const addresses = { none: endpoints[0]!, lightpath: VIP, static: STATIC_VIP };
    const ask = async (proxy: Proxy): Promise<void> => {
      for (const name of CASE_NAMES.filter((name) => CASES[name].proxy === proxy)) {
        await runLoad(client, { url: urlOf(name, addresses), connections: 1, durationMs: 100 });
      }
    };
    // Envoy fetches a Cluster at its first request, and the static one is made of what came.
    await ask("lightpath");
    const bootstrap = staticBootstrap({ clusters: await clustersOf(node), endpoints });
    await node.run(["sh", "-c", `cat >${STATIC_CONFIG}`], { stdin: JSON.stringify(bootstrap) });
    await node.run([nft, "-f", "-"], { stdin: STATIC_REDIRECT });
    const beside = startEnvoy(node, onProcessors(processors?.measured, [envoy]), STATIC_CONFIG);
    await beside.waitForLine(/starting main dispatch loop/);
    await ask("static");
    const pids = { lightpath: await lightpath.pid(), static: await beside.pid() };
    return new L7Stage({ client, addresses, pids, made: made.move() });
  }

  /** Where a case is reached. */
  url(name: CaseName): string {
    return urlOf(name, this.#addresses);
  }

  /** The process id of the Envoy that a case goes through. */
  pid(name: CaseName): number | undefined {
    const { proxy } = CASES[name];
    return proxy === "none" ? undefined : this.#pids[proxy];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#made.disposeAsync();
  }
}

function urlOf(name: CaseName, addresses: Addresses): string {
  const { proxy, port } = CASES[name];
  return `http://${addresses[proxy]}:${port}/echo`;
}

async function startEndpoint(namespace: Namespace, fortio: readonly string[]): Promise<void> {
  const others = ["grpc", "redirect", "tcp", "udp"].flatMap((name) => [`-${name}-port`, "disabled"]);
  const server = namespace.spawn([...fortio, "server", "-http-port", String(ENDPOINT_PORT), ...others]);
  await server.waitForLine(/http-echo server listening/);
}

/** An agent and its Envoy, ready. @returns Envoy */
async function startLightpath(
  node: Namespace,
  { envoy: binary, nft, manifests, processors }: {
    readonly envoy: string;
    readonly nft: string;
    readonly manifests: string;
    readonly processors: Processors | undefined;
  },
): Promise<LabProcess> {
  const command = lightpathCommand();
  await node.run(["mkdir", "-p", "-m", "700", "/run/lightpath"]);
  const output = ["--format=json", `--output=${LIGHTPATH_CONFIG}`];
  await node.run([...command, "bootstrap", `--node-name=${NODE_NAME}`, ...output]);
  const envoy = startEnvoy(node, onProcessors(processors?.measured, [binary]), LIGHTPATH_CONFIG);
  await MeasuredAgent.start(node, {
    command: onProcessors(processors?.rest, [...command, "agent"]),
    flags: [
      `--node-name=${NODE_NAME}`,
      `--manifests=${manifests}`,
      "--envoy=external",
      "--state-dir=",
      `--nft-bin=${nft}`,
    ],
    env: {},
  });
  return envoy;
}

function startEnvoy(node: Namespace, command: readonly string[], config: string): LabProcess {
  const flags = [
    "--concurrency",
    "1",
    "--disable-hot-restart",
    "--log-level",
    "info",
    ...ACCESS_LOG_ARGUMENTS,
  ];
  return node.spawn(["sh", "-c", `exec "$0" "$@" >/dev/null`, ...command, "-c", config, ...flags]);
}

/** The Clusters Envoy has from the agent, by name. */
async function clustersOf(node: Namespace): Promise<ReadonlyMap<string, JsonObject>> {
  // The node's /run is its own.
  const dump = JSON.parse(
    await node.run([
      Deno.execPath(),
      "eval",
      "--no-config",
      `import { request } from "node:http";
request({ socketPath: Deno.args[0], path: "/config_dump?resource=dynamic_active_clusters" }, (answer) => {
  answer.pipe(process.stdout);
}).end();`,
      ADMIN_SOCKET,
    ]),
  ) as { readonly configs: readonly { readonly cluster: JsonObject }[] };
  return new Map(dump.configs.map(({ cluster }) => {
    const { "@type": _, ...fields } = cluster;
    return [String(fields["name"]), fields];
  }));
}

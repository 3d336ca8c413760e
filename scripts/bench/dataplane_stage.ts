/**
 * Where `bench dataplane` plays: one node with a client and two servers as pods, one an endpoint, programmed by Lightpath and by kube-proxy, of
 * which one at a time is in force, or neither.
 *
 * In: the programs' paths. Out: all of it running, every case answered; disposing it ends and removes everything.
 * kube-proxy is in nftables mode and reads a real API server; Lightpath reads the same objects as manifests. Envoy has one
 * worker, and throws away what it logs.
 *
 * One node, because two that are programmed alike differ by some 5 % for as long as they live: where their memory lies.
 * Who is not in force has its tables dormant, so no packet meets them, and Lightpath's policy rules are removed for as long. Its
 * `tcp_early_demux=0` stays, which spares kube-proxy a search for each packet: switched on, it would lose connections that have the
 * port of one that Envoy made. kube-proxy, which would wake its tables, ends once it has programmed the node, and leaves them.
 * @module
 */
import { join } from "@std/path/join";
import { delay } from "@std/async/delay";
import { ManifestFolder } from "../../commands/testing/manifests.ts";
import { DEFAULT_MARK_MASK, marksOf } from "../../agent/model/mod.ts";
import { ensurePolicyRoutes, removePolicyRoutes } from "../../redirect/policy_routes.ts";
import { createIp } from "../../redirect/run_ip.ts";
import { type ApiWrite, ApiWriter } from "../lab/api_writer.ts";
import { startControlPlane } from "../lab/control_plane.ts";
import { Lab, type Namespace } from "../lab/mod.ts";
import { Relay } from "../lab/relay.ts";
import { renderKubeconfig } from "../lab/service_account.ts";
import { lightpathCommand } from "../lightpath_command.ts";
import {
  CASE_NAMES,
  type CaseName,
  CASES,
  ENDPOINT_PORTS,
  manifests,
  type Side,
  urlOf,
} from "./dataplane_cases.ts";
import { type LoadGenerator, runLoad } from "./fortio.ts";
import { MeasuredAgent } from "./measured_agent.ts";

/** Paths of the programs, and the environment in which kube-proxy finds nft. */
export interface DataplanePrograms {
  readonly envoy: string;
  readonly nft: string;
  readonly fortio: string;
  readonly kubeProxy: string;
  readonly etcd: string;
  readonly kubeApiserver: string;
  readonly env: Readonly<Record<string, string>>;
}

const NODE_NAME = "bench-node";

/** The tables of each. */
const TABLES: Readonly<Record<Exclude<Side, "none">, readonly string[]>> = {
  lightpath: ["inet lightpath"],
  "kube-proxy": ["ip kube-proxy", "ip6 kube-proxy"],
};

/** Lightpath's, by default. */
const POLICY_ROUTES = { marks: marksOf(DEFAULT_MARK_MASK), table: 1676 } as const;

/** How long a proxy may take until it serves. */
const PATIENCE_MS = 60_000;

/** The node with its pods. */
interface Node {
  readonly lab: Lab;
  readonly client: LoadGenerator;
  /** The address of the one endpoint, so that all cases ask one process. */
  readonly endpoint: string;
  /**
   * The address of the server that is no Service's: where nothing translates, a connection to the endpoint could not have the port of
   * one that conntrack remembers to have led there by a Service.
   */
  readonly direct: string;
  readonly nft: string;
}

/** The stage; see the module's comment. */
export class DataplaneStage implements AsyncDisposable {
  readonly #node: Node;
  readonly #made: AsyncDisposableStack;
  #inForce: Side;

  private constructor(node: Node, made: AsyncDisposableStack) {
    this.#node = node;
    this.#made = made;
    this.#inForce = "lightpath";
  }

  /** Builds it. @throws {Error} when a part does not start, or a case does not answer */
  static async create(programs: DataplanePrograms): Promise<DataplaneStage> {
    await using made = new AsyncDisposableStack();
    const node = await createNode(made, programs);
    await programWithKubeProxy(node, programs);
    await setInForce(node, "kube-proxy", false);
    await startLightpath(made, node, programs);
    const stage = new DataplaneStage(node, made.move());
    try {
      for (const name of CASE_NAMES) {
        await stage.enforce(name);
        await answers(node, name);
      }
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
    return stage;
  }

  /** Has who programs the node for a case in force, and nobody else. */
  async enforce(name: CaseName): Promise<void> {
    const { side } = CASES[name];
    if (side === this.#inForce) return;
    if (this.#inForce !== "none") await setInForce(this.#node, this.#inForce, false);
    if (side !== "none") await setInForce(this.#node, side, true);
    this.#inForce = side;
  }

  /** From where all cases are called. */
  get client(): LoadGenerator {
    return this.#node.client;
  }

  /** Where a case is reached. */
  url(name: CaseName): string {
    return urlOf(name, this.#node.direct);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#made.disposeAsync();
  }
}

/** kube-proxy does not say when it has programmed the node. */
async function answers({ client, direct }: Node, name: CaseName): Promise<void> {
  const load = { url: urlOf(name, direct), connections: 1, durationMs: 100 };
  const deadlineMs = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      await runLoad(client, load);
      return;
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
      await delay(200);
    }
  }
}

/** Wakes somebody's tables or lays them to rest, in one transaction, and with Lightpath's what else is its. */
async function setInForce(
  { lab: { node }, nft }: Node,
  side: Exclude<Side, "none">,
  inForce: boolean,
): Promise<void> {
  const flags = inForce ? "" : " { flags dormant; }";
  const script = TABLES[side].map((table) => `add table ${table}${flags}\n`).join("");
  await node.run([nft, "-f", "-"], { stdin: script });
  if (side === "kube-proxy") return;
  const ip = createIp({ argvPrefix: node.enter([]) });
  const families = ["IPv4", "IPv6"] as const;
  const set = (): Promise<unknown> =>
    inForce ? ensurePolicyRoutes(ip, { ...POLICY_ROUTES, families }) : removePolicyRoutes(ip, families);
  // The agent looks after them every 30 s too: who comes second finds that it is done, and looks again.
  await set().catch(set);
}

async function createNode(made: AsyncDisposableStack, { fortio, nft }: DataplanePrograms): Promise<Node> {
  const lab = made.use(await Lab.create());
  const servers: string[] = [];
  for (const [index, name] of ["direct", "endpoint"].entries()) {
    const { namespace, ipv4 } = await lab.addPod({ name, host: 11 + index });
    await startServer(namespace, fortio);
    servers.push(ipv4);
  }
  const [direct, endpoint] = servers as [string, string];
  const client = { fortio, from: (await lab.addPod({ name: "client", host: 100 })).namespace };
  // Each connection leaves its port behind for a minute, and there are 28,000.
  for (const namespace of [lab.node, client.from]) await namespace.sysctl({ "net/ipv4/tcp_tw_reuse": "1" });
  return { lab, client, endpoint, direct, nft };
}

async function startServer(namespace: Namespace, fortio: string): Promise<void> {
  const { http, udp } = ENDPOINT_PORTS;
  const others = ["grpc", "redirect", "tcp"].flatMap((name) => [`-${name}-port`, "disabled"]);
  const ports = ["-http-port", String(http), "-udp-port", String(udp)];
  const server = namespace.spawn([fortio, "server", ...ports, ...others]);
  await server.waitForLine(/http-echo server listening/);
}

async function startLightpath(
  made: AsyncDisposableStack,
  { lab: { node }, endpoint }: Node,
  { envoy, nft }: DataplanePrograms,
): Promise<void> {
  const folder = made.use(await ManifestFolder.create());
  await folder.write("services.yaml", manifests(endpoint).flatMap(({ service, slice }) => [service, slice]));
  await node.run(["mkdir", "-p", "-m", "700", "/run/lightpath"]);
  const { agent } = await MeasuredAgent.start(node, {
    command: [...lightpathCommand(), "agent"],
    flags: [
      `--node-name=${NODE_NAME}`,
      `--manifests=${folder.path}`,
      `--envoy-bin=${envoy}`,
      "--envoy-concurrency=1",
      "--state-dir=",
      `--nft-bin=${nft}`,
    ],
    env: {},
  });
  made.defer(() => agent.stop());
}

async function programWithKubeProxy(
  node: Node,
  { kubeProxy, etcd, kubeApiserver, env }: DataplanePrograms,
): Promise<void> {
  const { lab, endpoint } = node;
  await using made = new AsyncDisposableStack();
  const dir = await Deno.makeTempDir({ prefix: "lightpath-bench-" });
  made.defer(() => Deno.remove(dir, { recursive: true }));
  const plane = made.use(
    await startControlPlane({ etcd, kubeApiserver, dir, signal: AbortSignal.timeout(120_000) }),
  );
  const access = {
    host: "127.0.0.1",
    port: plane.apiserverPort,
    token: plane.token("admin"),
    ca: await Deno.readTextFile(plane.caFile),
  };
  {
    using writer = new ApiWriter(access);
    await writer.all(writes(lab, endpoint));
  }
  const relay = made.use(Relay.create({ port: plane.apiserverPort, dir }));
  await relay.enter(lab.node);
  const kubeconfig = join(dir, "kube-proxy.kubeconfig");
  await Deno.writeTextFile(kubeconfig, renderKubeconfig(access));
  const process = lab.node.spawn([
    kubeProxy,
    `--kubeconfig=${kubeconfig}`,
    `--hostname-override=${NODE_NAME}`,
    "--proxy-mode=nftables",
    "--cluster-cidr=10.244.0.0/16",
    // Kernel settings that are the host's, not the namespace's, stay as they are.
    "--conntrack-max-per-core=0",
    "--conntrack-min=0",
    "--conntrack-tcp-timeout-established=0s",
    "--conntrack-tcp-timeout-close-wait=0s",
  ], { env });
  made.defer(async () => void await process.stop({ graceMs: 15_000 }));
  for (const name of CASE_NAMES) if (CASES[name].side === "kube-proxy") await answers(node, name);
}

/** The node first, for which kube-proxy waits. */
function writes({ nodeAddresses }: Lab, endpoint: string): ApiWrite[][] {
  const node = {
    metadata: { name: NODE_NAME },
    spec: { podCIDR: "10.244.0.0/24", podCIDRs: ["10.244.0.0/24"] },
    status: { addresses: [{ type: "InternalIP", address: nodeAddresses.ipv4 }] },
  };
  const create = (path: string, body: unknown): ApiWrite => ({ method: "POST", path, body });
  return [
    [create("/api/v1/nodes", node)],
    ...manifests(endpoint).map(({ service, slice }) => [
      create("/api/v1/namespaces/default/services", service),
      create("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice),
    ]),
  ];
}

/**
 * Where `bench dataplane` plays: the same node three times, with a client and two endpoints as pods: without a proxy, with
 * Lightpath, with kube-proxy.
 *
 * In: the programs' paths. Out: all of it running, every case answered; disposing it ends and removes everything.
 * kube-proxy is in nftables mode and reads a real API server; Lightpath reads the same objects as manifests. Envoy has one
 * worker, and throws away what it logs.
 * @module
 */
import { join } from "@std/path/join";
import { delay } from "@std/async/delay";
import { ManifestFolder } from "../../commands/testing/manifests.ts";
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
  SIDES,
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

/** How long a proxy may take until it serves. */
const PATIENCE_MS = 60_000;

/** A node with its pods. */
interface NodeSide {
  readonly lab: Lab;
  readonly client: LoadGenerator;
  /** The addresses of the endpoints, alike on all sides. */
  readonly endpoints: readonly string[];
}

/** The stage; see the module's comment. */
export class DataplaneStage implements AsyncDisposable {
  readonly #sides: Readonly<Record<Side, NodeSide>>;
  readonly #made: AsyncDisposableStack;

  private constructor(sides: Readonly<Record<Side, NodeSide>>, made: AsyncDisposableStack) {
    this.#sides = sides;
    this.#made = made;
  }

  /** Builds it. @throws {Error} when a part does not start, or a case does not answer */
  static async create(programs: DataplanePrograms): Promise<DataplaneStage> {
    await using made = new AsyncDisposableStack();
    const sides: Partial<Record<Side, NodeSide>> = {};
    for (const side of SIDES) sides[side] = await createSide(made, programs);
    const { lightpath, "kube-proxy": kubeProxy } = sides as Record<Side, NodeSide>;
    await startLightpath(made, lightpath, programs);
    await startKubeProxy(made, kubeProxy, programs);
    const stage = new DataplaneStage(sides as Record<Side, NodeSide>, made.move());
    try {
      for (const name of CASE_NAMES) await stage.#answers(name);
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
    return stage;
  }

  /** From where a case is called. */
  client(name: CaseName): LoadGenerator {
    return this.#sides[CASES[name].side].client;
  }

  /** Where a case is reached. */
  url(name: CaseName): string {
    return urlOf(name, this.#sides[CASES[name].side].endpoints[0]!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#made.disposeAsync();
  }

  /** kube-proxy does not say when it has programmed the node. */
  async #answers(name: CaseName): Promise<void> {
    const load = { url: this.url(name), connections: 1, durationMs: 100 };
    const deadlineMs = performance.now() + PATIENCE_MS;
    for (;;) {
      try {
        await runLoad(this.client(name), load);
        return;
      } catch (error) {
        if (performance.now() > deadlineMs) throw error;
        await delay(200);
      }
    }
  }
}

async function createSide(made: AsyncDisposableStack, { fortio }: DataplanePrograms): Promise<NodeSide> {
  const lab = made.use(await Lab.create());
  const endpoints: string[] = [];
  for (const host of [11, 12]) {
    const { namespace, ipv4 } = await lab.addPod({ name: `endpoint-${host}`, host });
    await startEndpoint(namespace, fortio);
    endpoints.push(ipv4);
  }
  const client = { fortio, from: (await lab.addPod({ name: "client", host: 100 })).namespace };
  // Each connection leaves its port behind for a minute, and there are 28,000.
  for (const namespace of [lab.node, client.from]) await namespace.sysctl({ "net/ipv4/tcp_tw_reuse": "1" });
  return { lab, client, endpoints };
}

async function startEndpoint(namespace: Namespace, fortio: string): Promise<void> {
  const { http, udp } = ENDPOINT_PORTS;
  const others = ["grpc", "redirect", "tcp"].flatMap((name) => [`-${name}-port`, "disabled"]);
  const ports = ["-http-port", String(http), "-udp-port", String(udp)];
  const server = namespace.spawn([fortio, "server", ...ports, ...others]);
  await server.waitForLine(/http-echo server listening/);
}

async function startLightpath(
  made: AsyncDisposableStack,
  { lab: { node }, endpoints }: NodeSide,
  { envoy, nft }: DataplanePrograms,
): Promise<void> {
  const folder = made.use(await ManifestFolder.create());
  await folder.write("services.yaml", manifests(endpoints).flatMap(({ service, slice }) => [service, slice]));
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

async function startKubeProxy(
  made: AsyncDisposableStack,
  { lab, endpoints }: NodeSide,
  { kubeProxy, etcd, kubeApiserver, env }: DataplanePrograms,
): Promise<void> {
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
    await writer.all(writes(lab, endpoints));
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
}

/** The node first, for which kube-proxy waits. */
function writes({ nodeAddresses }: Lab, endpoints: readonly string[]): ApiWrite[][] {
  const node = {
    metadata: { name: NODE_NAME },
    spec: { podCIDR: "10.244.0.0/24", podCIDRs: ["10.244.0.0/24"] },
    status: { addresses: [{ type: "InternalIP", address: nodeAddresses.ipv4 }] },
  };
  const create = (path: string, body: unknown): ApiWrite => ({ method: "POST", path, body });
  return [
    [create("/api/v1/nodes", node)],
    ...manifests(endpoints).map(({ service, slice }) => [
      create("/api/v1/namespaces/default/services", service),
      create("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice),
    ]),
  ];
}

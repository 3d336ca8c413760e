/**
 * The suite's cluster on this machine, without containers: a real etcd, kube-apiserver and kube-controller-manager; nodes and
 * pods are namespaces of the lab, in which the real programs run as their manifests say.
 *
 * In: the sources of two versions of Lightpath. Out: an `E2eCluster`; disposing it ends and removes everything.
 *
 *     kube-apiserver (this machine) <─ relay ── outside 192.168.77.1 <── agents, and pods by way of 10.96.0.1
 *                    └── connect proxy ──> node-a ──> ClusterIPs, as on a control plane node: how webhooks are called
 *
 * Invariant: the agents prove themselves by tokens of their service account and have the rights of deploy/; an administrator
 * is only the suite, and what stands for scheduler, kubelets and controllers.
 * @module
 */
import { join } from "@std/path/join";
import { VantagePoint } from "../../../commands/testing/vantage_point.ts";
import { NODE_ADDRESSES, OUTSIDE_ADDRESSES } from "../../lab/cluster_addresses.ts";
import { fromFileUrl } from "@std/path/from-file-url";
import { type ControlPlane, startControlPlane } from "../../lab/control_plane.ts";
import { startControllerManager } from "../../lab/controller_manager.ts";
import {
  Cluster,
  type ClusterNode,
  type ExecResult,
  type LoadProcess,
  type Namespace,
} from "../../lab/mod.ts";
import { Relay } from "../../lab/relay.ts";
import type { RunningProgram } from "../../lab/running_program.ts";
import { temporaryFolder } from "../../lab/temporary_folder.ts";
import { bundleLightpath } from "../../lightpath_command.ts";
import { withTools } from "../../tool_path.ts";
import { runProgram } from "../../tools/run_program.ts";
import {
  type ContainerName,
  type E2eCluster,
  type E2eNode,
  LOAD_BALANCER_IP,
  type Place,
} from "../cluster.ts";
import { KubeApi } from "../kube_api.ts";
import { CHECKOUT, previousVersion } from "../previous_version.ts";
import { containerCommand } from "./container_root.ts";
import { findImage, LOCAL_IMAGES, type LocalImage, localImages } from "./images.ts";
import { Kubelets } from "./kubelets.ts";

const TOOLS = [
  "conntrack",
  "envoy",
  "etcd",
  "ip",
  "kube-apiserver",
  "kube-controller-manager",
  "kube-proxy",
  "kustomize",
  "nft",
] as const;

const SERVICE_CIDRS = ["10.96.0.0/16", "fd00:96::/108"];
const CONNECT_PROXY = fromFileUrl(new URL("../../lab/connect_proxy.py", import.meta.url));
const START_DEADLINE_MS = 180_000;

/** Starts it. @throws {Error} with a sentence for each thing that cannot be had here */
export async function startLocalCluster(
  { previous, say }: { readonly previous: string; say(line: string): void },
): Promise<E2eCluster> {
  const tools = await withTools(TOOLS);
  if (tools.unavailable.length > 0) throw new Error(`no local cluster: ${tools.unavailable.join("; ")}`);
  const path = (tool: typeof TOOLS[number]): string => tools.paths.get(tool)!;
  await using made = new AsyncDisposableStack();
  const dir = await temporaryFolder(made, "lp-e2e-");

  const cluster = made.use(
    await Cluster.create({ prefixes: [...SERVICE_CIDRS, `${LOAD_BALANCER_IP}/32`], nft: path("nft") }),
  );
  const { nodes, outside } = cluster;
  const proxySocket = join(dir, "egress.sock");
  await nodes[0].namespace.spawn(["python3", CONNECT_PROXY, proxySocket]).waitForLine(/^listening$/);
  const bundled = bundleBoth(dir, previous);
  // Looked at where it is waited for; until then its failure is nobody's.
  bundled.catch(() => {});
  const planeDir = join(dir, "control-plane");
  await Deno.mkdir(planeDir);
  const plane = made.use(
    await startControlPlane({
      etcd: path("etcd"),
      kubeApiserver: path("kube-apiserver"),
      dir: planeDir,
      signal: AbortSignal.timeout(START_DEADLINE_MS),
      apiserverFlags: [
        `--advertise-address=${OUTSIDE_ADDRESSES.ipv4}`,
        "--endpoint-reconciler-type=lease",
        "--allow-privileged",
        `--egress-selector-config-file=${await egressThrough(proxySocket, dir)}`,
      ],
    }),
  );
  const relay = made.use(Relay.create({ port: plane.apiserverPort, dir }));
  await relay.enter(outside, OUTSIDE_ADDRESSES.ipv4);
  const ca = await Deno.readTextFile(plane.caFile);
  const api = made.use(
    new KubeApi({ origin: `https://127.0.0.1:${plane.apiserverPort}`, ca, token: plane.token("admin") }),
  );
  for (const node of nodes) await api.create("/api/v1/nodes", nodeObject(node));
  const { images, skipped } = await bundled.then(({ bundles, version }) => {
    say(`upgrades are from ${version.title}`);
    const options = { bundles, toolPath: tools.env["PATH"] ?? "" };
    return { images: localImages(options), skipped: version.skipped };
  });
  const vantagePoints = new Map<string, VantagePoint>();
  for (const { name, namespace } of nodes) vantagePoints.set(name, await VantagePoint.create(namespace, dir));
  const kubelets = made.use(
    new Kubelets({
      api,
      cluster,
      vantagePoints,
      images,
      ca,
      env: { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443" },
      dir,
    }),
  );
  const local = new LocalCluster({
    plane,
    api,
    cluster,
    kubelets,
    images,
    dir,
    env: tools.env,
    skipped,
    controllerManager: path("kube-controller-manager"),
    made: made.move(),
  });
  await local.startControllers();
  return local;
}

/** See `E2eCluster`. */
class LocalCluster implements E2eCluster {
  readonly api: KubeApi;
  readonly images = LOCAL_IMAGES;
  readonly nodes: readonly [E2eNode, E2eNode];
  readonly apiServer: E2eCluster["apiServer"];
  readonly clusterCidrs: readonly string[] = ["10.244.0.0/16", "fd00:10:244::/48"];
  readonly overlay = "standalone";
  readonly note =
    "containers run Lightpath's bundle by Deno and not its image; scheduler and kubelets are stand-ins";
  readonly skipped: readonly string[];
  readonly #plane: ControlPlane;
  readonly #cluster: Cluster;
  readonly #kubelets: Kubelets;
  readonly #images: ReadonlyMap<string, LocalImage>;
  readonly #dir: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #controllerManager: string;
  readonly #made: AsyncDisposableStack;
  #controllers: RunningProgram | undefined;

  constructor(parts: {
    readonly plane: ControlPlane;
    readonly api: KubeApi;
    readonly cluster: Cluster;
    readonly kubelets: Kubelets;
    readonly images: ReadonlyMap<string, LocalImage>;
    readonly dir: string;
    readonly env: Readonly<Record<string, string>>;
    readonly skipped: readonly string[];
    readonly controllerManager: string;
    readonly made: AsyncDisposableStack;
  }) {
    this.api = parts.api;
    this.skipped = parts.skipped;
    const [a, b] = parts.cluster.nodes;
    this.nodes = [{ name: a.name, ...a.addresses.primary }, { name: b.name, ...b.addresses.primary }];
    this.apiServer = { host: OUTSIDE_ADDRESSES.ipv4, port: parts.plane.apiserverPort };
    this.#plane = parts.plane;
    this.#cluster = parts.cluster;
    this.#kubelets = parts.kubelets;
    this.#images = parts.images;
    this.#dir = parts.dir;
    this.#env = parts.env;
    this.#controllerManager = parts.controllerManager;
    this.#made = parts.made;
  }

  async exec(
    place: Place,
    command: readonly string[],
    options: { readonly stdin?: string } = {},
  ): Promise<ExecResult> {
    return await this.#networkOf(place).exec(this.#withTools(command), options);
  }

  spawn(place: Place, command: readonly string[]): LoadProcess {
    return this.#networkOf(place).spawn(this.#withTools(command));
  }

  async onNode({ name }: E2eNode, command: readonly string[]): Promise<string> {
    const node = this.#cluster.nodes.find((one) => one.name === name);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return await node.namespace.run(command, { env: this.#env });
  }

  async killContainer({ namespace, pod, container }: ContainerName): Promise<void> {
    await this.#kubelets.pod(namespace, pod).container(container)?.kill();
  }

  async stopApiServer(): Promise<void> {
    await this.#plane.stopApiserver();
  }

  async startApiServer(): Promise<void> {
    await this.#plane.startApiserver();
    await this.startControllers();
  }

  /** As in a cluster where they had lost their lease: their own pauses are long by now. */
  async startControllers(): Promise<void> {
    await this.#controllers?.kill();
    const program = this.#controllerManager;
    const kubeconfig = await this.#plane.kubeconfig("admin");
    this.#controllers = startControllerManager({
      program,
      kubeconfig,
      dir: join(this.#dir, "control-plane"),
    });
  }

  async compactEtcd(): Promise<void> {
    await this.#plane.compactEtcd();
  }

  async logOf({ namespace, pod, container }: ContainerName): Promise<string> {
    return await Deno.readTextFile(this.#kubelets.pod(namespace, pod).logFile(container));
  }

  async keepLogs(folder: string): Promise<void> {
    await Deno.mkdir(folder, { recursive: true });
    await runProgram("sh", ["-c", `cp -r "$1"/logs "$1"/control-plane/*.log "$2"`, "sh", this.#dir, folder]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#controllers?.kill();
    await this.#made.disposeAsync();
  }

  #networkOf(place: Place): Namespace {
    return place === "outside" ? this.#cluster.outside : this.#kubelets.pod("default", place.pod).namespace;
  }

  /** What `kubectl exec` into a container of the image `tools` would run. */
  #withTools(command: readonly string[]): string[] {
    const { env, mounts } = findImage(this.#images, LOCAL_IMAGES.tools);
    return containerCommand({ command, env, mounts, securityContext: {} });
  }
}

/** @returns folders of bundles */
async function bundleBoth(dir: string, commit: string): Promise<{
  readonly bundles: { readonly current: string; readonly previous: string };
  readonly version: Awaited<ReturnType<typeof previousVersion>>;
}> {
  const bundle = async (name: string, checkout: string): Promise<string> => {
    const folder = join(dir, `bundle-${name}`);
    await Deno.mkdir(folder);
    await bundleLightpath(folder, { minify: false, checkout });
    return folder;
  };
  const version = await previousVersion(commit, dir);
  const [current, previous] = await Promise.all([
    bundle("current", CHECKOUT),
    bundle("previous", version.checkout),
  ]);
  // A container may run as somebody else than whoever made the folder.
  await Deno.chmod(dir, 0o755);
  return { bundles: { current, previous }, version };
}

/** @returns the file that makes the API server reach the cluster's network through a proxy */
async function egressThrough(socket: string, dir: string): Promise<string> {
  const file = join(dir, "egress.yaml");
  const connection = { proxyProtocol: "HTTPConnect", transport: { uds: { udsName: socket } } };
  await Deno.writeTextFile(
    file,
    JSON.stringify({
      apiVersion: "apiserver.k8s.io/v1beta1",
      kind: "EgressSelectorConfiguration",
      egressSelections: [{ name: "cluster", connection }],
    }),
  );
  return file;
}

function nodeObject({ name }: ClusterNode): unknown {
  const { ipv4, ipv6 } = NODE_ADDRESSES[name].primary;
  return {
    metadata: { name, labels: { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" } },
    status: {
      addresses: [ipv4, ipv6].map((address) => ({ type: "InternalIP", address })),
      conditions: [{ type: "Ready", status: "True" }],
    },
  };
}

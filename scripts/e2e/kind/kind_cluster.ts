/**
 * The suite's cluster of containers: kind, without kube-proxy, with images that are built for the run.
 *
 * In: Docker, kind and kubectl on the PATH; the sources of two versions of Lightpath. Out: an `E2eCluster`; disposing it deletes it.
 * Invariant: everything is done by the commands of `commands.ts`, each of which is bounded in time; the machine's own kubeconfig is
 * not touched.
 * @module
 */
import { fromFileUrl } from "@std/path/from-file-url";
import { join } from "@std/path/join";
import { until } from "../../../commands/testing/until.ts";
import type { ExecResult, LoadProcess } from "../../lab/mod.ts";
import { LabProcess } from "../../lab/process.ts";
import { outside, runToEnd, succeeded } from "../../lab/run_command.ts";
import { findProgram } from "../../tools/find_program.ts";
import type { ContainerName, E2eCluster, E2eNode, Images, Place } from "../cluster.ts";
import { KubeApi } from "../kube_api.ts";
import { CHECKOUT, previousVersion } from "../previous_version.ts";
import * as commands from "./commands.ts";

const PROGRAMS = ["docker", "kind", "kubectl"];

/** A build of an image from nothing is the longest. */
const LONGEST_COMMAND_S = 1_200;

/** What is missing for it, in a few words; undefined when nothing is. */
export async function kindUnavailable(): Promise<string | undefined> {
  const missing: string[] = [];
  for (const program of PROGRAMS) {
    if (await findProgram(program) === undefined) missing.push(program);
  }
  if (missing.length > 0) return `not on the PATH: ${missing.join(", ")}`;
  const { code } = await runToEnd(["timeout", "10", "docker", "info"], {});
  return code === 0 ? undefined : "Docker's daemon does not answer";
}

/** Names of images; kube-proxy's is of the cluster's own version. */
function imagesOf(kubernetesVersion: string): Images {
  return {
    current: "lightpath/lightpath:e2e-current",
    previous: "lightpath/lightpath:e2e-previous",
    tools: "lightpath/e2e-tools:current",
    kubeProxy: `registry.k8s.io/kube-proxy:${kubernetesVersion}`,
  };
}

/** The commands of a run that need no cluster to be written down, in their order; then those by which scenarios hurt it. */
export function dryRun(): string[] {
  const [kubeconfig, config, previous] = ["KUBECONFIG", "KIND-CONFIG", "SOURCES-OF-THE-PREVIOUS-COMMIT"];
  const images = imagesOf("VERSION-OF-THE-CLUSTER");
  const node = { ipv4: "IPV4-OF-A-NODE", ipv6: "IPV6-OF-A-NODE" };
  const pod = { namespace: "lightpath-system", pod: "POD", container: "agent" };
  const lines = (all: readonly (readonly string[])[]): string[] => all.map(inShell);
  return [
    `# ${config}: ${commands.kindConfig()}`,
    ...lines(commands.removeAll()),
    ...lines(builds(images, previous)),
    ...lines([
      commands.createCluster(config, kubeconfig),
      commands.loadImages(builtImages(images)),
      commands.showCredentials(kubeconfig),
      commands.startOutside(images.tools),
      ...commands.routesToNode(node),
    ]),
    "# what scenarios do",
    ...lines([
      commands.inPod(kubeconfig, "client-a", ["python3", "/lab/ask.py"]),
      commands.inPod(kubeconfig, "client-a", commands.sayingItsPid(["deno", "run", "/lab/load_client.ts"])),
      commands.onContainer(commands.OUTSIDE, ["python3", "/lab/ask.py"]),
      commands.onContainer("NODE", commands.killContainer(pod)),
      commands.onContainer("NODE", ["nft", "delete", "table", "inet", "lightpath"]),
      commands.onContainer(commands.CONTROL_PLANE, commands.stopApiServer()),
      commands.onContainer(commands.CONTROL_PLANE, commands.startApiServer()),
      commands.onContainer(commands.CONTROL_PLANE, commands.compactEtcd()),
      commands.containerLog(kubeconfig, pod),
      commands.exportLogs("LOGS"),
    ]),
    "# in the end",
    ...lines(commands.removeAll()),
  ];
}

/** Makes the cluster. @throws {Error} with the words of the command that failed */
export async function startKindCluster(
  { previous, say }: { readonly previous: string; say(line: string): void },
): Promise<E2eCluster> {
  await using made = new AsyncDisposableStack();
  const dir = await Deno.makeTempDir({ prefix: "lightpath-e2e-" });
  made.defer(() => Deno.remove(dir, { recursive: true }));
  const run = async (command: readonly string[]): Promise<string> => {
    say(`+ ${inShell(command)}`);
    return await runBounded(command);
  };
  const version = await previousVersion(previous, dir);
  say(`upgrades are from ${version.title}`);
  // Of a run that was killed.
  for (const command of commands.removeAll()) await run(command);
  made.defer(async () => {
    for (const command of commands.removeAll()) await run(command);
  });
  const [kubeconfig, config] = [join(dir, "kubeconfig"), join(dir, "kind.yaml")];
  await Deno.writeTextFile(config, commands.kindConfig());
  for (const command of builds(imagesOf(""), version.checkout)) await run(command);
  await run(commands.createCluster(config, kubeconfig));
  await run(commands.loadImages(builtImages(imagesOf(""))));
  const api = made.use(new KubeApi(readCredentials(await run(commands.showCredentials(kubeconfig)))));
  const { gitVersion } = await api.get<{ readonly gitVersion: string }>("/version");
  const { nodes, controlPlane } = await readNodes(api);
  await run(commands.startOutside(imagesOf("").tools));
  for (const command of commands.routesToNode(nodes[0])) await run(command);
  return new KindCluster({
    api,
    images: imagesOf(gitVersion),
    nodes,
    apiServer: { host: controlPlane, port: 6443 },
    skipped: version.skipped,
    kubeconfig,
    made: made.move(),
  });
}

/** See `E2eCluster`. */
class KindCluster implements E2eCluster {
  readonly api: KubeApi;
  readonly images: Images;
  readonly nodes: readonly [E2eNode, E2eNode];
  readonly apiServer: E2eCluster["apiServer"];
  readonly clusterCidrs = commands.POD_SUBNETS;
  readonly overlay = "kind";
  readonly note = undefined;
  readonly skipped: readonly string[];
  readonly #kubeconfig: string;
  readonly #made: AsyncDisposableStack;

  constructor(
    parts: Pick<E2eCluster, "api" | "images" | "nodes" | "apiServer" | "skipped"> & {
      readonly kubeconfig: string;
      readonly made: AsyncDisposableStack;
    },
  ) {
    this.api = parts.api;
    this.images = parts.images;
    this.nodes = parts.nodes;
    this.apiServer = parts.apiServer;
    this.skipped = parts.skipped;
    this.#kubeconfig = parts.kubeconfig;
    this.#made = parts.made;
  }

  async exec(
    place: Place,
    command: readonly string[],
    options: { readonly stdin?: string } = {},
  ): Promise<ExecResult> {
    return await runToEnd(this.#at(place, command), options);
  }

  spawn(place: Place, command: readonly string[]): LoadProcess {
    const child = outside(this.#at(place, commands.sayingItsPid(command)), { stdin: "null" }).spawn();
    const process = new LabProcess(child, { title: command.join(" "), onLine: undefined });
    return {
      status: process.status,
      waitForLine: (pattern, options) => process.waitForLine(pattern, options),
      stop: async () => {
        const pid = (await process.waitForLine(/^pid \d+$/)).slice("pid ".length);
        await this.exec(place, ["kill", "-TERM", pid]);
        return await process.status;
      },
    };
  }

  async onNode({ name }: E2eNode, command: readonly string[]): Promise<string> {
    return await runBounded(commands.onContainer(name, command));
  }

  async killContainer({ namespace, pod, container }: ContainerName): Promise<void> {
    const path = `/api/v1/namespaces/${namespace}/pods/${pod}`;
    const { spec } = await this.api.get<{ readonly spec: { readonly nodeName: string } }>(path);
    await runBounded(commands.onContainer(spec.nodeName, commands.killContainer({ pod, container })));
  }

  async stopApiServer(): Promise<void> {
    await runBounded(commands.onContainer(commands.CONTROL_PLANE, commands.stopApiServer()));
  }

  async startApiServer(): Promise<void> {
    await runBounded(commands.onContainer(commands.CONTROL_PLANE, commands.startApiServer()));
    await until("the API server", () => this.api.get("/version").then(() => "there", String), {
      wanted: (state) => state === "there",
      timeoutMs: 120_000,
    });
  }

  async compactEtcd(): Promise<void> {
    await runBounded(commands.onContainer(commands.CONTROL_PLANE, commands.compactEtcd()));
  }

  async logOf(name: ContainerName): Promise<string> {
    return await runBounded(commands.containerLog(this.#kubeconfig, name));
  }

  async keepLogs(folder: string): Promise<void> {
    await runBounded(commands.exportLogs(folder));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#made.disposeAsync();
  }

  #at(place: Place, command: readonly string[]): string[] {
    return place === "outside"
      ? commands.onContainer(commands.OUTSIDE, command)
      : commands.inPod(this.#kubeconfig, place.pod, command);
  }
}

function builds({ current, previous, tools }: Images, previousCheckout: string): string[][] {
  return [
    commands.buildImage(current, CHECKOUT),
    commands.buildImage(previous, previousCheckout),
    commands.buildImage(
      tools,
      join(CHECKOUT, "scripts/lab"),
      fromFileUrl(new URL("./tools.Dockerfile", import.meta.url)),
    ),
  ];
}

function builtImages({ current, previous, tools }: Images): string[] {
  return [current, previous, tools];
}

async function runBounded(command: readonly string[]): Promise<string> {
  const bounded = ["timeout", "--signal=KILL", String(LONGEST_COMMAND_S), ...command];
  return succeeded(await runToEnd(bounded, {}), inShell(command));
}

function readCredentials(kubeconfig: string): ConstructorParameters<typeof KubeApi>[0] {
  const { clusters: [{ cluster }], users: [{ user }] } = JSON.parse(kubeconfig) as {
    clusters: [{ cluster: { server: string; "certificate-authority-data": string } }];
    users: [{ user: { "client-certificate-data": string; "client-key-data": string } }];
  };
  return {
    origin: cluster.server,
    ca: atob(cluster["certificate-authority-data"]),
    certificate: { cert: atob(user["client-certificate-data"]), key: atob(user["client-key-data"]) },
  };
}

/** @returns the two nodes that run pods; an address of the one that runs the API server */
async function readNodes(
  api: KubeApi,
): Promise<{ readonly nodes: readonly [E2eNode, E2eNode]; readonly controlPlane: string }> {
  interface Node {
    readonly metadata: { readonly name: string };
    readonly status: { readonly addresses: readonly { readonly type: string; readonly address: string }[] };
  }
  const all = (await api.list<Node>("/api/v1/nodes")).map(({ metadata: { name }, status: { addresses } }) => {
    const own = addresses.filter(({ type }) => type === "InternalIP").map(({ address }) => address);
    const ipv6 = own.find((address) => address.includes(":")) ?? "";
    return { name, ipv4: own.find((address) => !address.includes(":")) ?? "", ipv6 };
  });
  const [a, b] = all.filter(({ name }) => name !== commands.CONTROL_PLANE);
  const controlPlane = all.find(({ name }) => name === commands.CONTROL_PLANE);
  if (a === undefined || b === undefined || controlPlane === undefined) {
    throw new Error(`kind made other nodes than it was told: ${all.map(({ name }) => name).join(", ")}`);
  }
  return { nodes: [a, b], controlPlane: controlPlane.ipv4 };
}

/** As a shell takes it. */
export function inShell(command: readonly string[]): string {
  return command.map((word) => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)
    .join(" ");
}

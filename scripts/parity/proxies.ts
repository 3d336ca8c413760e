/**
 * The proxies the cases are run against, and how each is started on both nodes.
 *
 * In: a stage, all scenarios' objects. Out: a running proxy that has programmed all of them; disposing it ends it, and its
 * traces in the kernel end with the stage.
 * Invariants: kube-proxy reads a real API server, which judged the objects; Lightpath reads the same objects as manifests.
 * NodePorts are served at node-b's other addresses only, so that both the default and the flag are seen.
 * @module
 */
import { join } from "@std/path/join";
import { ApiWriter } from "../lab/api_writer.ts";
import { startControlPlane } from "../lab/control_plane.ts";
import type { ClusterNode, LabProcess } from "../lab/mod.ts";
import { Relay } from "../lab/relay.ts";
import { renderKubeconfig } from "../lab/service_account.ts";
import { lightpathCommand } from "../lightpath_command.ts";
import { withTools } from "../tool_path.ts";
import type { ToolName } from "../tools/mod.ts";
import { byFamily, CLUSTER_CIDRS, SERVICE_CIDRS, ZONES } from "./addresses.ts";
import { writesOf } from "./api_objects.ts";
import type { KubeObject } from "./objects.ts";
import type { Stage } from "./stage.ts";

/** Lightpath three times: TCP carried by Envoy, and by the kernel; and by Envoy where iptables redirects, which then connects in the node's name. */
export type ProxyName = "kube-proxy" | "lightpath" | "lightpath-kernel" | "lightpath-iptables";

/** In the order in which they are run. */
export const PROXY_NAMES: readonly ProxyName[] = [
  "kube-proxy",
  "lightpath",
  "lightpath-kernel",
  "lightpath-iptables",
];

/** Which iptables is used where iptables is. */
export const IPTABLES_VARIANTS = ["iptables-nft", "iptables-legacy"] as const;
export type IptablesVariant = typeof IPTABLES_VARIANTS[number];

/** What each needs beside the lab, with iptables-nft where it needs iptables. */
export const PROXY_TOOLS: Readonly<Record<ProxyName, readonly ToolName[]>> = {
  "kube-proxy": ["kube-proxy", "etcd", "kube-apiserver", "nft", "conntrack"],
  "lightpath": ["envoy", "nft"],
  "lightpath-kernel": ["envoy", "nft"],
  // nft is the lab's: its routers drop what is not for the pods they lead to.
  "lightpath-iptables": ["envoy", "nft", "ipset", "iptables-nft"],
};

/** At work on both nodes. */
export interface RunningProxy extends AsyncDisposable {
  /** One for each node. */
  readonly processes: readonly LabProcess[];
}

/** The programs a proxy needs. */
export interface Tools {
  readonly path: (tool: ToolName) => string;
  readonly env: Readonly<Record<string, string>>;
  readonly iptables: IptablesVariant;
}

/** Finds or fetches what a proxy needs. @throws {Error} With a sentence for each thing that cannot be had */
export async function findTools(name: ProxyName, iptables: IptablesVariant = "iptables-nft"): Promise<Tools> {
  const names = PROXY_TOOLS[name].map((tool) => tool === "iptables-nft" ? iptables : tool);
  const tools = await withTools(names);
  if (tools.unavailable.length > 0) throw new Error(`no ${name} here: ${tools.unavailable.join("; ")}`);
  return { path: (tool) => tools.paths.get(tool) ?? tool, env: tools.env, iptables };
}

/** Starts a proxy; that it has programmed everything is not waited for. */
export async function startProxy(
  name: ProxyName,
  { stage, tools }: { readonly stage: Stage; readonly tools: Tools },
  objects: readonly KubeObject[],
): Promise<RunningProxy> {
  const { path } = tools;
  const { dir } = stage;
  if (name === "kube-proxy") return await startKubeProxies(stage, { objects, tools });
  const manifests = join(dir, `${name}-manifests`);
  await Deno.mkdir(manifests);
  await Deno.writeTextFile(
    join(manifests, "all.yaml"),
    objects.map((object) => JSON.stringify(object)).join("\n---\n"),
  );
  const processes = stage.nodes.map((node) =>
    node.namespace.spawn([
      ...lightpathCommand(),
      "agent",
      `--manifests=${manifests}`,
      `--node-name=${node.name}`,
      `--zone=${ZONES[node.name]}`,
      `--run-dir=${join("/run", node.name)}`,
      "--state-dir=",
      `--cluster-cidr=${Object.values(CLUSTER_CIDRS).join(",")}`,
      // kube-proxy reads them from the API server.
      `--service-cidr=${Object.values(SERVICE_CIDRS).join(",")}`,
      `--nft-bin=${path("nft")}`,
      `--envoy-bin=${path("envoy")}`,
      "--envoy-concurrency=1",
      ...nodePortFlags(node),
      ...flagsOf(name, tools),
    ])
  );
  return running(processes);
}

function flagsOf(name: Exclude<ProxyName, "kube-proxy">, { path, iptables }: Tools): string[] {
  switch (name) {
    case "lightpath":
      return [];
    case "lightpath-kernel":
      return ["--tcp-path=kernel"];
    case "lightpath-iptables":
      return [
        "--redirect=iptables",
        `--iptables-bin=${path(iptables)}`,
        `--ipset-bin=${path("ipset")}`,
      ];
    default:
      return name satisfies never;
  }
}

async function startKubeProxies(
  stage: Stage,
  { objects, tools: { path, env } }: { readonly objects: readonly KubeObject[]; readonly tools: Tools },
): Promise<RunningProxy> {
  await using made = new AsyncDisposableStack();
  const dir = join(stage.dir, "control-plane");
  await Deno.mkdir(dir);
  const plane = made.use(
    await startControlPlane({
      etcd: path("etcd"),
      kubeApiserver: path("kube-apiserver"),
      dir,
      signal: AbortSignal.timeout(120_000),
    }),
  );
  const access = {
    host: "127.0.0.1",
    port: plane.apiserverPort,
    token: plane.token("admin"),
    ca: await Deno.readTextFile(plane.caFile),
  };
  {
    using writer = new ApiWriter(access);
    await writer.all(writesOf(stage.nodes.map(({ name }) => name), objects));
  }
  const relay = made.use(Relay.create({ port: plane.apiserverPort, dir: stage.dir }));
  for (const { namespace } of stage.nodes) await relay.enter(namespace);
  const kubeconfig = join(dir, "kube-proxy.kubeconfig");
  await Deno.writeTextFile(kubeconfig, renderKubeconfig(access));
  const processes = stage.nodes.map((node) =>
    node.namespace.spawn([
      path("kube-proxy"),
      `--kubeconfig=${kubeconfig}`,
      `--hostname-override=${node.name}`,
      "--proxy-mode=nftables",
      `--cluster-cidr=${Object.values(CLUSTER_CIDRS).join(",")}`,
      ...nodePortFlags(node),
      // Kernel settings that are the host's, not the namespace's, stay as they are.
      "--conntrack-max-per-core=0",
      "--conntrack-min=0",
      "--conntrack-tcp-timeout-established=0s",
      "--conntrack-tcp-timeout-close-wait=0s",
    ], { env })
  );
  return running(processes, made.move());
}

function nodePortFlags({ name, addresses }: ClusterNode): string[] {
  if (name === "node-a") return [];
  const { IPv4, IPv6 } = byFamily(addresses.secondary);
  return [`--nodeport-addresses=${IPv4}/32,${IPv6}/128`];
}

function running(processes: readonly LabProcess[], made?: AsyncDisposableStack): RunningProxy {
  return {
    processes,
    async [Symbol.asyncDispose](): Promise<void> {
      await Promise.all(processes.map((process) => process.stop({ graceMs: 15_000 })));
      await made?.disposeAsync();
    },
  };
}

/**
 * kube-proxy and Lightpath on both nodes of a scenario, reading the same API server.
 *
 * In: nodes, how the API server is reached. Out: running programs with their process ids; after `stop` the nodes' kernels hold
 * nothing of them, nor of the connections they translated.
 * Invariants: both have the settings they come with, but for what one machine cannot give to two nodes. Lightpath is bundled, as in
 * its image; the access log of its Envoy is written, and read by nobody.
 * @module
 */
import { join } from "@std/path/join";
import type { ClusterNode, LabProcess } from "../../lab/mod.ts";
import { processIds } from "../../lab/process.ts";
import { type ApiAccess, giveServiceAccount, renderKubeconfig } from "../../lab/service_account.ts";
import { BUNDLED_ENVIRONMENT, bundledCommand } from "../../lightpath_command.ts";
import { CLUSTER_CIDRS } from "../../parity/addresses.ts";
import { parseParent } from "../process_figures.ts";
import type { Side } from "./catalog.ts";

/** Paths of programs, and an environment in which they find each other. */
export interface ProxyPrograms {
  /** Lightpath's bundle. */
  readonly lightpath: string;
  readonly envoy: string;
  readonly nft: string;
  readonly conntrack: string;
  readonly kubeProxy: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Where and for whom they are started. */
export interface ProxyOptions {
  readonly nodes: readonly ClusterNode[];
  readonly access: ApiAccess;
  /** A folder for kube-proxy's kubeconfig. */
  readonly dir: string;
  readonly programs: ProxyPrograms;
  /** Beside each other; Lightpath serves what is labelled for it. */
  readonly isParallel: boolean;
}

/** A program whose figures are of interest. */
export type ProgramName = "agent" | "envoy" | "kube-proxy";

/** At work on both nodes. */
export interface RunningProxy {
  /** Of each program a process id per node. */
  readonly pids: Readonly<Partial<Record<ProgramName, readonly number[]>>>;
  /** What they said last. */
  recentOutput(): string;
  stop(): Promise<void>;
}

/** Where Lightpath says how it is when kube-proxy has the usual ports. */
const OTHER_PORTS = ["--healthz-bind-address=127.0.0.1:11256", "--metrics-bind-address=127.0.0.1:11249"];

/** Starts one. Lightpath is ready then; kube-proxy does not say when it is. */
export async function startProxy(side: Side, options: ProxyOptions): Promise<RunningProxy> {
  switch (side) {
    case "kube-proxy":
      return await startKubeProxies(options);
    case "lightpath":
      return await startLightpaths(options);
    default:
      throw new TypeError(`unknown proxy ${side satisfies never}`);
  }
}

async function startKubeProxies({ nodes, access, dir, programs }: ProxyOptions): Promise<RunningProxy> {
  const { kubeProxy, nft, conntrack, env } = programs;
  const kubeconfig = join(dir, "kube-proxy.kubeconfig");
  await Deno.writeTextFile(kubeconfig, renderKubeconfig(access));
  const processes = nodes.map(({ name, namespace }) =>
    namespace.spawn([
      kubeProxy,
      `--kubeconfig=${kubeconfig}`,
      `--hostname-override=${name}`,
      "--proxy-mode=nftables",
      `--cluster-cidr=${CLUSTER_CIDRS.IPv4}`,
      // Kernel settings that are the host's, not the namespace's, stay as they are.
      ...["--conntrack-max-per-core=0", "--conntrack-min=0"],
      ...["--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s"],
    ], { env })
  );
  return {
    pids: { "kube-proxy": await Promise.all(processes.map((process) => process.pid())) },
    recentOutput: () => lastWords(processes),
    stop: async () => {
      await stopAll(processes);
      for (const { namespace } of nodes) {
        await namespace.run([nft, "flush", "ruleset"]);
        await namespace.run([conntrack, "-F"], { env });
      }
    },
  };
}

async function startLightpaths({ nodes, access, programs, isParallel }: ProxyOptions): Promise<RunningProxy> {
  const { lightpath, envoy, nft, conntrack, env } = programs;
  // One mount namespace for both nodes.
  const serviceAccount = await giveServiceAccount(nodes[0]!.namespace, access);
  const environment = { ...env, ...BUNDLED_ENVIRONMENT, ...serviceAccount };
  const processes = nodes.map(({ name, namespace }) =>
    namespace.spawn([
      ...["sh", "-c", 'exec "$@" >/dev/null', "sh"],
      ...[...bundledCommand(lightpath), "agent"],
      ...[`--node-name=${name}`, `--run-dir=/run/${name}`, `--nft-bin=${nft}`],
      // Every start is a first one.
      "--state-dir=",
      `--envoy-bin=${envoy}`,
      "--envoy-concurrency=1",
      `--cluster-cidr=${CLUSTER_CIDRS.IPv4}`,
      ...isParallel ? ["--service-proxy-name=lightpath.cloud", ...OTHER_PORTS] : [],
    ], { env: environment })
  );
  await Promise.all(processes.map((process) => process.waitForLine(/ INFO +ready$/, { timeoutMs: 60_000 })));
  const agents = await Promise.all(processes.map((process) => process.pid()));
  return {
    pids: { agent: agents, envoy: agents.map(envoyOf) },
    recentOutput: () => lastWords(processes),
    stop: async () => {
      await stopAll(processes);
      for (const { namespace } of nodes) {
        await namespace.run([...bundledCommand(lightpath), "cleanup", `--nft-bin=${nft}`], {
          env: environment,
        });
        await namespace.run([conntrack, "-F"], { env });
      }
    },
  };
}

/** The Envoy that an agent runs. */
function envoyOf(agent: number): number {
  for (const pid of processIds()) {
    try {
      if (parseParent(Deno.readTextFileSync(`/proc/${pid}/stat`)) !== agent) continue;
      if (Deno.readTextFileSync(`/proc/${pid}/comm`).trim() === "envoy") return pid;
    } catch (error) {
      // It ended between the listing and the reading.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(`the agent with process id ${agent} runs no Envoy`);
}

async function stopAll(processes: readonly LabProcess[]): Promise<void> {
  await Promise.all(processes.map((process) => process.stop({ graceMs: 15_000 })));
}

function lastWords(processes: readonly LabProcess[]): string {
  return processes.map((process) => process.recentOutput()).join("\n");
}

/**
 * Lightpath and its peers: how each is started on a node, and what of it is left to clean up.
 *
 * In: a stage with a real API server. Out: running programs, by name.
 * Invariant: after `stop` the node's kernel holds nothing of any of them.
 * @module
 */
import { basename } from "@std/path/basename";
import { join } from "@std/path/join";
import type { LabProcess } from "../lab/mod.ts";
import { renderKubeconfig } from "../lab/service_account.ts";
import { ensureTool, type ToolName } from "../tools/mod.ts";
import { progress } from "../tool_path.ts";
import { NODE_NAME, type NodeStage } from "./node_stage.ts";
import type { PeerName } from "./peer_names.ts";

/** What they need beside what a stage does. */
export const PEER_TOOLS: readonly ToolName[] = ["kube-proxy", "nft", "iptables-nft", "conntrack"];

/** A peer at work. */
export interface RunningPeer {
  /** When what programs the node was started, on the clock of `performance.now()`. */
  readonly startedMs: number;
  /** What programs the node. */
  readonly agent: LabProcess;
  /** What carries its traffic, when that is a process. */
  readonly proxy: LabProcess | undefined;
  stop(): Promise<void>;
}

/** Programs beside those of the stage. */
export interface PeerPrograms {
  readonly kubeProxy: string;
  readonly nft: string;
  /** A folder with `iptables` and its companions and `conntrack` under those names. */
  readonly iptablesFolder: string;
}

/** Starts a peer; that it works already is not waited for. */
export async function startPeer(
  name: PeerName,
  stage: NodeStage,
  programs: PeerPrograms,
): Promise<RunningPeer> {
  switch (name) {
    case "lightpath": {
      const proxy = await stage.startEnvoy();
      const { command, flags, env } = stage.agentOptions;
      const startedMs = performance.now();
      const agent = stage.lab.node.spawn([...command, ...flags], { env });
      return {
        startedMs,
        agent,
        proxy,
        stop: async () => {
          await agent.stop({ graceMs: 15_000 });
          await proxy.stop();
          await stage.cleanUp();
        },
      };
    }
    case "kube-proxy nftables":
      return await startKubeProxy("nftables", stage, programs);
    case "kube-proxy iptables":
      return await startKubeProxy("iptables", stage, programs);
    default:
      throw new TypeError(`unknown peer ${name satisfies never}`);
  }
}

async function startKubeProxy(
  mode: "nftables" | "iptables",
  { lab, world, dir }: NodeStage,
  { kubeProxy, nft, iptablesFolder }: PeerPrograms,
): Promise<RunningPeer> {
  const kubeconfig = join(dir, "kube-proxy.kubeconfig");
  await Deno.writeTextFile(kubeconfig, renderKubeconfig(world.access));
  const path = `${iptablesFolder}:${Deno.env.get("PATH") ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`;
  const startedMs = performance.now();
  const agent = lab.node.spawn([
    kubeProxy,
    `--kubeconfig=${kubeconfig}`,
    `--hostname-override=${NODE_NAME}`,
    `--proxy-mode=${mode}`,
    "--cluster-cidr=10.244.0.0/16",
    "--healthz-bind-address=127.0.0.1:10256",
    "--metrics-bind-address=127.0.0.1:10249",
    // Kernel settings that are the host's, not the namespace's, stay as they are.
    "--conntrack-max-per-core=0",
    "--conntrack-min=0",
    "--conntrack-tcp-timeout-established=0s",
    "--conntrack-tcp-timeout-close-wait=0s",
  ], { env: { PATH: path } });
  return {
    startedMs,
    agent,
    proxy: undefined,
    stop: async () => {
      await agent.stop({ graceMs: 15_000 });
      // iptables' rules are in nftables too (iptables-nft).
      await lab.node.run([nft, "flush", "ruleset"]);
    },
  };
}

/**
 * Finds or fetches what the peers need, and puts iptables' programs into `dir` under the names kube-proxy calls.
 * @throws {Error} With one sentence for each thing that cannot be had.
 */
export async function preparePeers(dir: string): Promise<PeerPrograms> {
  const paths: string[] = [];
  for (const name of PEER_TOOLS) {
    const tool = await ensureTool(name, { onProgress: progress });
    if (tool.path === undefined) throw new Error(`cannot compare here: ${tool.unavailable}`);
    paths.push(tool.path);
  }
  const [kubeProxy = "", nft = "", iptables = "", conntrack = ""] = paths;
  const iptablesFolder = join(dir, "bin");
  await Deno.mkdir(iptablesFolder);
  await Deno.symlink(conntrack, join(iptablesFolder, "conntrack"));
  await Deno.symlink(nft, join(iptablesFolder, "nft"));
  for (const program of ["iptables", "ip6tables"]) {
    for (const suffix of ["", "-save", "-restore"]) {
      await provide(iptables, {
        called: `${program}-nft${suffix}`,
        as: join(iptablesFolder, `${program}${suffix}`),
      });
    }
  }
  return { kubeProxy, nft, iptablesFolder };
}

/** Makes a companion of a program callable: a fetched program is a script that names it, an installed one lies beside it. */
async function provide(
  program: string,
  { called, as }: { readonly called: string; readonly as: string },
): Promise<void> {
  const head = new Uint8Array(2);
  {
    using file = await Deno.open(program);
    await file.read(head);
  }
  if (new TextDecoder().decode(head) !== "#!") {
    await Deno.symlink(join(program, "..", called), as);
    return;
  }
  const script = await Deno.readTextFile(program);
  const exec = `/${basename(program)}' "$@"`;
  await Deno.writeTextFile(as, script.replace(exec, `/${called}' "$@"`), { mode: 0o755 });
}

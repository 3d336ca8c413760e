/**
 * Measures one peer, by what a client sees: nothing is asked of the program itself.
 *
 * In: a stage, a peer. Out: a number per figure.
 * @module
 */
import { delay } from "@std/async/delay";
import type { VantagePoint } from "../../commands/testing/vantage_point.ts";
import { steadyChanges } from "./change_plans.ts";
import { type FigureDefinition, type Figures, quantile } from "./figures.ts";
import type { NodeStage } from "./node_stage.ts";
import type { PeerName } from "./peer_names.ts";
import { type PeerPrograms, startPeer } from "./peer_programs.ts";
import { cpuPercents, descendantsResidentMB, residentMB } from "./process_figures.ts";
import { portOf, usedServices, vipOf } from "./world.ts";
import type { Change, Generations } from "./world_host.ts";

/** What is compared. */
export type PeerFigure =
  | "start_ms"
  | "change_p50_ms"
  | "change_max_ms"
  | "changes_measured"
  | "agent_rss_mb"
  | "total_rss_mb"
  | "cpu_idle_pct"
  | "total_cpu_idle_pct"
  | "cpu_100_per_s_pct"
  | "total_cpu_100_per_s_pct";

/** In the order of the table. */
export const PEER_FIGURES: Readonly<Record<PeerFigure, FigureDefinition>> = {
  start_ms: {
    label: "started (Envoy runs already) until every VIP in use answers",
    unit: "ms",
    summarize: "median",
  },
  change_p50_ms: {
    label: "a Service's port, API write to a client's first answer, p50",
    unit: "ms",
    summarize: "median",
  },
  change_max_ms: { label: "  the same, worst", unit: "ms", summarize: "median" },
  changes_measured: { label: "  so many of them were measured", unit: "", summarize: "max" },
  agent_rss_mb: {
    label: "resident, what programs the node, its nft included",
    unit: "MB",
    summarize: "median",
  },
  total_rss_mb: { label: "  with Envoy, where there is one", unit: "MB", summarize: "median" },
  cpu_idle_pct: { label: "CPU at rest, what programs the node", unit: "%", summarize: "median" },
  total_cpu_idle_pct: { label: "  with Envoy, where there is one", unit: "%", summarize: "median" },
  cpu_100_per_s_pct: {
    label: "CPU at 100 changes per second, what programs the node",
    unit: "%",
    summarize: "median",
  },
  total_cpu_100_per_s_pct: { label: "  with Envoy, where there is one", unit: "%", summarize: "median" },
};

/** How much is measured. */
export interface PeerEffort {
  /** Port changes that are counted, one at a time; even, so that every port ends where it began. */
  readonly changes: number;
  /** Changes before those, even too. */
  readonly warmUpChanges: number;
  /** After so long no further pair of changes is begun. */
  readonly changesMs: number;
  readonly pauseMs: number;
  readonly idleMs: number;
  readonly steadySeconds: number;
}

/** What a measurement needs beside the stage. */
export interface PeerOptions {
  readonly programs: PeerPrograms;
  readonly client: VantagePoint;
  readonly effort: PeerEffort;
  /** Counts the changes of the stage's world, over all peers. */
  readonly generations: Generations;
}

/**
 * From one change's arrival to the next change: more than the second that kube-proxy leaves between two rounds
 * (`--min-sync-period`), or every change would measure that instead.
 */
const BETWEEN_CHANGES_MS = 1_500;
/** kube-proxy's slowest mode takes half a minute for one change at 10,000 Services. */
const PATIENCE_MS = 600_000;

/** Runs a peer from start to end. @throws {Error} when it does not serve, with its last words */
export async function measurePeer(
  name: PeerName,
  stage: NodeStage,
  options: PeerOptions,
): Promise<Figures<PeerFigure>> {
  const { programs, effort } = options;
  const peer = await startPeer(name, stage, programs);
  const ended = peer.agent.status.then(() => {
    throw new Error("it ended");
  });
  // It does end some day.
  ended.catch(() => {});
  try {
    const vips = Array.from({ length: usedServices(stage.shape) }, (_, index) => `${vipOf(index)}:80`);
    await Promise.race([stage.askAll(vips, { giveUpMs: PATIENCE_MS }), ended]);
    const start_ms = performance.now() - peer.startedMs;
    await delay(effort.pauseMs);
    const agentPid = await peer.agent.pid();
    const pids = [agentPid, ...(peer.proxy === undefined ? [] : [await peer.proxy.pid()])];
    const [cpu_idle_pct = 0, proxyIdle = 0] = await cpuPercents(pids, () => delay(effort.idleMs));
    const tookMs = await changePorts(stage, options);
    const changes = steadyChanges(stage.shape, effort.steadySeconds * 100);
    const [cpu_100_per_s_pct = 0, proxyBusy = 0] = await cpuPercents(
      pids,
      () => stage.world.pace(changes, 100),
    );
    await delay(effort.pauseMs);
    const agent_rss_mb = await residentMB(agentPid) + await descendantsResidentMB(agentPid);
    const proxyMB = peer.proxy === undefined ? 0 : await residentMB(await peer.proxy.pid());
    return {
      start_ms,
      change_p50_ms: quantile(tookMs, 0.5),
      change_max_ms: Math.max(...tookMs),
      changes_measured: tookMs.length,
      agent_rss_mb,
      total_rss_mb: agent_rss_mb + proxyMB,
      cpu_idle_pct,
      total_cpu_idle_pct: cpu_idle_pct + proxyIdle,
      cpu_100_per_s_pct,
      total_cpu_100_per_s_pct: cpu_100_per_s_pct + proxyBusy,
    };
  } catch (error) {
    throw new Error(`${name}: ${error}\n${peer.agent.recentOutput()}`, { cause: error });
  } finally {
    await peer.stop();
  }
}

/** Each change is over when a client in a pod is answered at the new port. */
async function changePorts(
  { world, shape }: NodeStage,
  { client, effort, generations }: PeerOptions,
): Promise<number[]> {
  const tookMs: number[] = [];
  let beganMs = Infinity;
  for (let number = 0; number < effort.warmUpChanges + effort.changes; number++) {
    if (number === effort.warmUpChanges) beganMs = performance.now();
    if (number % 2 === 0 && performance.now() - beganMs > effort.changesMs) break;
    await delay(BETWEEN_CHANGES_MS);
    const change: Change = { index: (number >> 1) % usedServices(shape), kind: "port" };
    const destination = `${vipOf(change.index)}:${portOf(generations.advance(change))}`;
    await world.stage([change]);
    const startMs = performance.now();
    await world.write();
    await answered(client, destination);
    if (number >= effort.warmUpChanges) tookMs.push(performance.now() - startMs);
  }
  return tookMs;
}

/**
 * Resolves at the first answer. Attempts overlap, because one that comes too early may hang; they become rarer with time,
 * so that they cost the one measured little.
 */
async function answered(client: VantagePoint, destination: string): Promise<void> {
  const startMs = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let over = false;
  promise.then(() => over = true, () => over = true);
  async function attempt(): Promise<void> {
    const { outcome, status } = await client.http(destination, { timeoutMs: 1_000 });
    if (outcome === "answered" && status === 200) resolve();
  }
  while (!over) {
    const waitedMs = performance.now() - startMs;
    if (waitedMs > PATIENCE_MS) reject(new Error(`${destination} never answered`));
    attempt().catch(reject);
    await Promise.race([promise, delay(Math.min(50, 3 + waitedMs / 20))]);
  }
  await promise;
}

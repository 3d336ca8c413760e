/**
 * One repetition of `bench scale`: an Envoy and an agent from nothing to the end, measured on the way.
 *
 * In: a stage whose world is complete, and how long to look at each thing. Out: a number per figure.
 * Invariant: it leaves the stage as it found it but for the world's state, which goes on from repetition to repetition.
 * @module
 */
import { delay } from "@std/async/delay";
import { sumOf } from "../demo/metrics_text.ts";
import { type LabProcess, request, startLoad } from "../lab/mod.ts";
import { burstChanges, singleChanges, steadyChanges } from "./change_plans.ts";
import { type Figures, mean, quantile } from "./figures.ts";
import { MeasuredAgent } from "./measured_agent.ts";
import type { NodeStage } from "./node_stage.ts";
import { cpuPercent, descendantsResidentMB, peakResidentMB, residentMB } from "./process_figures.ts";
import type { Effort } from "./scale_effort.ts";
import type { ScaleFigure } from "./scale_figures.ts";
import { usedServices, vipOf } from "./world.ts";

const CHANGES_PER_SECOND = 100;

/** What a repetition found. */
export interface Repetition {
  readonly figures: Figures<ScaleFigure>;
  readonly milestones: {
    readonly coldStart: Milestones;
    readonly restart: Milestones;
  };
}

/** When an agent logged what for the first time, in milliseconds from its start: where the start's time goes. */
export type Milestones = Readonly<Record<string, number>>;

/** Runs one repetition. @throws {Error} when something does not work, with the agent's last words */
export async function runRepetition(stage: NodeStage, effort: Effort): Promise<Repetition> {
  await using ending = new AsyncDisposableStack();
  ending.defer(() => stage.cleanUp());
  const envoy = await stage.startEnvoy();
  ending.defer(async () => void await envoy.stop());
  const cold = await startCold(stage);
  const coldStart = milestonesOf(cold.agent);
  let agent = cold.agent;
  ending.defer(() => agent.stop());
  const atRest = await lookAtRest(agent, envoy, effort);
  const single = await changeOneByOne(stage, agent, effort);
  const steady = await changeSteadily(stage, agent, effort);
  const burst = await changeAtOnce(stage, agent, effort);
  await delay(effort.pauseMs);
  const agentPid = await agent.process.pid();
  const agent_rss_end_mb = await residentMB(agentPid);
  const nft_rss_mb = await descendantsResidentMB(agentPid);
  const restarted = await restart(stage, agent, effort);
  agent = restarted.agent;
  return {
    figures: {
      ...cold.figures,
      ...atRest,
      ...single,
      ...steady,
      ...burst,
      agent_rss_end_mb,
      nft_rss_mb,
      ...restarted.figures,
    },
    milestones: {
      coldStart,
      restart: milestonesOf(restarted.agent),
    },
  };
}

function milestonesOf({ progress, startedMs }: MeasuredAgent): Milestones {
  return Object.fromEntries(
    [...progress.milestones].map(([message, ms]) => [message, Math.round(ms - startedMs)]),
  );
}

function destinationsOf(stage: NodeStage): string[] {
  return Array.from({ length: usedServices(stage.shape) }, (_, index) => `${vipOf(index)}:80`);
}

/** What a start gave. */
interface Started {
  readonly agent: MeasuredAgent;
  readonly figures: Figures<ScaleFigure>;
}

async function startCold(stage: NodeStage): Promise<Started> {
  const { agent, readyMs } = await MeasuredAgent.start(stage.lab.node, stage.agentOptions);
  try {
    const { tookMs } = await stage.askAll(destinationsOf(stage));
    return {
      agent,
      figures: {
        cold_start_ms: readyMs + tookMs,
        cold_start_ready_ms: readyMs,
        cold_start_vips_ms: tookMs,
      },
    };
  } catch (error) {
    await agent.stop();
    throw new Error(`${error}\n${agent.process.recentOutput()}`, { cause: error });
  }
}

async function lookAtRest(
  agent: MeasuredAgent,
  envoy: LabProcess,
  effort: Effort,
): Promise<Figures<ScaleFigure>> {
  await delay(effort.pauseMs);
  const [agentPid, envoyPid] = [await agent.process.pid(), await envoy.pid()];
  const cpu_idle_pct = await cpuPercent(agentPid, () => delay(effort.idleMs));
  const [agent_rss_mb, envoy_rss_mb] = [await residentMB(agentPid), await residentMB(envoyPid)];
  return {
    cpu_idle_pct,
    agent_rss_mb,
    envoy_rss_mb,
    agent_and_envoy_rss_mb: agent_rss_mb + envoy_rss_mb,
    agent_peak_rss_mb: await peakResidentMB(agentPid),
  };
}

/** Each change waits for the one before. */
async function changeOneByOne(
  { world, shape }: NodeStage,
  agent: MeasuredAgent,
  effort: Effort,
): Promise<Figures<ScaleFigure>> {
  const tookMs = { endpoints: [] as number[], port: [] as number[] };
  const bytes = { endpoints: [] as number[], port: [] as number[] };
  const writesMs: number[] = [];
  const changes = singleChanges(shape, effort.warmUpChanges + effort.singleChanges);
  for (const [number, change] of changes.entries()) {
    await world.stage([change]);
    const before = agent.progress.counts;
    const startMs = performance.now();
    const writeMs = await world.write();
    const { atMs, came } = await agent.settled(before, { programmed: 1, taken: 1 });
    if (came.refused > 0) throw new Error(`Envoy refused a change:\n${agent.process.recentOutput()}`);
    if (number < effort.warmUpChanges) continue;
    tookMs[change.kind].push(atMs - startMs);
    bytes[change.kind].push(came.bytesSent);
    writesMs.push(writeMs);
  }
  const all = [...tookMs.endpoints, ...tookMs.port];
  return {
    change_p50_ms: quantile(all, 0.5),
    change_p99_ms: quantile(all, 0.99),
    endpoint_change_p50_ms: quantile(tookMs.endpoints, 0.5),
    service_change_p50_ms: quantile(tookMs.port, 0.5),
    api_write_p50_ms: quantile(writesMs, 0.5),
    xds_bytes_per_endpoint_change: mean(bytes.endpoints),
    xds_bytes_per_service_change: mean(bytes.port),
  };
}

async function changeSteadily(
  { world, shape }: NodeStage,
  agent: MeasuredAgent,
  effort: Effort,
): Promise<Figures<ScaleFigure>> {
  const changes = steadyChanges(shape, effort.steadySeconds * CHANGES_PER_SECOND);
  const before = agent.progress.counts;
  const cpu_100_per_s_pct = await cpuPercent(
    await agent.process.pid(),
    () => world.pace(changes, CHANGES_PER_SECOND),
  );
  await agent.settled(before, { programmed: changes.length, taken: 1 });
  return { cpu_100_per_s_pct };
}

async function changeAtOnce(
  { world, shape }: NodeStage,
  agent: MeasuredAgent,
  effort: Effort,
): Promise<Figures<ScaleFigure>> {
  const changes = burstChanges(shape, effort.burst);
  await world.stage(changes);
  const before = agent.progress.counts;
  const startMs = performance.now();
  const written = world.write();
  // A Service that is changed more than once may be what it was when the agent looks.
  const sent = shape.services < effort.burst ? 0 : usedServices(shape);
  const { atMs, came } = await agent.settled(before, { programmed: changes.length, taken: 1, sent });
  const burst_write_ms = await written;
  if (came.refused > 0) throw new Error(`Envoy refused a change:\n${agent.process.recentOutput()}`);
  return { burst_1000_ms: atMs - startMs, burst_write_ms };
}

/** Restarts the agent under clients that call: one with new connections over HTTP, one on a kept TCP connection. */
async function restart(
  stage: NodeStage,
  agent: MeasuredAgent,
  effort: Effort,
): Promise<Started> {
  const { node } = stage.lab;
  const loads = [
    { url: `http://${vipOf(0)}:80/`, newConnections: true },
    { url: `http://${vipOf(1)}:80/`, newConnections: false },
  ].map((load) => startLoad(stage.client.namespace, { ...load, connections: 2, pauseMs: 5 }));
  for (const load of loads) await load.started();
  await delay(effort.restartMarginMs);
  await agent.stop();
  const next = await MeasuredAgent.start(node, stage.agentOptions);
  try {
    await delay(effort.restartMarginMs);
    await next.agent.settled(next.agent.progress.counts, { programmed: 0, taken: 0 });
    const { body } = await request(node, "http://127.0.0.1:10249/metrics");
    const reports = await Promise.all(loads.map((load) => load.stop()));
    return {
      agent: next.agent,
      figures: {
        restart_ready_ms: next.readyMs,
        restart_resources_resent: sumOf(body, "lightpath_xds_resources_sent_total"),
        restart_failed_requests: reports.reduce((sum, { failed }) => sum + failed, 0),
      },
    };
  } catch (error) {
    await next.agent.stop();
    throw error;
  }
}

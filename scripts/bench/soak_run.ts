/**
 * One run of `bench soak`: an agent and an Envoy under churn and traffic, then the reckoning.
 *
 * In: a stage whose world is complete. Out: figures, and in words what is wrong.
 * @module
 */
import { delay } from "@std/async/delay";
import { fromFileUrl } from "@std/path/from-file-url";
import { type LabProcess, type LoadReport, type LoadRun, startLoad } from "../lab/mod.ts";
import { Churn } from "./churn.ts";
import type { Figures } from "./figures.ts";
import { MeasuredAgent } from "./measured_agent.ts";
import { disagreements, type NodeViews } from "./node_views.ts";
import type { NodeStage } from "./node_stage.ts";
import { openFiles, residentMB } from "./process_figures.ts";
import type { SoakFigure } from "./soak_figures.ts";
import { trendOf } from "./trend.ts";
import { isPresent, portOf, usedServices, vipOf } from "./world.ts";

const NODE_READER = fromFileUrl(new URL("./node_reader.ts", import.meta.url));

/** Longer than Envoy keeps idle connections to endpoints, a second. */
const QUIET_MS = 2_500;
const SAMPLE_MS = 1_000;
/** Instead of being spread over its second, every so many batches are written at once, and this many times as large. */
const BURST_EVERY = 10;
const BURST_SIZE = 5;
/** The four may take that long to agree; that they agree is what counts here, how fast is measured elsewhere. */
const AGREEMENT_MS = 10_000;

/** How much. */
export interface SoakOptions {
  readonly minutes: number;
  /** Changes per second. */
  readonly rate: number;
  readonly seed: number;
  readonly onProgress: (line: string) => void;
}

/** What a run found. */
export interface SoakOutcome {
  readonly figures: Figures<SoakFigure>;
  /** In words; empty when all agree. */
  readonly differences: readonly string[];
  /** Requests that failed, by what happened. */
  readonly errors: Readonly<Record<string, number>>;
  /** Resident memory, second by second. */
  readonly samplesMB: { readonly agent: readonly number[]; readonly envoy: readonly number[] };
}

/** A client of a Service; every one asks two connections side by side. */
const CLIENTS = [
  { index: 0, newConnections: true }, // HTTP path
  { index: 1, newConnections: true }, // TCP path
  { index: 2, newConnections: false },
  { index: 3, newConnections: false },
] as const;

/** Runs it. @throws {Error} when something does not work at all, with the agent's last words */
export async function runSoak(stage: NodeStage, options: SoakOptions): Promise<SoakOutcome> {
  await using ending = new AsyncDisposableStack();
  ending.defer(() => stage.cleanUp());
  const envoy = await stage.startEnvoy();
  ending.defer(async () => void await envoy.stop());
  const { agent } = await MeasuredAgent.start(stage.lab.node, stage.agentOptions);
  ending.defer(() => agent.stop());
  try {
    const used = Array.from({ length: usedServices(stage.shape) }, (_, index) => index);
    await stage.askAll(used.map((index) => `${vipOf(index)}:80`));
    return await soak(stage, { agent: agent.process, envoy, used }, options);
  } catch (error) {
    throw new Error(`${error}\n${agent.process.recentOutput()}`, { cause: error });
  }
}

interface Watched {
  readonly agent: LabProcess;
  readonly envoy: LabProcess;
  /** Services whose Clusters Envoy holds. */
  readonly used: readonly number[];
}

async function soak(
  stage: NodeStage,
  { agent, envoy, used }: Watched,
  { minutes, rate, seed, onProgress }: SoakOptions,
): Promise<SoakOutcome> {
  const [agentPid, envoyPid] = [await agent.pid(), await envoy.pid()];
  const churn = new Churn({ shape: stage.shape, withClients: CLIENTS.length, seed });
  // So that everything that is opened once, at the first change, is open.
  await stage.world.pace(churn.next(rate), rate);
  await delay(QUIET_MS);
  const before = { agent: await openFiles(agentPid), envoy: await openFiles(envoyPid) };

  const loads = await startClients(stage);
  const samples = { agent: [] as number[], envoy: [] as number[] };
  const over = new AbortController();
  const sampling = (async (): Promise<void> => {
    while (!over.signal.aborted) {
      samples.agent.push(await residentMB(agentPid));
      samples.envoy.push(await residentMB(envoyPid));
      await delay(SAMPLE_MS);
    }
  })();
  const changes = await churnFor(stage, churn, { minutes, rate, onProgress });
  const reports = await Promise.all(loads.map((load) => load.stop()));
  over.abort();
  await sampling;

  const lastChangeMs = performance.now();
  const differences = await disagreementsInTheEnd(stage);
  const agreedAfterMs = performance.now() - lastChangeMs;
  await delay(QUIET_MS);
  const after = { agent: await openFiles(agentPid), envoy: await openFiles(envoyPid) };
  const [agentTrend, envoyTrend] = [trendOf(samples.agent, SAMPLE_MS), trendOf(samples.envoy, SAMPLE_MS)];
  return {
    figures: {
      changes,
      requests: sum(reports, ({ requests }) => requests),
      failed_requests: sum(reports, ({ failed }) => failed),
      disagreements: differences.length,
      agreed_after_ms: agreedAfterMs,
      unanswered_vips: await unansweredVips(stage, churn, used),
      agent_rss_mb: agentTrend.last,
      agent_rss_growth_mb: agentTrend.growth,
      agent_rss_noise_mb: agentTrend.noise,
      agent_rss_mb_per_hour: agentTrend.perHour,
      envoy_rss_mb: envoyTrend.last,
      envoy_rss_growth_mb: envoyTrend.growth,
      envoy_rss_noise_mb: envoyTrend.noise,
      envoy_rss_mb_per_hour: envoyTrend.perHour,
      agent_fds_leaked: Math.max(0, after.agent - before.agent),
      envoy_fds_leaked: Math.max(0, after.envoy - before.envoy),
    },
    differences,
    errors: errorsOf(reports),
    samplesMB: { agent: samples.agent.map(Math.round), envoy: samples.envoy.map(Math.round) },
  };
}

async function startClients({ client }: NodeStage): Promise<readonly LoadRun[]> {
  const loads = CLIENTS.map(({ index, newConnections }) =>
    startLoad(client.namespace, {
      url: `http://${vipOf(index)}:80/`,
      newConnections,
      connections: 2,
      pauseMs: 10,
    })
  );
  for (const load of loads) await load.started();
  return loads;
}

/** @returns how many changes were made */
async function churnFor(
  { world }: NodeStage,
  churn: Churn,
  { minutes, rate, onProgress }: Omit<SoakOptions, "seed">,
): Promise<number> {
  const endMs = performance.now() + minutes * 60_000;
  let made = 0;
  let reportedMs = performance.now();
  for (let batch = 1; performance.now() < endMs; batch++) {
    const isBurst = batch % BURST_EVERY === 0;
    const changes = churn.next(isBurst ? rate * BURST_SIZE : rate);
    if (isBurst) {
      await world.stage(changes);
      await world.write();
    } else {
      await world.pace(changes, rate);
    }
    made += changes.length;
    if (performance.now() - reportedMs > 60_000) {
      reportedMs = performance.now();
      onProgress(`${made} changes; ${Math.ceil((endMs - reportedMs) / 60_000)} minutes left`);
    }
  }
  return made;
}

/** Reads until all agree, or for long enough. */
async function disagreementsInTheEnd(stage: NodeStage): Promise<readonly string[]> {
  const deadlineMs = performance.now() + AGREEMENT_MS;
  for (;;) {
    const flags = ["run", "--allow-all", "--no-check", "--cached-only", NODE_READER, stage.nft];
    const env = { ...stage.agentOptions.env };
    const output = await stage.lab.node.run([Deno.execPath(), ...flags], { env });
    const found = disagreements(JSON.parse(output) as NodeViews);
    if (found.length === 0 || performance.now() > deadlineMs) return found;
    await delay(500);
  }
}

/** Asks every Service that has been in use where it is now. */
async function unansweredVips(stage: NodeStage, churn: Churn, used: readonly number[]): Promise<number> {
  const answering = used.filter((index) => {
    const generation = churn.of(index);
    return isPresent(generation) && generation.readiness % 2 === 0;
  });
  const destinations = answering.map((index) => `${vipOf(index)}:${portOf(churn.of(index))}`);
  return (await stage.ask(destinations, { giveUpMs: 5_000 })).unanswered.length;
}

function sum(reports: readonly LoadReport[], of: (report: LoadReport) => number): number {
  return reports.reduce((total, report) => total + of(report), 0);
}

function errorsOf(reports: readonly LoadReport[]): Readonly<Record<string, number>> {
  const errors: Record<string, number> = {};
  for (const [error, count] of reports.flatMap((report) => Object.entries(report.errors))) {
    errors[error] = (errors[error] ?? 0) + count;
  }
  return errors;
}

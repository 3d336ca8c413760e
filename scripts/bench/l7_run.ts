/**
 * Measures the cases of `bench l7`, round by round.
 *
 * In: a stage, how much. Out: of each case its figures in each round.
 *
 * In a round every case is loaded once in each way, in an order drawn anew; the two of a pair right after one another, so that
 * they meet the machine in the same mood. Many short rounds say more than a few long ones.
 * @module
 */
import type { Figures } from "./figures.ts";
import { CASE_NAMES, type CaseName, CASES, PAIRS } from "./l7_cases.ts";
import type { L7Figure, Rounds } from "./l7_figures.ts";
import { cpuMicroseconds, type LoadResult, runLoad } from "./fortio.ts";
import type { L7Stage } from "./l7_stage.ts";

/** How much to measure. */
export interface L7Effort {
  readonly rounds: number;
  /** Of each case, each way it is loaded. */
  readonly durationMs: number;
}

/** Keep-alive connections of the client. */
const CONNECTIONS = 20;

/** Calls a second while latency is measured: far from what either side can do. */
const MODERATE_RATE = 1_000;

/** Calls a second when hardly anything happens: what is not in a processor's caches by then each call fetches anew. */
const CALM_RATE = 100;

/** Connections that are opened and closed one after the other at the same time. */
const OPENERS = 4;

/** Runs all rounds. @throws {Error} when a request fails */
export async function runRounds(stage: L7Stage, { rounds, durationMs }: L7Effort): Promise<Rounds> {
  const found = new Map<CaseName, Figures<L7Figure>[]>(CASE_NAMES.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const group of shuffledGroups()) {
      const measured = new Map<CaseName, Figures<L7Figure>>(group.map((name) => [name, {}]));
      for (const way of WAYS) {
        for (const name of group) {
          measured.set(name, { ...measured.get(name), ...await way(stage, name, durationMs) });
        }
      }
      for (const [name, figures] of measured) found.get(name)!.push(figures);
    }
  }
  return found;
}

/** A way to load a case, and what figures come of it. */
type Way = (stage: L7Stage, name: CaseName, durationMs: number) => Promise<Figures<L7Figure>>;

const WAYS: readonly Way[] = [atFullSpeed, atModerateRate, atCalmRate, withNewConnections];

async function atFullSpeed(stage: L7Stage, name: CaseName, durationMs: number): Promise<Figures<L7Figure>> {
  const load = { url: stage.url(name), connections: CONNECTIONS, durationMs };
  const { result, cpuUs } = await withCpu(stage.pid(name), () => runLoad(stage.client, load));
  return {
    requestsPerSecond: result.perSecond,
    ...(cpuUs === undefined ? {} : { cpuUs: cpuUs / result.calls }),
  };
}

async function atModerateRate(
  stage: L7Stage,
  name: CaseName,
  durationMs: number,
): Promise<Figures<L7Figure>> {
  const load = { url: stage.url(name), connections: CONNECTIONS, durationMs, rate: MODERATE_RATE };
  const { p50Ms, p99Ms } = await runLoad(stage.client, load);
  return { p50Ms, p99Ms };
}

async function atCalmRate(stage: L7Stage, name: CaseName, durationMs: number): Promise<Figures<L7Figure>> {
  // As many calls as there are connections are the first of theirs.
  const load = {
    url: stage.url(name),
    connections: CONNECTIONS,
    durationMs: 3 * durationMs,
    rate: CALM_RATE,
  };
  const { p50Ms: calmP50Ms } = await runLoad(stage.client, load);
  return { calmP50Ms };
}

async function withNewConnections(
  stage: L7Stage,
  name: CaseName,
  durationMs: number,
): Promise<Figures<L7Figure>> {
  if (!CASES[name].opensConnections) return {};
  const load = { url: stage.url(name), connections: OPENERS, durationMs, newConnections: true };
  const { perSecond } = await runLoad(stage.client, load);
  return { connectionsPerSecond: perSecond };
}

/** What a process used while something ran. */
async function withCpu(
  pid: number | undefined,
  run: () => Promise<LoadResult>,
): Promise<{ readonly result: LoadResult; readonly cpuUs?: number }> {
  if (pid === undefined) return { result: await run() };
  const before = await cpuMicroseconds(pid);
  const result = await run();
  return { result, cpuUs: await cpuMicroseconds(pid) - before };
}

/** The pairs and those that are alone, in an order drawn anew, and within a pair too. */
function shuffledGroups(): (readonly CaseName[])[] {
  const paired = new Set(PAIRS.flat());
  const alone = CASE_NAMES.filter((name) => !paired.has(name)).map((name) => [name]);
  return shuffled([...alone, ...PAIRS.map(shuffled<CaseName>)]);
}

function shuffled<T>(values: readonly T[]): T[] {
  return values.map((value) => ({ value, order: Math.random() })).toSorted((a, b) => a.order - b.order)
    .map(({ value }) => value);
}

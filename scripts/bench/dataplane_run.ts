/**
 * Measures the cases of `bench dataplane`, round by round.
 *
 * In: a stage, how much. Out: of each case its figures in each round.
 *
 * In a round every case is loaded once in each way; all cases of a protocol in one way right after one another, in an order drawn
 * anew, so that they meet the machine in the same mood.
 * @module
 */
import { CASE_NAMES, type CaseName, CASES, casesOf, GROUPS } from "./dataplane_cases.ts";
import type { DataplaneFigure, Rounds } from "./dataplane_figures.ts";
import type { DataplaneStage } from "./dataplane_stage.ts";
import type { Figures } from "./figures.ts";
import { runLoad } from "./fortio.ts";

/** How much to measure. */
export interface DataplaneEffort {
  readonly rounds: number;
  /** Of each case, each way it is loaded. */
  readonly durationMs: number;
}

/** Connections of the client, or sockets from which it sends datagrams. */
const CONNECTIONS = 20;

/** Calls a second while latency is measured: far from what any of them can do. */
const MODERATE_RATE = 1_000;

/** Connections that are opened and closed one after the other at the same time. */
const OPENERS = 4;

/** Bytes sent and sent back in one call while throughput is measured (fortio reads at most 128 KiB), and how many calls are under way. */
const LARGE_BYTES = 64 * 1024;
const LARGE_CALLS = 4;

/** Runs all rounds. @throws {Error} when a call fails */
export async function runRounds(
  stage: DataplaneStage,
  { rounds, durationMs }: DataplaneEffort,
): Promise<Rounds> {
  const found = new Map<CaseName, Figures<DataplaneFigure>[]>(CASE_NAMES.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const group of shuffled(GROUPS)) {
      const names = casesOf(group);
      const measured = new Map<CaseName, Figures<DataplaneFigure>>(names.map((name) => [name, {}]));
      for (const way of WAYS) {
        for (const name of shuffled(names)) {
          await stage.enforce(name);
          measured.set(name, { ...measured.get(name), ...await way(stage, name, durationMs) });
        }
      }
      for (const [name, figures] of measured) found.get(name)!.push(figures);
    }
  }
  return found;
}

/** A way to load a case, and what figures come of it. */
type Way = (stage: DataplaneStage, name: CaseName, durationMs: number) => Promise<Figures<DataplaneFigure>>;

const WAYS: readonly Way[] = [
  async (stage, name, durationMs) => {
    const load = { url: stage.url(name), connections: CONNECTIONS, durationMs };
    const { perSecond } = await runLoad(stage.client, load);
    return { requestsPerSecond: perSecond };
  },
  async (stage, name, durationMs) => {
    const load = { url: stage.url(name), connections: CONNECTIONS, durationMs, rate: MODERATE_RATE };
    const { p50Ms, p99Ms } = await runLoad(stage.client, load);
    return { p50Ms, p99Ms };
  },
  async (stage, name, durationMs) => {
    if (CASES[name].scheme === "udp") return {};
    const load = { url: stage.url(name), connections: LARGE_CALLS, durationMs, payloadBytes: LARGE_BYTES };
    const { perSecond } = await runLoad(stage.client, load);
    return { megabytesPerSecond: perSecond * LARGE_BYTES / 1e6 };
  },
  async (stage, name, durationMs) => {
    if (CASES[name].scheme === "udp") return {};
    const load = { url: stage.url(name), connections: OPENERS, durationMs, newConnections: true };
    const { perSecond } = await runLoad(stage.client, load);
    return { connectionsPerSecond: perSecond };
  },
];

function shuffled<T>(values: readonly T[]): T[] {
  return values.map((value) => ({ value, order: Math.random() })).toSorted((a, b) => a.order - b.order)
    .map(({ value }) => value);
}

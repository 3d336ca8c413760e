/**
 * Reads fortio's result as a load's figures.
 *
 * In: the JSON of one run. Out: rates, latencies in milliseconds, requests by what became of them. Pure.
 * Latencies are of all requests, those that failed included, as fortio counts them.
 * @module
 */

/** Which percentiles are kept: those of the manifests' `-p`. */
export const PERCENTILES = [10, 25, 50, 75, 90, 95, 99, 99.9] as const;

/** What came of a load. */
export interface LoadOutcome {
  readonly requests: number;
  readonly wantedPerSecond: number;
  readonly perSecond: number;
  /** Requests that were not answered with 200. */
  readonly failed: number;
  /** Requests by status; -1: no answer. */
  readonly codes: Readonly<Record<string, number>>;
  readonly meanMs: number;
  readonly maxMs: number;
  /** In the order of {@linkcode PERCENTILES}. */
  readonly percentilesMs: readonly number[];
}

interface FortioResult {
  readonly RequestedQPS: string;
  readonly ActualQPS: number;
  readonly RetCodes: Readonly<Record<string, number>>;
  readonly DurationHistogram: {
    readonly Count: number;
    readonly Avg: number;
    readonly Max: number;
    readonly Percentiles: readonly { readonly Percentile: number; readonly Value: number }[];
  };
}

/** Reads it. @throws {Error} when nothing was asked, or a percentile lacks */
export function readOutcome(text: string): LoadOutcome {
  const result = JSON.parse(text) as FortioResult;
  const { Count: requests, Avg, Max, Percentiles } = result.DurationHistogram;
  if (requests === 0) throw new Error("a load without requests");
  return {
    requests,
    wantedPerSecond: Number(result.RequestedQPS),
    perSecond: result.ActualQPS,
    failed: requests - (result.RetCodes["200"] ?? 0),
    codes: result.RetCodes,
    meanMs: 1_000 * Avg,
    maxMs: 1_000 * Max,
    percentilesMs: PERCENTILES.map((wanted) => {
      const found = Percentiles.find(({ Percentile }) => Percentile === wanted);
      if (found === undefined) throw new Error(`fortio was not asked for p${wanted}`);
      return 1_000 * found.Value;
    }),
  };
}

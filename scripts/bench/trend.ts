/**
 * Whether something grows without end, from samples of it. Pure.
 *
 * In: values taken at even intervals. Out: how much the last third is above the first, what the values scatter by in
 * those, and the slope. The first quarter is left out: caches fill and code is compiled then.
 * @module
 */
import { quantile } from "./figures.ts";

/** What became of a value over time. */
export interface Trend {
  readonly last: number;
  /** Median of the last third minus that of the first. */
  readonly growth: number;
  /** The larger difference between highest and lowest within those thirds: growth below it says nothing. */
  readonly noise: number;
  /** Median of the slopes between all pairs of samples (Theil and Sen): a single outlier does not move it. */
  readonly perHour: number;
}

/** More pairs would only cost time. */
const MAX_POINTS = 200;

/** Judges samples; NaN where there are too few to tell. */
export function trendOf(samples: readonly number[], intervalMs: number): Trend {
  const settled = samples.slice(samples.length >> 2);
  const third = Math.floor(settled.length / 3);
  const [first, last] = [settled.slice(0, third), settled.slice(settled.length - third)];
  return {
    last: samples.at(-1) ?? NaN,
    growth: quantile(last, 0.5) - quantile(first, 0.5),
    noise: third === 0 ? NaN : Math.max(spread(first), spread(last)),
    perHour: slope(settled) * 3600_000 / intervalMs,
  };
}

function spread(values: readonly number[]): number {
  return Math.max(...values) - Math.min(...values);
}

/** Per sample. */
function slope(values: readonly number[]): number {
  const step = Math.max(1, Math.ceil(values.length / MAX_POINTS));
  const slopes: number[] = [];
  for (let a = 0; a < values.length; a += step) {
    for (let b = a + step; b < values.length; b += step) {
      slopes.push((values[b]! - values[a]!) / (b - a));
    }
  }
  return quantile(slopes, 0.5);
}

/**
 * Milliseconds as protobuf's Duration.
 * @module
 */
import type { Duration } from "../../protos/mod.ts";

/** The Duration of a whole number of milliseconds, 0 or more. */
export function durationOf(ms: number): Duration {
  return { seconds: Math.floor(ms / 1_000), nanos: ms % 1_000 * 1_000_000 };
}

/** The same as JSON: `1.5s`. */
export function secondsOf(ms: number): string {
  return `${ms / 1_000}s`;
}

/**
 * Milliseconds as protobuf's Duration.
 * @module
 */
import type { Duration } from "../../protos/mod.ts";

/** A Duration of so many milliseconds. */
export function protoDuration(milliseconds: number): Duration {
  return { seconds: Math.floor(milliseconds / 1_000), nanos: milliseconds % 1_000 * 1_000_000 };
}

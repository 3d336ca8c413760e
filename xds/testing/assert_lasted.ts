/**
 * How long Envoy says that something lasted, held to the limit that ended it.
 * @module
 */
import { assert } from "@std/assert/assert";

/**
 * Envoy's timers run from the moment at which its event loop last looked at the clock, which on a busy machine is some
 * milliseconds before the request that the timer is for.
 */
const EARLY_MS = 50;

/** How much later a busy machine may see that it is time. */
const LATE_MS = 3_000;

/** Asserts that a duration of the access log can be the work of this limit: not shorter, and not so long that it is another's. */
export function assertLasted(durationMs: number | undefined, limitMs: number): void {
  const lasted = durationMs !== undefined && durationMs > limitMs - EARLY_MS &&
    durationMs < limitMs + LATE_MS;
  assert(lasted, `${durationMs} ms instead of ${limitMs}`);
}

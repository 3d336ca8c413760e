import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { Random } from "../../agent/model/testing/random.ts";
import { trendOf } from "./trend.ts";

const MINUTE_MS = 60_000;

/** An hour of samples that scatter by 4 MB, after a start that is 10 MB lower. */
function samples(leakPerHour: number): number[] {
  const random = new Random(1);
  return Array.from(
    { length: 60 },
    (_, minute) => (minute < 10 ? 90 : 100) + random.next() * 4 + leakPerHour * minute / 60,
  );
}

Deno.test("trendOf() takes scatter and a start for no growth, a leak for what it is", () => {
  const steady = trendOf(samples(0), MINUTE_MS);
  assert(steady.growth <= steady.noise && Math.abs(steady.perHour) < 2, JSON.stringify(steady));
  const leaking = trendOf(samples(60), MINUTE_MS);
  assert(leaking.growth > leaking.noise && Math.abs(leaking.perHour - 60) < 3, JSON.stringify(leaking));
});

Deno.test("trendOf() knows nothing from too few samples", () => {
  assertEquals(trendOf([5], MINUTE_MS), { last: 5, growth: NaN, noise: NaN, perHour: NaN });
  assertEquals(trendOf([], MINUTE_MS).last, NaN);
});

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { KEPT_MS, MAX_CLUSTERS, WorkingSet, WorkingSetFormatError } from "./working_set.ts";

const NOW_MS = Date.parse("2026-03-01T12:00:00Z");

Deno.test("WorkingSet: the last used comes first, also when it was known", () => {
  const set = new WorkingSet();
  set.used(["a", "b"], NOW_MS);
  set.used(["c"], NOW_MS + 1);
  set.used(["a"], NOW_MS + 2);
  assertEquals(set.names(NOW_MS + 2), ["a", "c", "b"]);
});

Deno.test("WorkingSet: what is not used for long is not given out and not written, and comes back by being used", () => {
  const set = new WorkingSet();
  set.used(["old"], NOW_MS);
  set.used(["new"], NOW_MS + 1);
  assertEquals(set.names(NOW_MS + KEPT_MS - 1), ["new", "old"]);
  assertEquals(set.names(NOW_MS + KEPT_MS), ["new"]);
  assert(!set.render(NOW_MS + KEPT_MS).includes("old"));
  set.used(["old"], NOW_MS + KEPT_MS);
  assertEquals(set.names(NOW_MS + KEPT_MS), ["old", "new"]);
});

Deno.test("WorkingSet: what a reconnecting Envoy holds is taken in, but being held is not being used", () => {
  const set = new WorkingSet();
  set.used(["known"], NOW_MS);
  assertEquals(set.held(["known", "unknown"], NOW_MS + KEPT_MS - 1), true);
  assertEquals(set.held(["known", "unknown"], NOW_MS + KEPT_MS - 1), false);
  assertEquals(set.names(NOW_MS + KEPT_MS), ["unknown"]);
});

Deno.test("WorkingSet: one name too many pushes out the longest unused", () => {
  const set = new WorkingSet();
  set.used(Array.from({ length: MAX_CLUSTERS }, (_, index) => `n${index}`), NOW_MS);
  set.used(["n0", "another"], NOW_MS);
  assertEquals(set.size, MAX_CLUSTERS);
  const names = set.names(NOW_MS);
  assertEquals(names.slice(0, 2), ["another", "n0"]);
  assert(!names.includes("n1"));
});

Deno.test("WorkingSet: what was written is read, with its order and times", () => {
  const set = new WorkingSet();
  set.used(["10.96.0.10:80"], NOW_MS);
  set.used(["[fd00::1]:443"], NOW_MS + 1_000);
  const text = set.render(NOW_MS + 2_000);
  assertEquals(JSON.parse(text), {
    format: "lightpath working set",
    version: 1,
    usedAt: { "10.96.0.10:80": "2026-03-01T12:00:00.000Z", "[fd00::1]:443": "2026-03-01T12:00:01.000Z" },
  });
  const read = WorkingSet.parse(text, NOW_MS + 2_000);
  assertEquals(read.names(NOW_MS + 2_000), ["[fd00::1]:443", "10.96.0.10:80"]);
  assertEquals(read.names(NOW_MS + KEPT_MS), ["[fd00::1]:443"]);
});

Deno.test("WorkingSet: times of a clock that was ahead count as now", () => {
  const set = new WorkingSet();
  set.used(["a"], NOW_MS + 1_000 * KEPT_MS);
  const read = WorkingSet.parse(set.render(NOW_MS + 1_000 * KEPT_MS), NOW_MS);
  assertEquals(read.names(NOW_MS + KEPT_MS), []);
});

for (
  const [what, text, reason] of [
    ["nothing", "", "JSON"],
    ["half a file", '{"format": "lightpath wor', "JSON"],
    ["no object", "null", 'no "lightpath working set"'],
    ["another program's file", '{"version": 1}', 'no "lightpath working set"'],
    ["another version", '{"format": "lightpath working set", "version": 2}', "version 2, not 1"],
    ["no list", '{"format": "lightpath working set", "version": 1, "usedAt": 3}', 'no "usedAt"'],
    ["no time", '{"format": "lightpath working set", "version": 1, "usedAt": {"a": "x"}}', '"a" has no time'],
  ] as const
) {
  Deno.test(`WorkingSet.parse() says what is wrong with ${what}`, () => {
    assertThrows(() => WorkingSet.parse(text, NOW_MS), WorkingSetFormatError, reason);
  });
}

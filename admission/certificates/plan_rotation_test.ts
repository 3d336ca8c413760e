import { assertEquals } from "@std/assert/equals";
import { type Generation, planRotation, rotationPolicy } from "./plan_rotation.ts";

/** An hour is a unit here, a minute the sixtieth of it: a lifetime of 90, renewed at 60, an overlap of 10 minutes. */
const POLICY = rotationPolicy(90 * 3600_000);
const H = 3600_000;
const MIN = 60_000;

function generation(id: string, createdMs: number, lifetimeMs = POLICY.lifetimeMs): Generation {
  return { id, ca: `ca-${id}`, certificate: "", key: "", createdMs, notAfterMs: createdMs + lifetimeMs };
}

/** What is decided, by ids. */
function plan(
  stored: readonly Generation[],
  nowMs: number,
  trusted?: readonly string[],
): { keep: string; serve: string; create: boolean; untilMs: number } {
  const set = trusted && new Set(trusted.map((id) => `ca-${id}`));
  const { keep, serve, create, untilMs } = planRotation(stored, { nowMs, trusted: set, policy: POLICY });
  return { keep: keep.map(({ id }) => id).join(), serve: serve?.id ?? "", create, untilMs };
}

Deno.test("rotationPolicy(): renewed after two thirds; the overlap is never longer than ten minutes", () => {
  assertEquals(POLICY, { lifetimeMs: 90 * H, renewBeforeMs: 30 * H, overlapMs: 10 * MIN });
  assertEquals(rotationPolicy(12_000).overlapMs, 1_000);
});

Deno.test("planRotation(): without anything stored one is created, and served at once", () => {
  assertEquals(plan([], 0), { keep: "", serve: "", create: true, untilMs: 90 * H });
  assertEquals(plan([generation("1", 0)], 0), { keep: "1", serve: "1", create: false, untilMs: 10 * MIN });
  // Nobody trusts it yet, but there is no better.
  assertEquals(plan([generation("1", 0)], 0, []).serve, "1");
});

Deno.test("planRotation(): one generation after the other", () => {
  const [one, two] = [generation("1", 0), generation("2", 60 * H)];
  const at = (nowMs: number, stored: readonly Generation[]): unknown => {
    const { untilMs, ...rest } = plan(stored, nowMs);
    assertEquals(untilMs > nowMs, true);
    return rest;
  };
  assertEquals(at(30 * H, [one]), { keep: "1", serve: "1", create: false });
  assertEquals(plan([one], 30 * H).untilMs, 60 * H);
  assertEquals(at(60 * H, [one]), { keep: "1", serve: "1", create: true });
  // Both are trusted, the old one is served until API servers have heard of the new one.
  assertEquals(at(60 * H, [one, two]), { keep: "2,1", serve: "1", create: false });
  assertEquals(plan([one, two], 60 * H).untilMs, 60 * H + 10 * MIN);
  assertEquals(at(60 * H + 10 * MIN, [one, two]), { keep: "2,1", serve: "2", create: false });
  assertEquals(plan([one, two], 60 * H + 10 * MIN).untilMs, 60 * H + 20 * MIN);
  assertEquals(at(60 * H + 20 * MIN, [one, two]), { keep: "2", serve: "2", create: false });
});

Deno.test("planRotation(): a new one is not served while the API server does not trust it, and the old one kept", () => {
  const stored = [generation("1", 0), generation("2", 60 * H)];
  const later = 61 * H;
  assertEquals(plan(stored, later, ["1"]).serve, "1");
  assertEquals(plan(stored, later, ["1"]).keep, "2,1");
  assertEquals(plan(stored, later, ["1", "2"]).keep, "2");
  // Neither: the configuration was written anew. It is told in the same look.
  assertEquals(plan(stored, later, []).serve, "1");
});

Deno.test("planRotation(): what has expired is neither served nor kept", () => {
  assertEquals(plan([generation("1", 0)], 90 * H), { keep: "", serve: "", create: true, untilMs: 180 * H });
  assertEquals(plan([generation("1", 0), generation("2", 85 * H)], 91 * H).keep, "2");
});

Deno.test("planRotation(): one from a later time than now is served only where there is no other", () => {
  assertEquals(plan([generation("2", 5 * H)], 0), {
    keep: "2",
    serve: "2",
    create: false,
    untilMs: 5 * H + 10 * MIN,
  });
  assertEquals(plan([generation("1", -H), generation("2", 5 * H)], 0).serve, "1");
});

Deno.test("planRotation(): replicas that see the same decide the same, in whatever order it is stored", () => {
  const stored = [generation("a", 0), generation("b", 0), generation("c", 59 * H)];
  for (const nowMs of [0, H, 59 * H, 60 * H, 61 * H, 89 * H, 91 * H, 200 * H]) {
    assertEquals(plan(stored, nowMs), plan(stored.toReversed(), nowMs));
  }
});

Deno.test("planRotation(): followed step by step, there is always something trusted to serve", () => {
  let stored: readonly Generation[] = [];
  let trusted: readonly string[] = [];
  let [nowMs, created] = [0, 0];
  for (let step = 0; step < 200; step++) {
    let { create, keep, serve, untilMs } = planRotation(stored, {
      nowMs,
      trusted: new Set(trusted),
      policy: POLICY,
    });
    if (create) {
      stored = [generation(String(++created), nowMs), ...keep];
      ({ keep, serve, untilMs } = planRotation(stored, { nowMs, trusted: new Set(trusted), policy: POLICY }));
    }
    stored = keep;
    assertEquals(serve !== undefined && serve.notAfterMs > nowMs, true);
    // What was trusted before this look, but for the very first certificate.
    if (step > 0) assertEquals(trusted.includes(serve!.ca), true, `at ${nowMs / H} h`);
    assertEquals(keep.length <= 2, true);
    trusted = keep.map(({ ca }) => ca);
    nowMs = untilMs;
  }
  assertEquals(created > 30, true);
});

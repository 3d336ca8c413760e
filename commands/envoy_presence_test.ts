import { assertEquals } from "@std/assert/equals";
import { silentLogger } from "../agent/log.ts";
import { ManualTimers, settle } from "../redirect/testing/manual_timers.ts";
import type { Liveness } from "../xds/mod.ts";
import { EnvoyPresence } from "./envoy_presence.ts";

interface Stage {
  readonly presence: EnvoyPresence;
  readonly timers: ManualTimers;
  /** What was told, in order. */
  readonly told: boolean[];
  /** What Envoy answers from now on. */
  liveness: Liveness;
  questions: number;
}

function stage(liveness: Liveness): Stage {
  const timers = new ManualTimers();
  const told: boolean[] = [];
  const stage: Stage = {
    timers,
    told,
    liveness,
    questions: 0,
    presence: new EnvoyPresence({
      askLiveness: () => {
        stage.questions++;
        return Promise.resolve(stage.liveness);
      },
      onServing: (serving) => told.push(serving),
      logger: silentLogger,
      timers,
    }),
  };
  return stage;
}

Deno.test("EnvoyPresence: an Envoy that is fed serves when it says that it is live, not before", async () => {
  const s = stage("not-live");
  using presence = s.presence;
  await presence.begin(false);
  presence.fed();
  await settle();
  assertEquals([s.told, presence.serving], [[false], false]);
  s.liveness = "live";
  await s.timers.advance(10);
  assertEquals([s.told, presence.serving], [[false, true], true]);
});

Deno.test("EnvoyPresence: one that cannot be asked is believed", async () => {
  const s = stage("unknown");
  using presence = s.presence;
  await presence.begin(false);
  presence.fed();
  await settle();
  assertEquals(s.told, [false, true]);
});

Deno.test("EnvoyPresence: away is told at once, once, and ends the waiting for an Envoy that was about to be live", async () => {
  const s = stage("live");
  using presence = s.presence;
  await presence.begin(false);
  presence.fed();
  await settle();
  presence.away("its stream ended");
  presence.away("its process ended");
  assertEquals(s.told, [false, true, false]);

  s.liveness = "not-live";
  presence.fed();
  await settle();
  presence.away("its stream ended");
  s.liveness = "live";
  await s.timers.advance(1_000);
  assertEquals(s.told, [false, true, false]);
});

Deno.test("EnvoyPresence: an Envoy from before the agent serves on, and has three seconds to connect", async () => {
  const s = stage("live");
  using presence = s.presence;
  await presence.begin(true);
  await s.timers.advance(2_900);
  presence.fed();
  await s.timers.advance(10_000);
  assertEquals(s.told, [true]);

  const other = stage("live");
  using stranger = other.presence;
  await stranger.begin(true);
  await other.timers.advance(3_000);
  assertEquals(other.told, [true, false]);
});

Deno.test("EnvoyPresence: when the agent ends, streams that it closes itself are no news", async () => {
  const s = stage("live");
  await s.presence.begin(true);
  s.presence[Symbol.dispose]();
  s.presence.away("its stream ended");
  assertEquals(s.told, [true]);
});

Deno.test("EnvoyPresence: an Envoy of the agent's own is not there before the agent has started it", async () => {
  const s = stage("live");
  using presence = s.presence;
  await presence.begin(false);
  assertEquals([s.told, s.questions], [[false], 0]);
});

import { assertEquals } from "@std/assert/equals";
import type { ObjectEvent } from "../agent/kube/mod.ts";
import { silentLogger } from "../agent/log.ts";
import type { ChangeBatch } from "../agent/metrics.ts";
import { createMetrics } from "../agent/metrics.ts";
import { createProxyHealthTracker } from "../agent/proxy_health.ts";
import { type ProgrammingTracker, trackProgramming } from "./track_programming.ts";

type Programmed = ChangeBatch & { readonly triggerTimesMs: readonly number[] };

/** A kernel that takes what it was given when told to. */
class Kernel {
  readonly #waiting: (() => void)[] = [];

  flushed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Whoever waits is answered; resolves when they have gone on. */
  async flush(): Promise<void> {
    for (const resolve of this.#waiting.splice(0)) resolve();
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  }
}

function start(): {
  readonly programming: ProgrammingTracker;
  readonly kernel: Kernel;
  readonly programmed: Programmed[];
  isUpdated(): boolean;
} {
  const kernel = new Kernel();
  const programmed: Programmed[] = [];
  const families = ["IPv4"] as const;
  const health = createProxyHealthTracker({ families });
  const metrics = createMetrics({ families, build: { version: "", envoyVersion: "", mode: "" } });
  const programming = trackProgramming({
    metrics: { ...metrics, changesProgrammed: (batch) => programmed.push(batch) },
    health,
    logger: silentLogger,
    flushed: () => kernel.flushed(),
  });
  return { programming, kernel, programmed, isUpdated: () => health.livez().body.status !== undefined };
}

function events(kind: "Service" | "EndpointSlice", count: number): ObjectEvent[] {
  return Array.from({ length: count }, (_, index) => ({
    type: "delete",
    kind,
    namespacedName: `default/${index}`,
  }));
}

Deno.test("what comes before the state is complete is one update, in place with the first plan", async () => {
  const { programming, kernel, programmed, isUpdated } = start();
  programming.handedOver(events("Service", 3), { triggerTimesMs: [] });
  programming.handedOver(events("EndpointSlice", 4), { triggerTimesMs: [] });
  await kernel.flush();
  assertEquals([programmed, isUpdated()], [[], false]);
  programming.synced();
  await kernel.flush();
  assertEquals(programmed, [{ services: 3, endpointSlices: 4, triggerTimesMs: [] }]);
  assertEquals(isUpdated(), true);
});

Deno.test("the first plan of an empty cluster is an update", async () => {
  const { programming, kernel, isUpdated } = start();
  programming.synced();
  await kernel.flush();
  assertEquals(isUpdated(), true);
});

Deno.test("what comes while the kernel works is gathered, and timed only since the start and within bounds", async () => {
  const { programming, kernel, programmed } = start();
  programming.synced();
  const future = Date.now() + 3_600_000;
  for (let batch = 0; batch < 5; batch++) {
    const triggerTimesMs = Array.from({ length: 4_000 }, (_, index) => index % 2 === 0 ? future : 1);
    programming.handedOver(events("EndpointSlice", 4_000), { triggerTimesMs });
  }
  for (let batch = 0; batch < 3; batch++) {
    programming.handedOver(events("EndpointSlice", 4_000), { triggerTimesMs: Array(4_000).fill(future) });
  }
  await kernel.flush();
  await kernel.flush();
  assertEquals(programmed.map(({ endpointSlices }) => endpointSlices), [0, 32_000]);
  assertEquals(programmed[1]?.triggerTimesMs, Array(10_000).fill(future));
});

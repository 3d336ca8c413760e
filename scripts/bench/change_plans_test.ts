import { assertEquals } from "@std/assert/equals";
import { assert } from "@std/assert/assert";
import { burstChanges, singleChanges, steadyChanges } from "./change_plans.ts";
import { portOf, UNCHANGED, type WorldShape } from "./world.ts";
import { Generations } from "./world_host.ts";

const SHAPE: WorldShape = { services: 1_000, backends: ["10.244.0.11", "10.244.0.12", "10.244.0.13"] };

Deno.test("singleChanges() alternates between kinds, stays with used Services, and brings every port back", () => {
  for (const [count, changed] of [[200, 50], [400, 100]] as const) {
    const generations = new Generations();
    for (const [number, change] of singleChanges(SHAPE, count).entries()) {
      assertEquals(change.kind, number % 2 === 0 ? "endpoints" : "port");
      assert(change.index < 100);
      generations.advance(change);
    }
    for (let index = 0; index < 100; index++) {
      assertEquals(portOf(generations.of(index)), portOf(UNCHANGED));
      assertEquals(generations.of(index).port, index < changed ? 2 : 0);
    }
  }
});

Deno.test("steadyChanges() leaves the ports of used Services alone, and stays within the world", () => {
  for (const services of [50, 150, 10_000]) {
    const changes = steadyChanges({ ...SHAPE, services }, 1_000);
    assertEquals(changes.length, 1_000);
    for (const { index, kind } of changes) {
      assert(index < services && (index >= 100 || kind === "endpoints"), `${kind} of ${index}`);
    }
    assertEquals(changes.some(({ kind }) => kind === "port"), services > 100);
  }
});

Deno.test("burstChanges() touches as many Services as it can, the used ones among them", () => {
  const touched = (services: number): number =>
    new Set(burstChanges({ ...SHAPE, services }, 1_000).map(({ index }) => index)).size;
  assertEquals([touched(50), touched(10_000)], [50, 1_000]);
});

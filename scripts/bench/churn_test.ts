import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { Churn } from "./churn.ts";
import { isPresent, type WorldShape } from "./world.ts";
import { Generations } from "./world_host.ts";

const SHAPE: WorldShape = { services: 200, backends: ["10.244.0.11", "10.244.0.12", "10.244.0.13"] };
const OPTIONS = { shape: SHAPE, withClients: 4, seed: 7 };

Deno.test("Churn gives equal changes for equal seeds, and each Service once in a batch", () => {
  const replayed = new Generations();
  const [one, same, other] = [new Churn(OPTIONS), new Churn(OPTIONS), new Churn({ ...OPTIONS, seed: 8 })];
  for (let batch = 0; batch < 20; batch++) {
    const changes = one.next(50);
    assertEquals(changes, same.next(50));
    assert(JSON.stringify(changes) !== JSON.stringify(other.next(50)));
    assertEquals(new Set(changes.map(({ index }) => index)).size, changes.length);
    assert(changes.length > 25 && changes.every(({ index }) => index >= 0 && index < SHAPE.services));
    for (const change of changes) replayed.advance(change);
    for (const { index } of changes) assertEquals(one.of(index), replayed.of(index));
  }
});

Deno.test("Churn makes every kind of change, none that clients would notice, and keeps the world about as large", () => {
  const churn = new Churn(OPTIONS);
  const kinds = new Set<string>();
  for (let batch = 0; batch < 200; batch++) {
    for (const { index, kind } of churn.next(50)) {
      kinds.add(kind);
      assert(
        index >= OPTIONS.withClients || kind === "endpoints" || kind === "slices",
        `${kind} of ${index}`,
      );
    }
    const all = Array.from({ length: SHAPE.services }, (_, index) => churn.of(index));
    const away = all.filter((generation) => !isPresent(generation)).length;
    const notReady = all.filter(({ readiness }) => readiness % 2 !== 0).length;
    assert(away + notReady < SHAPE.services / 3, `${away} away, ${notReady} not ready`);
  }
  assertEquals([...kinds].sort(), ["endpoints", "port", "presence", "readiness", "slices"]);
});

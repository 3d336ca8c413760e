import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { Random } from "../agent/model/testing/random.ts";
import { placed } from "./places.ts";

function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `10.244.${index >> 8}.${index & 255} . 8080`);
}

const SAME = (name: string): string => name;

Deno.test("placed() gives each endpoint one place, whatever order they come in", () => {
  const random = new Random(1);
  for (const count of [0, 1, 2, 3, 17, 300]) {
    const places = placed(names(count), SAME);
    assertEquals([...places].sort(), names(count).sort());
    assertEquals(placed(random.shuffled(names(count)), SAME), places);
  }
});

Deno.test("placed(): one endpoint less moves few of the others", () => {
  const random = new Random(2);
  for (const [count, mostOnAverage] of [[2, 2], [10, 5], [100, 12], [1_000, 30]] as const) {
    const all = names(count);
    const before = placed(all, SAME);
    let changed = 0;
    const times = 20;
    for (let time = 0; time < times; time++) {
      const gone = random.pick(all);
      const after = placed(all.filter((name) => name !== gone), SAME);
      changed += before.filter((name, place) => after[place] !== name).length;
    }
    assert(changed / times <= mostOnAverage, `${count} endpoints: ${changed / times} places changed`);
  }
});

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { BALANCE_CLASSES, balanceClass, DRAWS, MOST_PLACES } from "./balance.ts";

Deno.test("balanceClass() is the smallest that holds the endpoints", () => {
  assertEquals(BALANCE_CLASSES.slice(0, 10), [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]);
  assertEquals([1, 2, 3, 4, 5, 6, 7, 9, 13, 33].map((count) => BALANCE_CLASSES[balanceClass(count)]), [
    1,
    2,
    3,
    4,
    6,
    6,
    8,
    12,
    16,
    48,
  ]);
  assertEquals(BALANCE_CLASSES[balanceClass(MOST_PLACES)], MOST_PLACES);
  assertThrows(() => balanceClass(0), RangeError);
  assertThrows(() => balanceClass(MOST_PLACES + 1), RangeError);
});

Deno.test("every endpoint of any number is drawn as often as any other, within half a percent", () => {
  BALANCE_CLASSES.forEach((places, classIndex) => {
    const classBefore = BALANCE_CLASSES[classIndex - 1] ?? 0;
    const fewest = classBefore + 1;
    for (const endpoints of new Set([fewest, Math.floor((fewest + places) / 2), places])) {
      // The chance of the first and of the last endpoint, draw by draw; between them there are no others.
      let missed = 1;
      let first = 0;
      let last = 0;
      for (const below of [...Array<number>(DRAWS).fill(places), classBefore]) {
        if (missed === 0) break;
        first += missed / below;
        if (endpoints <= below) last += missed / below;
        missed *= Math.max(0, 1 - endpoints / below);
      }
      assertEquals(missed, 0, `${endpoints} of ${places}`);
      for (const chance of [first, last]) {
        assert(Math.abs(chance * endpoints - 1) < 0.005, `${endpoints} of ${places}: ${chance * endpoints}`);
      }
    }
  });
});

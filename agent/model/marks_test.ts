import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { DEFAULT_MARK_MASK, isMarkMask, marksOf, renderMark } from "./marks.ts";

Deno.test("marksOf() makes three different marks of two bits, none of others", () => {
  for (const mask of [DEFAULT_MARK_MASK, 0x3, 0x80000001, 0xc0000000]) {
    const { envoy, answer, answerHere } = marksOf(mask);
    assertEquals(new Set([envoy, answer, answerHere]).size, 3);
    for (const mark of [envoy, answer, answerHere]) {
      assertEquals([mark > 0, (mark & ~mask) >>> 0], [true, 0], renderMark(mark));
    }
  }
});

Deno.test("what is not two bits of 32 is no mask", () => {
  for (const mask of [0, 1, 0x4000, 7, -3, 1.5, NaN, 2 ** 32 + 1, 0x1_0000_0001]) {
    assertEquals(isMarkMask(mask), false, String(mask));
    assertThrows(() => marksOf(mask), RangeError);
  }
});

import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { JsonLineDecoder } from "./json_lines.ts";

const bytes = new TextEncoder().encode('{"a":"ö☃🚀"}\n\n[1]\r\n"last"\nhalf');

Deno.test("JSON lines: any way of cutting the stream gives the same values", () => {
  for (let size = 1; size <= bytes.length; size++) {
    const decoder = new JsonLineDecoder();
    const values: unknown[] = [];
    for (let from = 0; from < bytes.length; from += size) {
      values.push(...decoder.push(bytes.subarray(from, from + size)));
    }
    assertEquals(values, [{ a: "ö☃🚀" }, [1], "last"], `chunks of ${size}`);
  }
});

Deno.test("JSON lines: a line that is not JSON and a line without end are errors", () => {
  assertThrows(() => new JsonLineDecoder().push(new TextEncoder().encode("{\n")), SyntaxError);
  const decoder = new JsonLineDecoder();
  const chunk = new Uint8Array(1024 * 1024).fill(0x20);
  assertThrows(() => {
    for (let i = 0; i < 33; i++) decoder.push(chunk);
  }, RangeError);
});

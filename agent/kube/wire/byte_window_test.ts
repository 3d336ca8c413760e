import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { seededRandom } from "../testing/seeded_random.ts";
import { ByteWindow } from "./byte_window.ts";

Deno.test("window: what was pushed and not dropped stands there in one piece", () => {
  const random = seededRandom(2);
  const window = new ByteWindow();
  let pushed = 0;
  let dropped = 0;
  for (let round = 0; round < 1_000; round++) {
    const size = Math.floor(random() * (random() < 0.01 ? 300_000 : 3_000));
    window.push(Uint8Array.from({ length: size }, () => pushed++ & 0xff));
    const count = random() < 0.3 ? window.length : Math.floor(random() * window.length);
    window.drop(count);
    dropped += count;
    assertEquals(window.length, pushed - dropped);
    for (let at = window.start; at < window.end; at += 97) {
      assertEquals(window.bytes[at], (dropped + at - window.start) & 0xff);
    }
  }
});

Deno.test("window: its size follows what is unused, not what has passed", () => {
  const window = new ByteWindow();
  const chunk = new Uint8Array(20_000);
  const arrays = new Set<Uint8Array>();
  for (let round = 0; round < 1_000; round++) {
    window.push(chunk);
    window.drop(Math.min(window.length, 19_999));
    arrays.add(window.bytes);
  }
  assert(arrays.size <= 2, `${arrays.size} arrays`);
  assert(window.bytes.length <= 128 * 1024, `${window.bytes.length} bytes`);
});

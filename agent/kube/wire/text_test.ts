import { assertEquals } from "@std/assert/equals";
import { seededRandom } from "../testing/seeded_random.ts";
import { sharedTextOf, textOf } from "./text.ts";

const utf8 = new TextEncoder();

Deno.test("text: short and long, ASCII and not, whole and cut out of other bytes", () => {
  const random = seededRandom(5);
  const characters = ["a", "-", "7", "ä", "☃", "🚀", "\0", "\x7f", "\u0080"];
  for (let round = 0; round < 3_000; round++) {
    const isAscii = random() < 0.5;
    const length = Math.floor(random() * (round % 2 === 0 ? 200 : 20));
    const text = Array.from(
      { length },
      () => characters[Math.floor(random() * (isAscii ? 3 : characters.length))],
    ).join("");
    const bytes = utf8.encode(`<${text}>`);
    for (const read of [textOf, sharedTextOf]) assertEquals(read(bytes, 1, bytes.length - 1), text);
  }
});

Deno.test("text: bytes that are not UTF-8 become replacement characters", () => {
  for (const read of [textOf, sharedTextOf]) {
    assertEquals(read(Uint8Array.of(0x61, 0xff, 0x62), 0, 3), "a\ufffdb");
  }
});

Deno.test("text: a shared text is never mistaken for another with the same bytes as characters", () => {
  // "Ã©" has the characters C3 A9, which are the bytes of "é".
  for (const text of ["Ã©", "é", "Ã©", "é"]) {
    const bytes = utf8.encode(text);
    assertEquals(sharedTextOf(bytes, 0, bytes.length), text);
  }
});

Deno.test("text: nor with the same characters as bytes, which are no UTF-8", () => {
  // So many that some fall on the same slot in both forms.
  for (let number = 0; number < 10_000; number++) {
    const text = `a${number}é`;
    const latin1 = Uint8Array.from(text, (character) => character.charCodeAt(0));
    const bytes = utf8.encode(text);
    const read = [bytes, latin1].map((form) => sharedTextOf(form, 0, form.length));
    if (read[0] !== text || read[1] !== `a${number}\ufffd`) assertEquals(read, [text, `a${number}\ufffd`]);
  }
});

Deno.test("text: among more shared texts than there is room for, each is still right", () => {
  for (let round = 0; round < 2; round++) {
    for (let index = 0; index < 30_000; index++) {
      const text = `node-${index}`;
      const read = sharedTextOf(utf8.encode(text), 0, text.length);
      if (read !== text) assertEquals(read, text);
    }
  }
});

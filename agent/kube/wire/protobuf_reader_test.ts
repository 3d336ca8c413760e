import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { bytesTag, NOWHERE, numberTag, ProtobufReader } from "./protobuf_reader.ts";

const utf8 = new TextEncoder();

function reading(...bytes: readonly number[]): ProtobufReader {
  const wire = new ProtobufReader();
  // Something before and after it that is none of the reader's business.
  wire.open(Uint8Array.of(0xff, ...bytes, 0x01, 0x01), 1, 1 + bytes.length);
  return wire;
}

Deno.test("reader: numbers, as protobuf's own examples write them", () => {
  assertEquals(reading(0x96, 0x01).int32(), 150);
  assertEquals(reading(0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01).int32(), -2);
  assertEquals(reading(0xff, 0xff, 0xff, 0xff, 0x07).int32(), 2 ** 31 - 1);
  assertEquals([reading(0x00).boolean(), reading(0x01).boolean()], [false, true]);
});

Deno.test("reader: 64 bit integers of all lengths, exact up to 2^53", () => {
  const encode = (value: bigint): number[] => {
    const bytes: number[] = [];
    let rest = BigInt.asUintN(64, value);
    for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
    return [...bytes, Number(rest)];
  };
  for (let power = 0n; power <= 53n; power++) {
    for (const value of [2n ** power, 2n ** power - 1n, -(2n ** power)]) {
      assertEquals(reading(...encode(value)).int64(), Number(value), `${value}`);
    }
  }
  // Go's zero time.
  assertEquals(reading(...encode(-62_135_596_800n)).int64(), -62_135_596_800);
});

Deno.test("reader: what is not known is skipped, whatever its wire type", () => {
  const wire = reading(
    ...[0x08, 0x96, 0x01], // 1: 150
    ...[0x11, 1, 2, 3, 4, 5, 6, 7, 8], // 2: eight bytes
    ...[0x1a, 0x02, 0x68, 0x69], // 3: "hi"
    ...[0x25, 1, 2, 3, 4], // 4: four bytes
    ...[0x92, 0x01, 0x01, 0x21], // 18: "!"
  );
  const tags: number[] = [];
  while (wire.more()) {
    tags.push(wire.tag() >>> 3);
    wire.skip();
  }
  assertEquals(tags, [1, 2, 3, 4, 18]);
});

Deno.test("reader: messages within messages, and places that are read later", () => {
  // 1: { 1: "ab", 2: { 1: 5 } }, 2: 7
  const wire = reading(0x0a, 0x08, 0x0a, 0x02, 0x61, 0x62, 0x12, 0x02, 0x08, 0x05, 0x10, 0x07);
  assertEquals(wire.tag(), bytesTag(1));
  const outer = wire.enter();
  assertEquals(wire.tag(), bytesTag(1));
  const place = wire.place();
  assertEquals(wire.tag(), bytesTag(2));
  const around = wire.enter();
  assertEquals([wire.tag(), wire.int32(), wire.more()], [numberTag(1), 5, false]);
  wire.leave(around);
  assertEquals([wire.textAt(place), wire.textAt(NOWHERE), wire.more()], ["ab", "", false]);
  wire.leave(outer);
  assertEquals([wire.tag(), wire.int32(), wire.more()], [numberTag(2), 7, false]);
});

Deno.test("reader: an entry of a map, in any order of its parts and without them", () => {
  const key = utf8.encode("k8s.io/a");
  const entries: [number[], string, string][] = [
    [[0x0a, 8, ...key, 0x12, 1, 0x76], "k8s.io/a", "v"],
    [[0x12, 1, 0x76, 0x18, 0x01, 0x0a, 8, ...key], "k8s.io/a", "v"],
    [[0x12, 1, 0x76], "", "v"],
    [[], "", ""],
  ];
  for (const [bytes, expectedKey, expectedValue] of entries) {
    // After another one, of which nothing must be left.
    const wire = reading(6, 0x0a, 1, 0x78, 0x12, 1, 0x79, bytes.length, ...bytes);
    wire.mapEntry();
    wire.mapEntry();
    assertEquals([wire.textAt(wire.keyAt), wire.textAt(wire.valueAt)], [expectedKey, expectedValue]);
    const has = (text: string): [boolean, boolean] => {
      const wanted = utf8.encode(text);
      return [wire.equals(wire.keyAt, wanted), wire.startsWith(wire.keyAt, wanted)];
    };
    const isKey = expectedKey !== "";
    assertEquals([has("k8s.io/a"), has("k8s.io/"), has("k8s.io/b"), has("k8s.io/a1")], [
      [isKey, isKey],
      [false, isKey],
      [false, false],
      [false, false],
    ]);
  }
});

Deno.test("reader: what reaches beyond its message, or is no protobuf, is a SyntaxError", () => {
  const skipField = (wire: ProtobufReader): void => {
    wire.tag();
    wire.skip();
  };
  const cases: [number[], (wire: ProtobufReader) => unknown, string][] = [
    [[], (wire) => wire.tag(), "a message ends in the middle of a field"],
    [[0x80], (wire) => wire.int32(), "a message ends in the middle of a field"],
    [[0x00], (wire) => wire.tag(), "a field has the number 0"],
    [[0x0b], skipField, "a field has the wire type 3, which nobody uses"],
    [[0x0f], skipField, "a field has the wire type 7, which nobody uses"],
    [[0x0a, 0x02, 0x61], skipField, "a field of 2 bytes stands in a message that has only 1 more"],
    [[0x11, 1, 2, 3], skipField, "a field of 8 bytes stands in a message that has only 3 more"],
    [[0x25, 1, 2, 3], skipField, "a field of 4 bytes stands in a message that has only 3 more"],
    [[0x02, 0x61], (wire) => wire.text(), "a field of 2 bytes"],
    [[0x02, 0x61], (wire) => wire.sharedText(), "a field of 2 bytes"],
    [[0x02, 0x61], (wire) => wire.place(), "a field of 2 bytes"],
    [[0x02, 0x61], (wire) => wire.enter(), "a field of 2 bytes"],
    // Not a negative length, from which one would never come back.
    [[0xff, 0xff, 0xff, 0xff, 0x0f], (wire) => wire.place(), "a field of 4294967295 bytes"],
    [Array(11).fill(0x80), (wire) => wire.int32(), "a number is longer than 10 bytes"],
    [Array(11).fill(0x80), (wire) => wire.int64(), "a number is longer than 10 bytes"],
    [[1, 2], (wire) => wire.expect(Uint8Array.of(1, 2, 1)), "the mark of Kubernetes' protobuf is missing"],
  ];
  for (const [bytes, read, message] of cases) {
    assertThrows(() => read(reading(...bytes)), SyntaxError, message);
  }
});

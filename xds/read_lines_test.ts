import { assertEquals } from "@std/assert/equals";
import { readLines } from "./read_lines.ts";

function streamOf(...chunks: readonly (string | Uint8Array)[]): ReadableStream<Uint8Array> {
  return ReadableStream.from(
    chunks.map((one) => typeof one === "string" ? new TextEncoder().encode(one) : one),
  );
}

async function read(stream: ReadableStream<Uint8Array>): Promise<string[]> {
  const lines: string[] = [];
  await readLines(stream, (line) => lines.push(line), new AbortController().signal);
  return lines;
}

Deno.test("lines arrive whole, wherever the chunks are cut", async () => {
  assertEquals(await read(streamOf("a\nb", "c\n", "\nlast")), ["a", "bc", "", "last"]);
  const [first, second] = [new Uint8Array([0xc3]), new Uint8Array([0xa4, 0x0a])];
  assertEquals(await read(streamOf(first, second)), ["ä"]);
  assertEquals(await read(streamOf()), []);
});

Deno.test("a line without end arrives in pieces instead of filling the memory", async () => {
  const lines = await read(streamOf(...Array.from({ length: 40 }, () => "x".repeat(10_000))));
  assertEquals(lines.join("").length, 400_000);
  assertEquals(Math.max(...lines.map((line) => line.length)) <= 80_000, true);
});

Deno.test("a pipe held open by a grandchild is given up after the process ended", async () => {
  let cancelled = false;
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode("a\nunfinished")),
    cancel: () => {
      cancelled = true;
    },
  });
  const lines: string[] = [];
  const ended = new AbortController();
  const reading = readLines(stream, (line) => lines.push(line), ended.signal);
  ended.abort();
  await reading;
  assertEquals([lines, cancelled], [["a", "unfinished"], true]);
});

/**
 * Cuts a byte stream into lines and decodes each as JSON.
 *
 * In: chunks as they arrive, cut anywhere, also inside a character. Out: the values of the lines completed so far.
 * Invariants: every byte is copied at most once however many chunks a line spans; what follows the last line break
 * stays for later, and is lost when the stream ends there (a half line of a broken connection).
 * @module
 */

import { MAX_OBJECT_BYTES } from "./format.ts";

const LINE_FEED = 0x0a;

/** One stream's decoder. */
export class JsonLineDecoder {
  readonly #text: TextDecoder = new TextDecoder();
  #parts: Uint8Array[] = [];
  #partBytes = 0;

  /**
   * Takes the next chunk, returns the values of all lines it completes, in order. Empty lines are skipped.
   * @throws {SyntaxError} when a line is not JSON.
   * @throws {RangeError} when a line exceeds 32 MiB.
   */
  push(chunk: Uint8Array): unknown[] {
    const values: unknown[] = [];
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, from)) {
      const line = this.#take(chunk.subarray(from, end));
      from = end + 1;
      if (line.trim() !== "") values.push(JSON.parse(line));
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from));
    return values;
  }

  #take(last: Uint8Array): string {
    if (this.#parts.length === 0) return this.#text.decode(last);
    const bytes = concat([...this.#parts, last]);
    this.#parts = [];
    this.#partBytes = 0;
    return this.#text.decode(bytes);
  }

  #keep(part: Uint8Array): void {
    this.#partBytes += part.length;
    if (this.#partBytes > MAX_OBJECT_BYTES) throw new RangeError(`A line exceeds ${MAX_OBJECT_BYTES} bytes`);
    this.#parts.push(part);
  }
}

/** Joins chunks into one array. */
export function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

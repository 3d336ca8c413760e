/**
 * Makes texts of UTF-8 bytes, fast for what Kubernetes objects hold: short ASCII, much of it the same everywhere.
 *
 * In: an array and where in it the text stands. Out: the text; bytes that are not UTF-8 become U+FFFD.
 * Invariants: a result is one flat string of its own, so that a kept text keeps nothing else alive. A text that many
 * objects share is recognised by its bytes, and then nothing is made at all.
 * @module
 */
import { shareText } from "../_shared_text.ts";

const ASCII_END = 0x80;
const decoder = new TextDecoder();

/** Longer texts go to TextDecoder, whose call costs more than all the work on a short one. */
const SHORT = 128;
/** One list of character codes for each length: filled anew for each text, so that none is made. */
const codesByLength: readonly number[][] = Array.from(
  { length: SHORT + 1 },
  (_, length) => new Array<number>(length).fill(0),
);

/** The text in `bytes[from, to)`. */
export function textOf(bytes: Uint8Array, from: number, to: number): string {
  const codes = codesByLength[to - from];
  if (codes === undefined) return decoder.decode(bytes.subarray(from, to));
  for (let index = 0; index < codes.length; index++) {
    const byte = bytes[from + index]!;
    if (byte >= ASCII_END) return decoder.decode(bytes.subarray(from, to));
    codes[index] = byte;
  }
  return String.fromCharCode.apply(undefined, codes);
}

/** Enough for what one list brings in a row: a slot that two texts fight over costs time, not memory. */
const SLOTS = 4096;
const SHARED_MAX_LENGTH = 64;
/** The shared text that was met last among those that fall on the same slot. */
const recent: string[] = new Array<string>(SLOTS).fill("");

/** As `textOf`, for texts that many objects have in common: one copy of each. */
export function sharedTextOf(bytes: Uint8Array, from: number, to: number): string {
  const length = to - from;
  if (length > SHARED_MAX_LENGTH) return textOf(bytes, from, to);
  let hash = length;
  for (let at = from; at < to; at++) hash = Math.imul(hash, 31) + bytes[at]! | 0;
  const slot = (hash ^ hash >>> 15) & (SLOTS - 1);
  const candidate = recent[slot]!;
  if (candidate.length === length && isAscii(candidate, bytes, from)) return candidate;
  const text = shareText(textOf(bytes, from, to));
  // Only ASCII has a character for each byte; of other texts equal bytes would not mean an equal text.
  if (text.length === length) recent[slot] = text;
  return text;
}

/** True when the text's characters are the bytes from `from` on. */
function isAscii(text: string, bytes: Uint8Array, from: number): boolean {
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) !== bytes[from + index]) return false;
  }
  return true;
}

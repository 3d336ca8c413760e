/**
 * The bytes of a stream that have arrived and are not used yet, in one piece.
 *
 * In: chunks as they arrive, cut anywhere. Out: `bytes[start, end)`.
 * Invariants: the array is used again and again, so that what was made of it must not refer to it; it grows to what has
 * to be in one piece, at most doubling, and every byte is moved a bounded number of times however small the chunks are.
 * @module
 */

/** Holds a chunk of a socket and the rest of the one before, in most cases. */
const INITIAL_BYTES = 64 * 1024;

/** One stream's window. */
export class ByteWindow {
  #bytes: Uint8Array = new Uint8Array(INITIAL_BYTES);
  #start = 0;
  #end = 0;

  /** The array in which the bytes stand; another one after `push`. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Where the first unused byte is. */
  get start(): number {
    return this.#start;
  }

  /** Where the last byte that has arrived ends. */
  get end(): number {
    return this.#end;
  }

  /** Number of unused bytes. */
  get length(): number {
    return this.#end - this.#start;
  }

  /** Takes the next chunk. */
  push(chunk: Uint8Array): void {
    if (chunk.length > this.#bytes.length - this.#end) this.#makeRoomFor(chunk.length);
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** The first `count` bytes are used. */
  drop(count: number): void {
    this.#start += count;
    if (this.#start === this.#end) this.#start = this.#end = 0;
  }

  #makeRoomFor(count: number): void {
    const needed = this.length + count;
    // Half of it free, so that the next move is as many bytes away as this one moves.
    const isRoomy = this.#bytes.length >= 2 * needed;
    const bytes = isRoomy ? this.#bytes : new Uint8Array(2 * Math.max(needed, INITIAL_BYTES / 2));
    bytes.set(this.#bytes.subarray(this.#start, this.#end));
    this.#bytes = bytes;
    this.#end -= this.#start;
    this.#start = 0;
  }
}

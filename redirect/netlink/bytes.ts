/**
 * Bytes that are written one after the other, into a buffer that grows.
 *
 * Invariant: the host's order is little-endian, as on every machine that Deno is built for (x86-64, arm64). What is in
 * the network's order is written by `u16be`.
 * @module
 */

/** See the module's comment. */
export class Bytes {
  #buffer: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #length = 0;

  /** @param capacity How many bytes there is room for at first, at least 1. */
  constructor(capacity: number) {
    this.#buffer = new Uint8Array(capacity);
    this.#view = new DataView(this.#buffer.buffer);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written; valid until the next writing. */
  written(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(0, this.#length);
  }

  u8(value: number): void {
    const at = this.#grow(1);
    this.#buffer[at] = value;
  }

  u16(value: number): void {
    const at = this.#grow(2);
    this.#view.setUint16(at, value, true);
  }

  u16be(value: number): void {
    const at = this.#grow(2);
    this.#view.setUint16(at, value, false);
  }

  u32(value: number): void {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
  }

  /** A text of ASCII characters, with the zero that ends it in C. */
  cString(text: string): void {
    const at = this.#grow(text.length + 1);
    for (let index = 0; index < text.length; index++) this.#buffer[at + index] = text.charCodeAt(index);
    this.#buffer[at + text.length] = 0;
  }

  zeros(count: number): void {
    const at = this.#grow(count);
    // Few, mostly none: not worth a call of `fill`.
    for (let index = at; index < at + count; index++) this.#buffer[index] = 0;
  }

  /** Zeros up to the next multiple of four. */
  align(): void {
    this.zeros(-this.#length & 3);
  }

  /** Overwrites a length that was not known when its place was written. */
  putU16(at: number, value: number): void {
    this.#view.setUint16(at, value, true);
  }

  /** The same with 32 bits. */
  putU32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  /** Makes room and returns where. It may change the buffer: only then is that to be looked at. */
  #grow(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#buffer.length * 2));
      larger.set(this.#buffer);
      this.#buffer = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

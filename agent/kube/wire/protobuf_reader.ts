/**
 * Reads the protobuf wire format field by field, and makes nothing of what nobody asks for.
 *
 * In: bytes that hold a message. Out: its tags, one after the other, and the values the caller wants; what the caller
 * does not know is skipped by its length. So the cost is that of what is read, not of what is there: most of a
 * Kubernetes object is `managedFields`.
 * Invariants: nothing is read beyond the message at hand; whatever the bytes are, the only error is a SyntaxError.
 * Source: protobuf.dev "Encoding".
 * @module
 */
import { sharedTextOf, textOf } from "./text.ts";

// How a value is written. Kubernetes uses no others.
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** The tag of a field that holds a number, or true or false. */
export function numberTag(field: number): number {
  return field << 3 | VARINT;
}

/** The tag of a field that holds a text, a message, or bytes. */
export function bytesTag(field: number): number {
  return field << 3 | BYTES;
}

/** Whether a tag is that of a text, a message, or bytes. */
export function isBytesTag(tag: number): boolean {
  return (tag & 7) === BYTES;
}

const MAP_KEY = bytesTag(1);
const MAP_VALUE = bytesTag(2);

/** Where a text stands that may be read later. */
export type Place = number;

/** The place of a text that is not there; it reads as the empty text. */
export const NOWHERE: Place = -1;

/** Reads one message after the other, and messages within messages. */
export class ProtobufReader {
  /** Of the entry that `mapEntry` read last. */
  keyAt: Place = NOWHERE;
  /** Of the entry that `mapEntry` read last. */
  valueAt: Place = NOWHERE;
  #bytes: Uint8Array = new Uint8Array();
  #at = 0;
  #end = 0;
  #wireType = VARINT;

  /** Goes to the message in `bytes[from, to)`, which must stay as it is while it is read. */
  open(bytes: Uint8Array, from: number, to: number): void {
    this.#bytes = bytes;
    this.#at = from;
    this.#end = to;
  }

  /** True while the message at hand has more fields. */
  more(): boolean {
    return this.#at < this.#end;
  }

  /** The tag of the next field, whose value is to be read or skipped before the next tag. */
  tag(): number {
    const tag = this.#varint();
    if (tag >>> 3 === 0) throw new SyntaxError("a field has the number 0");
    this.#wireType = tag & 7;
    return tag;
  }

  /** Skips the value of the field whose tag was read last. */
  skip(): void {
    switch (this.#wireType) {
      case VARINT:
        this.#varint();
        break;
      case FIXED64:
        this.#advance(8);
        break;
      case BYTES:
        this.#at = this.#lengthEnd();
        break;
      case FIXED32:
        this.#advance(4);
        break;
      default:
        throw new SyntaxError(`a field has the wire type ${this.#wireType}, which nobody uses`);
    }
  }

  /** Goes into the message that is the value of this field. Returns what `leave` needs. */
  enter(): number {
    const outerEnd = this.#end;
    this.#end = this.#lengthEnd();
    return outerEnd;
  }

  /** Goes back to the message around the one that was read to its end. */
  leave(outerEnd: number): void {
    this.#end = outerEnd;
  }

  /** Where it stands, in the bytes that are open. */
  get at(): number {
    return this.#at;
  }

  /** Where the message at hand ends. */
  get end(): number {
    return this.#end;
  }

  /** Goes to another message in the bytes that are open, or back to this one after a fault. */
  goTo(from: number, to: number): void {
    this.#at = from;
    this.#end = to;
  }

  /** Goes past bytes that must be these. */
  expect(bytes: Uint8Array): void {
    const isThere = bytes.every((byte, index) => byte === this.#bytes[this.#at + index]);
    if (!isThere || this.#at + bytes.length > this.#end) {
      throw new SyntaxError("the mark of Kubernetes' protobuf is missing");
    }
    this.#at += bytes.length;
  }

  /** The length of the value that follows, be it there or not. */
  length(): number {
    return this.#varint() >>> 0;
  }

  /** A 32 bit integer. */
  int32(): number {
    return this.#varint();
  }

  /** A boolean. */
  boolean(): boolean {
    return this.#varint() !== 0;
  }

  /** A 64 bit integer, exact as far as a double is. */
  int64(): number {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      const bits = byte & 0x7f;
      if (shift <= 28) low |= bits << shift;
      if (shift === 28) high = bits >>> 4;
      else if (shift > 28) high |= bits << shift - 32;
      if (byte < 0x80) return high * 2 ** 32 + (low >>> 0);
    }
    throw new SyntaxError("a number is longer than 10 bytes");
  }

  /** A text. */
  text(): string {
    const end = this.#lengthEnd();
    const from = this.#at;
    this.#at = end;
    return textOf(this.#bytes, from, end);
  }

  /** A text that many objects have in common: one copy of each. */
  sharedText(): string {
    const end = this.#lengthEnd();
    const from = this.#at;
    this.#at = end;
    return sharedTextOf(this.#bytes, from, end);
  }

  /** Skips a text and says where it is. */
  place(): Place {
    const place = this.#at;
    this.#at = this.#lengthEnd();
    return place;
  }

  /** The text at a place in the message at hand. */
  textAt(place: Place): string {
    if (place === NOWHERE) return "";
    const at = this.#at;
    this.#at = place;
    const text = this.text();
    this.#at = at;
    return text;
  }

  /** Reads an entry of a map of texts: `keyAt` and `valueAt` say where its parts are. */
  mapEntry(): void {
    this.keyAt = NOWHERE;
    this.valueAt = NOWHERE;
    const outerEnd = this.enter();
    while (this.more()) {
      const tag = this.tag();
      if (tag === MAP_KEY) this.keyAt = this.place();
      else if (tag === MAP_VALUE) this.valueAt = this.place();
      else this.skip();
    }
    this.leave(outerEnd);
  }

  /** True when the text at a place is this one, given as bytes. */
  equals(place: Place, text: Uint8Array): boolean {
    return this.#lengthBeyond(text, place) === 0;
  }

  /** True when the text at a place begins with this one, given as bytes. */
  startsWith(place: Place, text: Uint8Array): boolean {
    return this.#lengthBeyond(text, place) >= 0;
  }

  /** How much longer the text at a place is than the one it begins with; negative when it does not begin with that. */
  #lengthBeyond(text: Uint8Array, place: Place): number {
    if (place === NOWHERE) return -text.length;
    const at = this.#at;
    this.#at = place;
    const end = this.#lengthEnd();
    const from = this.#at;
    this.#at = at;
    const beyond = end - from - text.length;
    for (let index = 0; index < text.length; index++) {
      if (this.#bytes[from + index] !== text[index]) return -1;
    }
    return beyond;
  }

  /** Reads a length and returns where what has it ends; then the position is at its beginning. */
  #lengthEnd(): number {
    const length = this.length();
    if (length > this.#end - this.#at) throw tooLong(length, this.#end - this.#at);
    return this.#at + length;
  }

  #advance(count: number): void {
    if (count > this.#end - this.#at) throw tooLong(count, this.#end - this.#at);
    this.#at += count;
  }

  /** The low 32 bits of a number, as a signed integer. */
  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new SyntaxError("a number is longer than 10 bytes");
  }

  #byte(): number {
    if (this.#at >= this.#end) throw new SyntaxError("a message ends in the middle of a field");
    return this.#bytes[this.#at++]!;
  }
}

function tooLong(length: number, left: number): SyntaxError {
  return new SyntaxError(`a field of ${length} bytes stands in a message that has only ${left} more`);
}

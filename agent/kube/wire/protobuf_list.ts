/**
 * Decodes a list in the API's protobuf, item by item as the bytes arrive.
 *
 * In: chunks, cut anywhere. Out: the objects they complete, and at the end the collection's resourceVersion. A list is an
 * envelope around a message whose items are fields of it; that message is gone through while it is still arriving, so
 * that what is kept is a chunk and one item, however long the list is.
 * Invariants: an answer that ends before its own lengths say so is an error, never a shorter list.
 * Source: `generated.proto` of k8s.io/api/core/v1 (ServiceList) and k8s.io/apimachinery/pkg/apis/meta/v1 (ListMeta). All
 * kinds' lists are alike.
 * @module
 */
import type { KubeObject } from "../objects.ts";
import { ByteWindow } from "./byte_window.ts";
import { checkListVersion, type ListDecoder, type ListPart, MAX_OBJECT_BYTES } from "./format.ts";
import { MARK, readKind, UNKNOWN } from "./protobuf_envelope.ts";
import { readObject } from "./protobuf_object.ts";
import { bytesTag, isBytesTag, ProtobufReader } from "./protobuf_reader.ts";

const LIST = { metadata: bytesTag(1), items: bytesTag(2) };
const LIST_META = { resourceVersion: bytesTag(2), continue: bytesTag(3) };

/** A tag and a length are at most five bytes each. */
const MAX_HEADER_BYTES = 10;

interface GrowingPart extends ListPart {
  readonly objects: KubeObject[];
  readonly unreadable: string[];
}

/** Decodes one list. */
export class ProtobufListDecoder implements ListDecoder {
  readonly #kind: KubeObject["kind"];
  readonly #window = new ByteWindow();
  readonly #wire = new ProtobufReader();
  #isMarkRead = false;
  #listKind = "";
  /** How many bytes of the list's message have not been used; undefined before it begins. */
  #listBytesLeft: number | undefined;
  #resourceVersion = "";
  #continueToken = "";

  constructor(kind: KubeObject["kind"]) {
    this.#kind = kind;
  }

  push(chunk: Uint8Array): ListPart {
    this.#window.push(chunk);
    const part: GrowingPart = { objects: [], unreadable: [], resourceVersion: "" };
    if (!this.#isMarkRead && !this.#readMark()) return part;
    while (this.#readField(part));
    return part;
  }

  end(): ListPart {
    if (this.#window.length > 0 || this.#listBytesLeft !== 0) {
      throw new SyntaxError("the list ends in the middle");
    }
    const resourceVersion = checkListVersion({
      resourceVersion: this.#resourceVersion,
      continueToken: this.#continueToken,
    });
    return { objects: [], unreadable: [], resourceVersion };
  }

  #readMark(): boolean {
    const { bytes, start, end, length } = this.#window;
    if (length < MARK.length) return false;
    this.#wire.open(bytes, start, end);
    this.#wire.expect(MARK);
    this.#window.drop(MARK.length);
    this.#isMarkRead = true;
    return true;
  }

  /** Uses the first field in the window; of the one that is the list only the header. False: it is not all there. */
  #readField(part: GrowingPart): boolean {
    const { bytes, start, end } = this.#window;
    const valueStart = findValue(bytes, start, end);
    if (valueStart === undefined) return false;
    const wire = this.#wire;
    wire.open(bytes, start, valueStart);
    const tag = wire.tag();
    if (!isBytesTag(tag)) throw new SyntaxError("a list has a field that nobody knows");
    const length = wire.length();
    if (this.#listBytesLeft === undefined && tag === UNKNOWN.raw) {
      this.#beginList(length);
      this.#window.drop(valueStart - start);
      return true;
    }
    if (length > MAX_OBJECT_BYTES) throw new RangeError(`an object of ${length} bytes is none of Kubernetes`);
    if (length > end - valueStart) return false;
    wire.open(bytes, valueStart, valueStart + length);
    const fieldBytes = valueStart + length - start;
    if (this.#listBytesLeft) {
      this.#listBytesLeft -= fieldBytes;
      if (this.#listBytesLeft < 0) throw new SyntaxError("a part of the list ends beyond the list");
      this.#readListField(tag, part);
    } else if (tag === UNKNOWN.typeMeta) {
      this.#listKind = readKind(wire);
    }
    this.#window.drop(fieldBytes);
    return true;
  }

  #beginList(length: number): void {
    if (this.#listKind !== `${this.#kind}List`) {
      throw new SyntaxError(
        `the answer is a ${this.#listKind || "thing without a kind"}, not a ${this.#kind}List`,
      );
    }
    this.#listBytesLeft = length;
  }

  #readListField(tag: number, part: GrowingPart): void {
    if (tag === LIST.items) {
      const result = readObject(this.#kind, this.#wire);
      if ("object" in result) part.objects.push(result.object);
      else part.unreadable.push("invalid" in result ? result.invalid : result.ignored);
    } else if (tag === LIST.metadata) this.#readListMeta();
  }

  #readListMeta(): void {
    const wire = this.#wire;
    while (wire.more()) {
      switch (wire.tag()) {
        case LIST_META.resourceVersion:
          this.#resourceVersion = wire.text();
          break;
        case LIST_META.continue:
          this.#continueToken = wire.text();
          break;
        default:
          wire.skip();
      }
    }
  }
}

/** Where the value begins of the field that begins at `start`: after its tag and its length. Undefined: further on. */
function findValue(bytes: Uint8Array, start: number, end: number): number | undefined {
  let numbers = 0;
  for (let at = start; at < end; at++) {
    if (at - start === MAX_HEADER_BYTES) throw new SyntaxError("a field has no length");
    if (bytes[at]! < 0x80 && ++numbers === 2) return at + 1;
  }
  return undefined;
}

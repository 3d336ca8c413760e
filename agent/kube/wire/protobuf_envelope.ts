/**
 * What stands around an object in the API's protobuf: a mark of four bytes, then a message `Unknown` that says the kind.
 *
 * In: a reader at an envelope. Out: the kind, and the reader at the object's own message. The kind must come first, as
 * it does from everything that is built on Kubernetes' serializer.
 * Source: Kubernetes "API Concepts", Kubernetes Protobuf encoding; `generated.proto` of k8s.io/apimachinery/pkg/runtime.
 * @module
 */
import { bytesTag, type ProtobufReader } from "./protobuf_reader.ts";

/** `k8s` and a zero. */
export const MARK: Uint8Array = Uint8Array.of(0x6b, 0x38, 0x73, 0x00);

/** The fields of `Unknown` that are read. */
export const UNKNOWN = { typeMeta: bytesTag(1), raw: bytesTag(2) };
const TYPE_META = { kind: bytesTag(2) };

/** Goes from an envelope to the object in it, and returns the object's kind. @throws {SyntaxError} */
export function enterEnvelope(wire: ProtobufReader): string {
  wire.expect(MARK);
  let kind = "";
  while (wire.more()) {
    switch (wire.tag()) {
      case UNKNOWN.typeMeta: {
        const outer = wire.enter();
        kind = readKind(wire);
        wire.leave(outer);
        break;
      }
      case UNKNOWN.raw:
        wire.enter();
        return kind;
      default:
        wire.skip();
    }
  }
  throw new SyntaxError("an envelope holds no object");
}

/** The kind in the `TypeMeta` at hand. */
export function readKind(wire: ProtobufReader): string {
  let kind = "";
  while (wire.more()) {
    if (wire.tag() === TYPE_META.kind) kind = wire.sharedText();
    else wire.skip();
  }
  return kind;
}

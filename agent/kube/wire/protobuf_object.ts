/**
 * Reads one object of either kind from protobuf, and what there is to say of one that cannot be read.
 *
 * In: a reader at an object's message. Out: the object, or a sentence. Nothing here throws for what the bytes are: unlike
 * in JSON nothing that stands after a fault can be trusted, so a faulty object is left out as a whole.
 * @module
 */
import type { KubeObject } from "../objects.ts";
import type { ParseResult } from "../parse.ts";
import { readEndpointSlice } from "./protobuf_endpoint_slice.ts";
import { type Metadata, NO_METADATA, readMetadata } from "./protobuf_metadata.ts";
import { bytesTag, type ProtobufReader } from "./protobuf_reader.ts";
import { readService } from "./protobuf_service.ts";

/** Every API object has its metadata in this field. */
const METADATA = bytesTag(1);

/** Reads the message at hand. */
export function readObject(kind: KubeObject["kind"], wire: ProtobufReader): ParseResult {
  const { at, end } = wire;
  try {
    const object = kind === "Service" ? readService(wire) : readEndpointSlice(wire);
    if (object.name === "") return { invalid: `${kind} without metadata.name` };
    if (object.name.includes("/") || object.namespace.includes("/")) {
      return { invalid: `${kind} ${object.namespacedName}: a name cannot hold a slash` };
    }
    return { object };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    wire.goTo(at, end);
    const { name, namespacedName } = readObjectMetadata(wire);
    return {
      invalid: `${kind} ${name === "" ? "without a name" : namespacedName} is broken: ${error.message}`,
    };
  }
}

/** The metadata of the message at hand, as far as it can be read. */
export function readObjectMetadata(wire: ProtobufReader): Metadata {
  try {
    while (wire.more()) {
      if (wire.tag() === METADATA) return readMetadata(wire);
      wire.skip();
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return NO_METADATA;
}

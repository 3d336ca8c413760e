/**
 * Decodes a watch stream in the API's protobuf.
 *
 * In: chunks, cut anywhere. Out: the events of the frames they complete. A frame is four bytes of length, most significant
 * first, and a message `WatchEvent`, in which an envelope holds the object. An object that is broken is UNREADABLE and
 * still moves the version on, where that can be read; anything else that is broken ends the stream.
 * Source: `generated.proto` of k8s.io/apimachinery/pkg/apis/meta/v1 (WatchEvent) and .../pkg/runtime (RawExtension);
 * k8s.io/apimachinery/pkg/util/framer.
 * @module
 */
import type { KubeObject } from "../objects.ts";
import type { WatchEvent } from "../watch_protocol.ts";
import { ByteWindow } from "./byte_window.ts";
import { MAX_OBJECT_BYTES, type WatchDecoder, watchFailureOf } from "./format.ts";
import { enterEnvelope } from "./protobuf_envelope.ts";
import { readObject, readObjectMetadata } from "./protobuf_object.ts";
import { bytesTag, ProtobufReader } from "./protobuf_reader.ts";
import { readStatus } from "./protobuf_status.ts";

const WATCH_EVENT = { type: bytesTag(1), object: bytesTag(2) };
const RAW_EXTENSION = { raw: bytesTag(1) };

const LENGTH_BYTES = 4;

/** Decodes one stream. */
export class ProtobufWatchDecoder implements WatchDecoder {
  readonly #kind: KubeObject["kind"];
  readonly #window = new ByteWindow();
  readonly #wire = new ProtobufReader();

  constructor(kind: KubeObject["kind"]) {
    this.#kind = kind;
  }

  push(chunk: Uint8Array): WatchEvent[] {
    const window = this.#window;
    window.push(chunk);
    const events: WatchEvent[] = [];
    while (window.length >= LENGTH_BYTES) {
      const { bytes, start } = window;
      const length = new DataView(bytes.buffer).getUint32(start);
      if (length > MAX_OBJECT_BYTES) throw new RangeError(`a frame of ${length} bytes is none of Kubernetes`);
      if (length > window.length - LENGTH_BYTES) break;
      this.#wire.open(bytes, start + LENGTH_BYTES, start + LENGTH_BYTES + length);
      events.push(this.#readEvent());
      window.drop(LENGTH_BYTES + length);
    }
    return events;
  }

  /** Reads a `WatchEvent`. Its type comes first, as it does from Kubernetes' serializer. */
  #readEvent(): WatchEvent {
    const wire = this.#wire;
    let type = "";
    while (wire.more()) {
      switch (wire.tag()) {
        case WATCH_EVENT.type:
          type = wire.sharedText();
          break;
        case WATCH_EVENT.object:
          wire.enter();
          return this.#readTypedEvent(type);
        default:
          wire.skip();
      }
    }
    throw new SyntaxError("a watch event without an object");
  }

  #readTypedEvent(type: string): WatchEvent {
    const wire = this.#wire;
    const objectKind = this.#enterRawExtension();
    const { at, end } = wire;
    const resourceVersion = (): string => {
      wire.goTo(at, end);
      return readObjectMetadata(wire).resourceVersion;
    };
    switch (type) {
      case "ADDED":
      case "MODIFIED":
      case "DELETED": {
        const result = objectKind === this.#kind
          ? readObject(this.#kind, wire)
          : { ignored: `kind ${objectKind} is not read` };
        if ("object" in result) return { type, object: result.object };
        const reason = "invalid" in result ? result.invalid : result.ignored;
        return { type: "UNREADABLE", resourceVersion: resourceVersion(), reason };
      }
      case "BOOKMARK":
        return { type, resourceVersion: resourceVersion() };
      case "ERROR":
        return { type, failure: watchFailureOf(readStatus(wire)) };
      default: {
        const reason = `watch event of type ${JSON.stringify(type)}`;
        return { type: "UNREADABLE", resourceVersion: resourceVersion(), reason };
      }
    }
  }

  #enterRawExtension(): string {
    const wire = this.#wire;
    while (wire.more()) {
      if (wire.tag() === RAW_EXTENSION.raw) {
        wire.enter();
        return enterEnvelope(wire);
      }
      wire.skip();
    }
    throw new SyntaxError("a watch event without an object");
  }
}

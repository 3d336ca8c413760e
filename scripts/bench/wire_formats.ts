/**
 * The two languages in which the synthetic API server answers: JSON and Kubernetes' protobuf.
 *
 * In: objects as decoded JSON. Out: bytes, made once per version of an object. Pure.
 * Source: Kubernetes "API Concepts", "Alternate representations of resources".
 * @module
 */
import {
  concat,
  encodeList,
  encodeObject,
  encodeWatchFrame,
  type ListMetadata,
  wrap,
} from "./kube_protobuf.ts";
import type { RawObject } from "./world.ts";

/** Name of a language. */
export type FormatName = "json" | "protobuf";

type Kind = RawObject["kind"];

/** What a watch tells. */
export type EventType = "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";

/** A language. */
export interface WireFormat {
  readonly contentType: string;
  readonly watchContentType: string;
  /** An object as an item of a list. */
  item(object: RawObject): Uint8Array;
  list(kind: Kind, metadata: ListMetadata, items: readonly Uint8Array[]): Uint8Array;
  /** An event about an object that `item` gave. */
  event(type: EventType, kind: Kind, item: Uint8Array): Uint8Array;
  /** Word that a watcher has seen everything up to a version. */
  bookmark(kind: Kind, resourceVersion: string): Uint8Array;
}

const API_VERSIONS: Readonly<Record<Kind, string>> = {
  Service: "v1",
  EndpointSlice: "discovery.k8s.io/v1",
};

const PROTOBUF = "application/vnd.kubernetes.protobuf";
const encoder = new TextEncoder();
const COMMA = encoder.encode(",");

/** Both, by name. */
export const WIRE_FORMATS: Readonly<Record<FormatName, WireFormat>> = {
  json: {
    contentType: "application/json",
    watchContentType: "application/json",
    item: (object) => encoder.encode(JSON.stringify(object)),
    list(kind, metadata, items): Uint8Array {
      const about = `"kind":"${kind}List","apiVersion":"${API_VERSIONS[kind]}"`;
      const head = encoder.encode(`{${about},"metadata":${JSON.stringify(metadata)},"items":[`);
      const separated = items.flatMap((item, index) => index === 0 ? [item] : [COMMA, item]);
      return concat([head, ...separated, encoder.encode("]}")]);
    },
    event: (type, _kind, item) =>
      concat([encoder.encode(`{"type":"${type}","object":`), item, encoder.encode("}\n")]),
    bookmark(kind, resourceVersion): Uint8Array {
      const object = { kind, apiVersion: API_VERSIONS[kind], metadata: { resourceVersion } };
      return encoder.encode(`${JSON.stringify({ type: "BOOKMARK", object })}\n`);
    },
  },
  protobuf: {
    contentType: PROTOBUF,
    watchContentType: `${PROTOBUF};stream=watch`,
    item: encodeObject,
    list: (kind, metadata, items) =>
      wrap({ apiVersion: API_VERSIONS[kind], kind: `${kind}List` }, encodeList(metadata, items)),
    event: (type, kind, item) => encodeWatchFrame(type, wrap({ apiVersion: API_VERSIONS[kind], kind }, item)),
    bookmark(kind, resourceVersion): Uint8Array {
      const apiVersion = API_VERSIONS[kind];
      const item = encodeObject({ apiVersion, kind, metadata: { namespace: "", name: "", resourceVersion } });
      return encodeWatchFrame("BOOKMARK", wrap({ apiVersion, kind }, item));
    },
  },
};

/** The language to answer in: the first one asked for that is known, JSON otherwise, as the API server does it. */
export function negotiate(accept: string | undefined): FormatName {
  for (const range of (accept ?? "").split(",")) {
    const [type = ""] = range.split(";");
    if (type.trim() === PROTOBUF) return "protobuf";
    if (type.trim() === "application/json") return "json";
  }
  return "json";
}

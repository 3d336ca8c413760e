/**
 * Writes Services and EndpointSlices as an API server does that was asked for protobuf.
 *
 * In: objects as decoded JSON. Out: bytes, the same to the last one that kube-apiserver sends for the object (empty fields
 * of Go values included), so that the cost of reading them is an honest one.
 * Source: k8s.io/apimachinery `runtime/serializer/protobuf` ("k8s\0" and runtime.Unknown), `streaming` (frames).
 * @module
 */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  type FieldDefinition,
  type FieldType,
  KUBE_MESSAGES,
  LIST_META,
  type MessageType,
} from "./kube_messages.ts";
import type { RawObject } from "./world.ts";

const MAGIC = new TextEncoder().encode("k8s\0");

/** What a list says about itself. */
export interface ListMetadata {
  readonly resourceVersion: string;
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

/** An object without its envelope, as it is an item of a list. @throws {TypeError} when it has a field not known here */
export function encodeObject({ apiVersion: _apiVersion, kind, ...fields }: RawObject): Uint8Array {
  return encodeMessage(KUBE_MESSAGES[kind], fields);
}

/** Any message. @throws {TypeError} when a field is not known here */
export function encodeMessage(type: MessageType, fields: Readonly<Record<string, unknown>>): Uint8Array {
  const writer = new BinaryWriter();
  writeMessage(writer, type, fields);
  return writer.finish();
}

/** An encoded object, or a list's body, with the envelope that says what it is. */
export function wrap(
  { apiVersion, kind }: { readonly apiVersion: string; readonly kind: string },
  raw: Uint8Array,
): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.LengthDelimited).string(apiVersion);
  writer.tag(2, WireType.LengthDelimited).string(kind);
  writer.join();
  writer.tag(2, WireType.LengthDelimited).bytes(raw);
  writer.tag(3, WireType.LengthDelimited).string(""); // contentEncoding
  writer.tag(4, WireType.LengthDelimited).string(""); // contentType
  return concat([MAGIC, writer.finish()]);
}

/** The body of a ServiceList or EndpointSliceList. */
export function encodeList(metadata: ListMetadata, items: readonly Uint8Array[]): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).fork();
  writeMessage(writer, LIST_META, { ...metadata });
  writer.join();
  for (const item of items) writer.tag(2, WireType.LengthDelimited).bytes(item);
  return writer.finish();
}

/** A frame of a watch: its length, then a WatchEvent that holds an object in its envelope. */
export function encodeWatchFrame(type: string, object: Uint8Array): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).string(type);
  writer.tag(2, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.LengthDelimited).bytes(object);
  writer.join();
  const event = writer.finish();
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, event.length);
  return concat([length, event]);
}

/** Joins pieces. */
export function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function writeMessage(writer: BinaryWriter, type: MessageType, fields: unknown): void {
  const values = (fields ?? {}) as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(values).find((name) => !Object.hasOwn(type, name));
  if (unknown !== undefined) throw new TypeError(`there is no number for field "${unknown}"`);
  for (const [name, field] of Object.entries(type)) writeField(writer, field, values[name]);
}

function writeField(writer: BinaryWriter, { id, type, presence }: FieldDefinition, value: unknown): void {
  if (presence !== "value" && value === undefined) return;
  if (type === "stringMap") writeMap(writer, id, value as Readonly<Record<string, string>>);
  else if (presence === "list") {
    for (const one of value as unknown[]) {
      writeValue(writer, { id, type }, one);
    }
  } else writeValue(writer, { id, type }, value);
}

function writeValue(
  writer: BinaryWriter,
  { id, type }: { readonly id: number; readonly type: Exclude<FieldType, "stringMap"> },
  value: unknown,
): void {
  switch (type) {
    case "string":
      writer.tag(id, WireType.LengthDelimited).string(String(value ?? ""));
      return;
    case "int":
      writer.tag(id, WireType.Varint).int64(Number(value ?? 0));
      return;
    case "bool":
      writer.tag(id, WireType.Varint).bool(Boolean(value));
      return;
    case "time":
      writer.tag(id, WireType.LengthDelimited).fork();
      if (value !== undefined) {
        writer.tag(1, WireType.Varint).int64(Date.parse(String(value)) / 1000);
        writer.tag(2, WireType.Varint).int32(0);
      }
      writer.join();
      return;
    case "fieldsV1":
      writer.tag(id, WireType.LengthDelimited).fork();
      writer.tag(1, WireType.LengthDelimited).string(JSON.stringify(value));
      writer.join();
      return;
    case "intOrString":
      writer.tag(id, WireType.LengthDelimited).fork();
      writer.tag(1, WireType.Varint).int64(typeof value === "string" ? 1 : 0);
      writer.tag(2, WireType.Varint).int32(typeof value === "number" ? value : 0);
      writer.tag(3, WireType.LengthDelimited).string(typeof value === "string" ? value : "");
      writer.join();
      return;
    default:
      writer.tag(id, WireType.LengthDelimited).fork();
      writeMessage(writer, type, value);
      writer.join();
  }
}

/** Go sorts the keys, so that equal maps give equal bytes. */
function writeMap(writer: BinaryWriter, id: number, map: Readonly<Record<string, string>>): void {
  for (const key of Object.keys(map).sort()) {
    writer.tag(id, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(key);
    writer.tag(2, WireType.LengthDelimited).string(map[key]!);
    writer.join();
  }
}

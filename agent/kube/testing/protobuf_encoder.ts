/**
 * Writes objects in the API's protobuf, as an API server does, from what their JSON holds.
 *
 * In: decoded JSON of Services, EndpointSlices and Statuses. Out: bytes. Knows more fields than the agent reads, so that
 * there is something to skip; a field it does not know is an error, never left out.
 * Source: `generated.proto` of k8s.io/api/core/v1, k8s.io/api/discovery/v1 and k8s.io/apimachinery.
 * @module
 */
import type { KubeObject } from "../objects.ts";
import { API_VERSIONS } from "../parse.ts";

/** Decoded JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** How a value is written; a list of values is the field repeated. */
type Field = (number: number, value: Json) => Uint8Array[];
type Schema = Readonly<Record<string, readonly [number: number, field: Field]>>;

const utf8 = new TextEncoder();

const text: Field = (number, value) => bytesField(number, utf8.encode(asText(value)));
const integer: Field = (number, value) => [varint(number << 3), varint(asNumber(value))];
const boolean: Field = (number, value) => integer(number, Number(asBoolean(value)));
const time: Field = (number, value) =>
  bytesField(number, ...integer(1, Math.floor(Date.parse(asText(value)) / 1000)));
const intOrString: Field = (number, value) =>
  typeof value === "number"
    ? bytesField(number, ...integer(1, 0), ...integer(2, value), ...text(3, ""))
    : bytesField(number, ...integer(1, 1), ...integer(2, 0), ...text(3, value));
const textMap: Field = (number, value) =>
  Object.entries(asObject(value)).flatMap(([key, entry]) =>
    bytesField(number, ...text(1, key), ...text(2, entry))
  );
const json: Field = (number, value) => bytesField(number, ...text(1, JSON.stringify(value)));

function message(schema: Schema): Field {
  return (number, value) => bytesField(number, ...encodeFields(schema, value));
}

const MANAGED_FIELDS: Schema = {
  manager: [1, text],
  operation: [2, text],
  apiVersion: [3, text],
  time: [4, time],
  fieldsType: [6, text],
  fieldsV1: [7, json],
};
const OBJECT_META: Schema = {
  name: [1, text],
  generateName: [2, text],
  namespace: [3, text],
  uid: [5, text],
  resourceVersion: [6, text],
  generation: [7, integer],
  creationTimestamp: [8, time],
  labels: [11, textMap],
  annotations: [12, textMap],
  managedFields: [17, message(MANAGED_FIELDS)],
};
const SERVICE_PORT: Schema = {
  name: [1, text],
  protocol: [2, text],
  port: [3, integer],
  targetPort: [4, intOrString],
  nodePort: [5, integer],
  appProtocol: [6, text],
};
const SERVICE_SPEC: Schema = {
  ports: [1, message(SERVICE_PORT)],
  selector: [2, textMap],
  clusterIP: [3, text],
  type: [4, text],
  externalIPs: [5, text],
  sessionAffinity: [7, text],
  loadBalancerIP: [8, text],
  loadBalancerSourceRanges: [9, text],
  externalName: [10, text],
  externalTrafficPolicy: [11, text],
  healthCheckNodePort: [12, integer],
  publishNotReadyAddresses: [13, boolean],
  sessionAffinityConfig: [14, message({ clientIP: [1, message({ timeoutSeconds: [1, integer] })] })],
  ipFamilyPolicy: [17, text],
  clusterIPs: [18, text],
  ipFamilies: [19, text],
  allocateLoadBalancerNodePorts: [20, boolean],
  internalTrafficPolicy: [22, text],
  trafficDistribution: [23, text],
};
const SERVICE: Schema = {
  metadata: [1, message(OBJECT_META)],
  spec: [2, message(SERVICE_SPEC)],
  status: [
    3,
    message({
      loadBalancer: [
        1,
        message({
          ingress: [1, message({ ip: [1, text], hostname: [2, text], ipMode: [3, text] })],
        }),
      ],
    }),
  ],
};
const ENDPOINT: Schema = {
  addresses: [1, text],
  conditions: [2, message({ ready: [1, boolean], serving: [2, boolean], terminating: [3, boolean] })],
  hostname: [3, text],
  targetRef: [4, message({ kind: [1, text], namespace: [2, text], name: [3, text], uid: [4, text] })],
  nodeName: [6, text],
  zone: [7, text],
  hints: [
    8,
    message({ forZones: [1, message({ name: [1, text] })], forNodes: [2, message({ name: [1, text] })] }),
  ],
};
const ENDPOINT_SLICE: Schema = {
  metadata: [1, message(OBJECT_META)],
  endpoints: [2, message(ENDPOINT)],
  ports: [3, message({ name: [1, text], protocol: [2, text], port: [3, integer], appProtocol: [4, text] })],
  addressType: [4, text],
};
const LIST_META: Schema = { resourceVersion: [2, text], continue: [3, text] };
const STATUS: Schema = {
  metadata: [1, message(LIST_META)],
  status: [2, text],
  message: [3, text],
  reason: [4, text],
  details: [5, message({ name: [1, text], kind: [3, text], retryAfterSeconds: [5, integer] })],
  code: [6, integer],
};
const SCHEMAS: Readonly<Record<KubeObject["kind"] | "Status", Schema>> = {
  Service: SERVICE,
  EndpointSlice: ENDPOINT_SLICE,
  Status: STATUS,
};

/** The message of one object, without an envelope. `kind` and `apiVersion` in it are ignored. */
export function encodeObject(kind: keyof typeof SCHEMAS, object: Json): Uint8Array {
  const { kind: _kind, apiVersion: _apiVersion, ...fields } = asObject(object);
  return concat(encodeFields(SCHEMAS[kind], fields));
}

/** A message in an envelope. */
export function encodeEnvelope(kind: string, apiVersion: string, object: Uint8Array): Uint8Array {
  const typeMeta = bytesField(1, ...text(1, apiVersion), ...text(2, kind));
  // Go writes contentEncoding and contentType though they are empty.
  return concat([
    utf8.encode("k8s\0"),
    ...typeMeta,
    ...bytesField(2, object),
    ...text(3, ""),
    ...text(4, ""),
  ]);
}

/** A list in its envelope. */
export function encodeList(
  kind: KubeObject["kind"],
  list: { readonly metadata: Json; readonly items: readonly Json[] },
): Uint8Array {
  const items = list.items.flatMap((item) => bytesField(2, encodeObject(kind, item)));
  const metadata = bytesField(1, ...encodeFields(LIST_META, list.metadata));
  return encodeEnvelope(`${kind}List`, API_VERSIONS[kind], concat([...metadata, ...items]));
}

/** A Status in its envelope. */
export function encodeStatus(status: Json): Uint8Array {
  return encodeEnvelope("Status", "v1", encodeObject("Status", status));
}

/** A frame of a watch stream around an object in its envelope. */
export function encodeWatchFrame(type: string, envelope: Uint8Array): Uint8Array {
  const event = concat([...text(1, type), ...bytesField(2, ...bytesField(1, envelope))]);
  const frame = new Uint8Array(4 + event.length);
  new DataView(frame.buffer).setUint32(0, event.length);
  frame.set(event, 4);
  return frame;
}

function encodeFields(schema: Schema, value: Json): Uint8Array[] {
  const fields = Object.entries(asObject(value)).map(([key, field]) => {
    const known = schema[key];
    if (known === undefined) throw new TypeError(`Cannot encode the field ${key}`);
    return { number: known[0], encode: known[1], field };
  });
  // In the order of their numbers, as Go writes them.
  fields.sort((a, b) => a.number - b.number);
  return fields.flatMap(({ number, encode, field }) => {
    if (field === null) return [];
    return Array.isArray(field) ? field.flatMap((one: Json) => encode(number, one)) : encode(number, field);
  });
}

function bytesField(number: number, ...parts: readonly Uint8Array[]): Uint8Array[] {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return [varint(number << 3 | 2), varint(length), ...parts];
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.of(...bytes, Number(rest));
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function asObject(value: Json): Readonly<Record<string, Json>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`Cannot encode ${JSON.stringify(value)} as a message`);
  }
  return value as Readonly<Record<string, Json>>;
}

function asText(value: Json): string {
  if (typeof value !== "string") throw new TypeError(`Cannot encode ${JSON.stringify(value)} as a text`);
  return value;
}

function asNumber(value: Json): number {
  if (typeof value !== "number") throw new TypeError(`Cannot encode ${JSON.stringify(value)} as a number`);
  return value;
}

function asBoolean(value: Json): boolean {
  if (typeof value !== "boolean") throw new TypeError(`Cannot encode ${JSON.stringify(value)} as a boolean`);
  return value;
}

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { assertThrows } from "@std/assert/throws";
import { seededRandom } from "../testing/seeded_random.ts";
import type { KubeObject } from "../objects.ts";
import { API_VERSIONS } from "../parse.ts";
import {
  encodeEnvelope,
  encodeList,
  encodeObject,
  encodeStatus,
  encodeWatchFrame,
  type Json,
} from "../testing/protobuf_encoder.ts";
import {
  BARE_SERVICE,
  BARE_SLICE,
  FULL_SERVICE,
  FULL_SLICE,
  type RawFields,
} from "../testing/raw_objects.ts";
import type { WatchEvent } from "../watch_protocol.ts";
import type { AnswerFormat, ListPart } from "./format.ts";
import { JSON_FORMAT } from "./json_format.ts";
import { PROTOBUF_FORMAT } from "./protobuf_format.ts";

type Kind = KubeObject["kind"];

const utf8 = new TextEncoder();
/** After the object an envelope has two fields, both empty. */
const EMPTY_FIELDS_BYTES = 4;
const LISTS: readonly (readonly [Kind, readonly RawFields[]])[] = [
  ["Service", [FULL_SERVICE, BARE_SERVICE, FULL_SERVICE]],
  ["EndpointSlice", [FULL_SLICE, BARE_SLICE, FULL_SLICE]],
];

function listBytes(format: AnswerFormat, kind: Kind, items: readonly RawFields[]): Uint8Array {
  const list = { metadata: { resourceVersion: "99" }, items };
  if (format === PROTOBUF_FORMAT) return encodeList(kind, list);
  return utf8.encode(JSON.stringify({ kind: `${kind}List`, apiVersion: API_VERSIONS[kind], ...list }));
}

/** Decodes a whole list that arrives in pieces of the sizes that `nextSize` gives. */
function decodeList(format: AnswerFormat, kind: Kind, bytes: Uint8Array, nextSize: () => number): ListPart[] {
  const decoder = format.listDecoder(kind);
  const parts: ListPart[] = [];
  for (let from = 0; from < bytes.length;) {
    const size = nextSize();
    parts.push(decoder.push(bytes.slice(from, from + size)));
    from += size;
  }
  parts.push(decoder.end());
  return parts;
}

function objectsOf(parts: readonly ListPart[]): KubeObject[] {
  return parts.flatMap((part) => part.objects);
}

function frame(type: string, kind: Kind | "Status", object: Json): Uint8Array {
  const apiVersion = kind === "Status" ? "v1" : API_VERSIONS[kind];
  const envelope = encodeEnvelope(kind, apiVersion, encodeObject(kind, object));
  // Of some the two empty fields at the end are left out, as not everybody writes them.
  return encodeWatchFrame(type, type === "MODIFIED" ? envelope.subarray(0, -EMPTY_FIELDS_BYTES) : envelope);
}

function watchBytes(
  format: AnswerFormat,
  kind: Kind,
  events: readonly (readonly [string, RawFields])[],
): Uint8Array {
  const frames = events.map(([type, fields]) => {
    const isStatus = type === "ERROR";
    if (format === PROTOBUF_FORMAT) return frame(type, isStatus ? "Status" : kind, fields);
    const object = {
      kind: isStatus ? "Status" : kind,
      apiVersion: isStatus ? "v1" : API_VERSIONS[kind],
      ...fields,
    };
    return utf8.encode(`${JSON.stringify({ type, object })}\n`);
  });
  return join(frames);
}

function decodeWatch(format: AnswerFormat, kind: Kind, bytes: Uint8Array, size = bytes.length): WatchEvent[] {
  const decoder = format.watchDecoder(kind);
  const events: WatchEvent[] = [];
  for (let from = 0; from < bytes.length; from += size) {
    events.push(...decoder.push(bytes.slice(from, from + size)));
  }
  return events;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

Deno.test("protobuf: an object is what it is in JSON", () => {
  for (const [kind, items] of LISTS) {
    const [inProtobuf, inJson] = [PROTOBUF_FORMAT, JSON_FORMAT].map((format) => {
      const bytes = listBytes(format, kind, items);
      return decodeList(format, kind, bytes, () => bytes.length);
    });
    assertEquals(objectsOf(inProtobuf!), objectsOf(inJson!));
    assertEquals(inProtobuf!.at(-1)!.resourceVersion, "99");
    assertEquals(objectsOf(inProtobuf!).length, 3);
  }
});

Deno.test("protobuf: so are random objects, in lists cut at random", () => {
  const random = seededRandom(11);
  for (let round = 0; round < 150; round++) {
    for (const [kind, [full]] of LISTS) {
      const items = Array.from({ length: 8 }, (_, index) => {
        // A Service's port has a number in protobuf, if only 0; a slice's may have none.
        const keys = new Set(kind === "Service" ? ["port"] : []);
        const some = subset(full!, keys, random) as RawFields;
        const metadata = { ...some["metadata"] as RawFields, namespace: "n", name: `o${index}` };
        return { ...some, metadata };
      });
      const bytes = encodeList(kind, { metadata: { resourceVersion: "1" }, items });
      const parts = decodeList(PROTOBUF_FORMAT, kind, bytes, () => 1 + Math.floor(random() * 900));
      const json = listBytes(JSON_FORMAT, kind, items);
      assertEquals(objectsOf(parts), objectsOf(decodeList(JSON_FORMAT, kind, json, () => json.length)));
    }
  }
});

/** Some of the fields, texts and elements of a value, in any combination; `keys` always. */
function subset(value: Json, keys: ReadonlySet<string>, random: () => number): Json {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    return value.filter(() => random() < 0.7).map((one: Json) => subset(one, keys, random));
  }
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => keys.has(key) || random() < 0.8)
      .map(([key, one]) => [key, subset(one, keys, random)]),
  );
}

Deno.test("protobuf: any way of cutting a list gives the same objects, each as soon as it is there", () => {
  for (const [kind, items] of LISTS) {
    const bytes = listBytes(PROTOBUF_FORMAT, kind, items);
    const whole = objectsOf(decodeList(PROTOBUF_FORMAT, kind, bytes, () => bytes.length));
    for (let size = 1; size <= bytes.length; size++) {
      const parts = decodeList(PROTOBUF_FORMAT, kind, bytes, () => size);
      assertEquals(objectsOf(parts), whole, `pieces of ${size}`);
    }
    const [one] = decodeList(PROTOBUF_FORMAT, kind, bytes, () => bytes.length - EMPTY_FIELDS_BYTES);
    assertEquals(one!.objects, whole);
  }
});

Deno.test("protobuf: a list that ends anywhere before its end is an error", () => {
  for (const [kind, items] of LISTS) {
    const bytes = listBytes(PROTOBUF_FORMAT, kind, items);
    for (let length = 0; length < bytes.length; length++) {
      // Between the envelope's last fields, which say nothing, the list is complete.
      if (length === bytes.length - EMPTY_FIELDS_BYTES || length === bytes.length - 2) continue;
      const decoder = PROTOBUF_FORMAT.listDecoder(kind);
      decoder.push(bytes.slice(0, length));
      assertThrows(() => decoder.end(), SyntaxError, "the list ends in the middle", `${length} bytes`);
    }
  }
});

Deno.test("protobuf: what is not the list that was asked for is a clear error", () => {
  const push = (bytes: Uint8Array): void => void PROTOBUF_FORMAT.listDecoder("Service").push(bytes);
  assertThrows(() => push(utf8.encode("<html>")), SyntaxError, "the mark of Kubernetes' protobuf is missing");
  assertThrows(
    () => push(encodeList("EndpointSlice", { metadata: {}, items: [] })),
    SyntaxError,
    "the answer is a EndpointSliceList, not a ServiceList",
  );
  const end = (metadata: Json) => (): void => {
    const decoder = PROTOBUF_FORMAT.listDecoder("Service");
    decoder.push(encodeList("Service", { metadata, items: [] }));
    decoder.end();
  };
  assertThrows(end({}), SyntaxError, "the list has no resourceVersion");
  assertThrows(
    end({ resourceVersion: "1", continue: "x" }),
    SyntaxError,
    "the list is only the first part of one",
  );
  const whole = encodeObject("Service", FULL_SERVICE);
  const cut = Uint8Array.of(0x12, 0x80 | whole.length & 0x7f, whole.length >> 7, ...whole.subarray(0, -1));
  assertThrows(() => push(encodeEnvelope("ServiceList", "v1", cut)), SyntaxError, "ends beyond the list");
  // 64 MiB, announced.
  const long = Uint8Array.of(0x12, 0x80, 0x80, 0x80, 0x20);
  assertThrows(() => push(encodeEnvelope("ServiceList", "v1", long)), RangeError, "67108864 bytes");
});

Deno.test("protobuf: random faults in a list are an error, an unreadable object, or an object; never more", () => {
  const random = seededRandom(3);
  for (const [kind, items] of LISTS) {
    const bytes = listBytes(PROTOBUF_FORMAT, kind, items);
    const outcomes = { failed: 0, unreadable: 0, read: 0 };
    for (let round = 0; round < 4_000; round++) {
      const broken = bytes.slice();
      for (let faults = 0; faults < 3; faults++) {
        broken[Math.floor(random() * broken.length)] = Math.floor(random() * 256);
      }
      try {
        const parts = decodeList(PROTOBUF_FORMAT, kind, broken, () => 700);
        for (const reason of parts.flatMap((part) => part.unreadable)) {
          assert(reason.startsWith(kind), reason);
          outcomes.unreadable++;
        }
        for (const object of objectsOf(parts)) assertEquals(object.kind, kind);
        outcomes.read++;
      } catch (error) {
        assert(error instanceof SyntaxError || error instanceof RangeError, String(error));
        outcomes.failed++;
      }
    }
    assert(Math.min(...Object.values(outcomes)) > 10, JSON.stringify(outcomes));
  }
});

Deno.test("protobuf: an object that is broken is left out, named, and leaves the others alone", () => {
  const service = encodeObject("Service", FULL_SERVICE);
  const inner = service.slice();
  // A length within spec that reaches beyond it: the last field there is trafficDistribution.
  const at = new TextDecoder("latin1").decode(inner).lastIndexOf("\xba\x01\x0ePreferSameZone");
  assert(at > 0);
  inner[at + 2] = 0x7f;
  const events = decodeWatch(
    PROTOBUF_FORMAT,
    "Service",
    join([
      encodeWatchFrame("MODIFIED", encodeEnvelope("Service", "v1", inner)),
      encodeWatchFrame("ADDED", encodeEnvelope("Service", "v1", Uint8Array.of(0x0a, 0x7f))),
      encodeWatchFrame("ADDED", encodeEnvelope("Service", "v1", encodeObject("Service", { spec: {} }))),
      encodeWatchFrame("ADDED", encodeEnvelope("Pod", "v1", service)),
      frame("SURPRISE", "Service", BARE_SERVICE),
      frame("ADDED", "Service", BARE_SERVICE),
    ]),
  );
  const cannot = "a field of 127 bytes stands in a message that has only";
  assertEquals(events.map((event) => event.type === "UNREADABLE" ? event.reason : event.type), [
    `Service shop/web is broken: ${cannot} 14 more`,
    `Service without a name is broken: ${cannot} 0 more`,
    "Service without metadata.name",
    "kind Pod is not read",
    'watch event of type "SURPRISE"',
    "ADDED",
  ]);
  assertEquals(
    events.map((event) => "resourceVersion" in event ? event.resourceVersion : undefined),
    ["123456789012", "", "", "123456789012", "1", undefined],
  );
});

Deno.test("protobuf: a watch says what it says in JSON, however it is cut", () => {
  const expired: RawFields = {
    status: "Failure",
    code: 410,
    reason: "Expired",
    message: "too old resource version: 1 (2)",
    details: { retryAfterSeconds: 3 },
  };
  for (const [kind, [full, bare]] of LISTS) {
    const told: [string, RawFields][] = [
      ["ADDED", full!],
      ["MODIFIED", bare!],
      ["DELETED", full!],
      ["BOOKMARK", { metadata: { resourceVersion: "77" } }],
      ["ERROR", expired],
      ["ERROR", {}],
    ];
    const inJson = decodeWatch(JSON_FORMAT, kind, watchBytes(JSON_FORMAT, kind, told));
    assertEquals(inJson.map((event) => event.type), told.map(([type]) => type));
    assertEquals(inJson[4], {
      type: "ERROR",
      failure: { status: 410, retryAfterMs: 3_000, message: "too old resource version: 1 (2)" },
    });
    const bytes = watchBytes(PROTOBUF_FORMAT, kind, told);
    for (let size = 1; size <= bytes.length; size++) {
      assertEquals(decodeWatch(PROTOBUF_FORMAT, kind, bytes, size), inJson, `pieces of ${size}`);
    }
  }
});

Deno.test("protobuf: a frame that is none ends the stream", () => {
  const cases: [Uint8Array, new () => Error, string][] = [
    [utf8.encode("this is not a frame"), RangeError, "a frame of 1952999795 bytes"],
    [Uint8Array.of(0, 0, 0, 2, 0x0a, 0x09), SyntaxError, "a field of 9 bytes"],
    [Uint8Array.of(0, 0, 0, 0), SyntaxError, "a watch event without an object"],
    [encodeWatchFrame("ADDED", utf8.encode("k8s\x01")), SyntaxError, "the mark of Kubernetes' protobuf"],
    [encodeWatchFrame("ADDED", utf8.encode("k8s\0")), SyntaxError, "an envelope holds no object"],
  ];
  for (const [bytes, kind, message] of cases) {
    assertThrows(() => PROTOBUF_FORMAT.watchDecoder("Service").push(bytes), kind, message);
  }
});

Deno.test("protobuf: a Status in a refusal", () => {
  const status = { code: 403, reason: "Forbidden", message: "no", details: { retryAfterSeconds: 2 } };
  assertEquals(PROTOBUF_FORMAT.readStatus(encodeStatus(status)), {
    code: 403,
    reason: "Forbidden",
    message: "no",
    retryAfterMs: 2_000,
  });
  const { message } = PROTOBUF_FORMAT.readStatus(utf8.encode("overloaded"));
  assertStringIncludes(message, "a Status that cannot be read");
});

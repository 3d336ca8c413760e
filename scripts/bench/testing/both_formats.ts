/**
 * Holds an API server's protobuf against its JSON: the second, encoded by us, must be the first to the last byte.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import type { ApiAccess } from "../../lab/service_account.ts";
import { encodeObject, encodeWatchFrame, type ListMetadata, wrap } from "../kube_protobuf.ts";
import { WIRE_FORMATS } from "../wire_formats.ts";
import type { RawObject } from "../world.ts";

/** What is listed and watched, and where. */
export const COLLECTIONS = [
  { kind: "Service", apiVersion: "v1", path: "/api/v1/services" },
  {
    kind: "EndpointSlice",
    apiVersion: "discovery.k8s.io/v1",
    path: "/apis/discovery.k8s.io/v1/endpointslices",
  },
] as const;

/** One of them. */
export type Collection = typeof COLLECTIONS[number];

/** An answer's body. @throws {AssertionError} when it is refused or in another language */
export async function get(access: ApiAccess, path: string, format: "json" | "protobuf"): Promise<Uint8Array> {
  using client = Deno.createHttpClient({ caCerts: [access.ca] });
  const { contentType, watchContentType } = WIRE_FORMATS[format];
  const response = await fetch(`https://${access.host}:${access.port}${path}`, {
    client,
    headers: { Accept: contentType, Authorization: `Bearer ${access.token}` },
  });
  const wanted = path.includes("watch=") ? watchContentType : contentType;
  assertEquals([response.status, response.headers.get("content-type")], [200, wanted]);
  return new Uint8Array(await response.arrayBuffer());
}

/** Lists in both. @returns the list's version, and the objects' encoding */
export async function assertSameList(
  access: ApiAccess,
  { kind, apiVersion, path }: Collection,
): Promise<{ readonly resourceVersion: string; readonly encoded: readonly Uint8Array[] }> {
  const text = new TextDecoder().decode(await get(access, path, "json"));
  const { metadata, items } = JSON.parse(text) as {
    readonly metadata: ListMetadata;
    readonly items: readonly Omit<RawObject, "kind" | "apiVersion">[];
  };
  const encoded = items.map((item) => encodeObject({ ...item, kind, apiVersion } as RawObject));
  const list = WIRE_FORMATS.protobuf.list(kind, metadata, encoded);
  assert(items.length > 0);
  assertEquals(await get(access, path, "protobuf"), list);
  return { resourceVersion: metadata.resourceVersion, encoded };
}

/** Watches for a second from a version on in both, and compares all events; those of a state come in no order. */
export async function assertSameEvents(
  access: ApiAccess,
  { kind, apiVersion, path }: Collection,
  resourceVersion: string,
): Promise<readonly string[]> {
  const watch = `${path}?watch=true&resourceVersion=${resourceVersion}&timeoutSeconds=1`;
  const [json, protobuf] = await Promise.all([get(access, watch, "json"), get(access, watch, "protobuf")]);
  const events = new TextDecoder().decode(json).trimEnd().split("\n").map((line) =>
    JSON.parse(line) as { readonly type: string; readonly object: RawObject }
  );
  const frames = events.map(({ type, object }) =>
    encodeWatchFrame(type, wrap({ kind, apiVersion }, encodeObject(object)))
  );
  assertEquals(split(protobuf).map(String).sort(), frames.map(String).sort());
  return events.map(({ type, object }) => `${type} ${object.metadata.name}`);
}

/** The frames of a watch, with their lengths. */
function split(bytes: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 4 + new DataView(bytes.buffer, at).getUint32(0);
    frames.push(bytes.slice(at, end));
    at = end;
  }
  return frames;
}

/**
 * The protobuf of the synthetic API server against the one a real kube-apiserver sends.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import type { ApiAccess } from "../lab/service_account.ts";
import { testUnless } from "../lab/testing.ts";
import { progress } from "../tool_path.ts";
import { ensureTool } from "../tools/mod.ts";
import { encodeObject } from "./kube_protobuf.ts";
import { RealApi } from "./real_api.ts";
import { assertSameEvents, assertSameList, COLLECTIONS, get } from "./testing/both_formats.ts";
import {
  nameOf,
  namespaceOf,
  objectsOf,
  type RawObject,
  UNCHANGED,
  vipOf,
  type WorldShape,
} from "./world.ts";
import { keyOf } from "./world_host.ts";

const SHAPE: WorldShape = { services: 2, backends: ["10.244.0.11", "10.244.0.12", "10.244.0.13"] };

Deno.test("encodeObject() leaves nothing out silently", () => {
  const [service] = objectsOf(SHAPE, 0, UNCHANGED) as [RawObject];
  assert(encodeObject(service).length > 500);
  const odd = { ...service, spec: { ...service["spec"] as object, sessionAffinityConfig: {} } };
  assertThrows(() => encodeObject(odd), TypeError, 'there is no number for field "sessionAffinityConfig"');
});

const etcd = await ensureTool("etcd", { onProgress: progress });
const kubeApiserver = await ensureTool("kube-apiserver", { onProgress: progress });

testUnless(
  "lists and watches of a world have the same bytes as a real kube-apiserver's",
  { unavailable: [etcd.unavailable, kubeApiserver.unavailable] },
  async () => {
    const dir = await Deno.makeTempDir({ prefix: "lightpath-bench-test-" });
    try {
      const programs = { etcd: etcd.path!, kubeApiserver: kubeApiserver.path! };
      const node = { name: "node-1", address: "192.0.2.1" };
      await using api = await RealApi.start({ shape: SHAPE, ...programs, dir, node });
      await assertServed(api.access);
      // So that every kind of presence is seen: two slices, conditions that are false.
      await api.stage([{ index: 0, kind: "slices" }, { index: 1, kind: "readiness" }])();
      for (const collection of COLLECTIONS) {
        await assertSameList(api.access, collection);
        await assertSameEvents(api.access, collection, "0");
      }
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
);

/** Nothing of the world was lost on its way through etcd, and each VIP is known to be taken. */
async function assertServed(access: ApiAccess): Promise<void> {
  const served = new Map<string, unknown>();
  for (const { path, kind, apiVersion } of COLLECTIONS) {
    for (const { metadata, ...rest } of await listJson(access, path)) {
      const { resourceVersion: _version, generation: _generation, ...kept } = metadata;
      served.set(keyOf({ ...rest, kind, apiVersion, metadata: kept }), {
        ...rest,
        kind,
        apiVersion,
        metadata: kept,
      });
    }
  }
  for (let index = 0; index < SHAPE.services; index++) {
    for (const object of objectsOf(SHAPE, index, UNCHANGED)) assertEquals(served.get(keyOf(object)), object);
  }
  const addresses = await listJson(access, "/apis/networking.k8s.io/v1/ipaddresses");
  const taken = addresses.find(({ metadata }) => metadata.name === vipOf(1));
  assertEquals(taken?.["spec"], {
    parentRef: { resource: "services", namespace: namespaceOf(1), name: nameOf(1) },
  });
  // It is the one that was stored, not one that the server made because there was none.
  assertEquals(taken?.metadata["creationTimestamp"], "2026-01-15T09:30:00Z");
}

async function listJson(access: ApiAccess, path: string): Promise<readonly RawObject[]> {
  const text = new TextDecoder().decode(await get(access, path, "json"));
  return (JSON.parse(text) as { readonly items: readonly RawObject[] }).items;
}

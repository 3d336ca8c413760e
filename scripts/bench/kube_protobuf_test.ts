/**
 * The protobuf of the synthetic API server against the one a real kube-apiserver sends.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertThrows } from "@std/assert/throws";
import { testUnless } from "../lab/testing.ts";
import { progress } from "../tool_path.ts";
import { ensureTool } from "../tools/mod.ts";
import { encodeObject } from "./kube_protobuf.ts";
import { RealApi } from "./real_api.ts";
import { assertSameEvents, assertSameList, COLLECTIONS } from "./testing/both_formats.ts";
import { objectsOf, type RawObject, UNCHANGED, type WorldShape } from "./world.ts";

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
      await using api = await RealApi.start({ shape: SHAPE, ...programs, dir, node }, () => {});
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

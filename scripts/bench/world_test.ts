import { assertEquals } from "@std/assert/equals";
import { assert } from "@std/assert/assert";
import { parseKubeObject } from "../../agent/kube/parse.ts";
import { ServiceModel } from "../../agent/model/mod.ts";
import {
  type ChangeKind,
  endpointsOf,
  MAX_SERVICES,
  objectsOf,
  type RawObject,
  UNCHANGED,
  vipOf,
  type WorldShape,
} from "./world.ts";
import { Generations, writesBetween } from "./world_host.ts";

const SHAPE: WorldShape = { services: MAX_SERVICES, backends: ["10.244.0.11", "10.244.0.12", "10.244.0.13"] };

Deno.test("every Service of the largest world has a VIP and endpoints of its own", () => {
  const vips = new Set<string>();
  const endpoints = new Set<string>();
  for (let index = 0; index < MAX_SERVICES; index++) {
    vips.add(vipOf(index));
    if (index < 100) continue;
    for (const generation of [0, 1]) {
      for (const address of endpointsOf(SHAPE, index, { endpoints: generation })) {
        endpoints.add(address);
      }
    }
  }
  assertEquals(vips.size, MAX_SERVICES);
  assertEquals(endpoints.size, (MAX_SERVICES - 100) * 3);
  for (const address of endpoints) {
    const [a, b, c, d] = address.split(".").map(Number) as [number, number, number, number];
    assert(a === 10 && b >= 128 && b < 256 && c < 256 && d > 0 && d < 255, address);
  }
});

Deno.test("the agent's model takes the objects without a problem, and each change changes one thing", () => {
  for (const [index, path] of [[0, "http"], [101, "tcp"]] as const) {
    const model = new ServiceModel({ serviceProxyName: "", families: ["IPv4"] });
    const generations = new Generations();
    const apply = (before: readonly RawObject[], after: readonly RawObject[]): unknown[] => {
      const events = writesBetween(before, after).map(({ verb, object: raw }) => {
        const result = parseKubeObject(raw);
        if (!("object" in result)) throw new Error(JSON.stringify(result));
        const { object } = result;
        return verb === "delete"
          ? { ...object, type: "delete" } as const
          : { type: "apply", object } as const;
      });
      return [...model.reduce(events).changes.values()].map(({ before, after }) => ({
        port: [before?.vips[0]?.port, after?.vips[0]?.port],
        kept: after?.endpoints.IPv4.filter(({ address }) =>
          before?.endpoints.IPv4.some((other) => other.address === address)
        ).length,
        endpoints: after?.endpoints.IPv4.length,
        path: after?.appProtocol,
      }));
    };
    const change = (...kinds: readonly ChangeKind[]): unknown[] => {
      const before = objectsOf(SHAPE, index, generations.of(index));
      for (const kind of kinds) generations.advance({ index, kind });
      return apply(before, objectsOf(SHAPE, index, generations.of(index)));
    };
    const both = { kept: 2, endpoints: 2, path };
    const created = [{ port: [undefined, 80], kept: 0, endpoints: 2, path }];
    assertEquals(apply([], objectsOf(SHAPE, index, UNCHANGED)), created);
    assertEquals(change("endpoints"), [{ port: [80, 80], kept: 1, endpoints: 2, path }]);
    assertEquals(change("port"), [{ port: [80, 8001], ...both }]);
    assertEquals(change("port"), [{ port: [8001, 80], ...both }]);
    for (let times = 0; times < 3; times++) assertEquals(change("slices"), []);
    assertEquals(change("readiness"), [{ port: [80, 80], kept: 0, endpoints: 0, path }]);
    assertEquals(change("readiness"), [{ port: [80, 80], kept: 0, endpoints: 2, path }]);
    const deleted = { port: [80, undefined], kept: undefined, endpoints: undefined, path: undefined };
    assertEquals(change("presence"), [deleted]);
    assertEquals(change("slices", "port"), []);
    assertEquals(change("port", "presence"), created);
    assertEquals([...model.problems()], []);
  }
});

import { assertEquals } from "@std/assert/equals";
import type { KubeObject, ObjectEvent } from "./objects.ts";
import { parseKubeObject } from "./parse.ts";
import { ObjectStore } from "./store.ts";
import type { StoreEvent } from "./watch_protocol.ts";

function object(name: string, resourceVersion: string): KubeObject {
  const result = parseKubeObject({ metadata: { namespace: "d", name, resourceVersion } }, "Service");
  if (!("object" in result)) throw new Error("not an object");
  return result.object;
}

function list(...objects: readonly KubeObject[]): StoreEvent[] {
  return [{ type: "Init" }, ...objects.map((object) => ({ type: "InitApply", object }) as const), {
    type: "InitDone",
  }];
}

function brief(events: readonly ObjectEvent[]): string[] {
  return events.map((event) =>
    event.type === "apply"
      ? `+${event.object.name}@${event.object.resourceVersion}`
      : `-${event.namespace}/${event.name}`
  );
}

Deno.test("store: nothing comes out before InitDone, then everything at once", () => {
  const store = new ObjectStore("Service");
  const events = list(object("a", "1"), object("b", "2"));
  assertEquals(store.apply(events.slice(0, 3)), []);
  assertEquals(store.synced, false);
  assertEquals(brief(store.apply(events.slice(3))), ["+a@1", "+b@2"]);
  assertEquals([store.synced, store.size], [true, 2]);
});

Deno.test("store: a relist yields exactly the differences, deletions first", () => {
  const store = new ObjectStore("Service");
  store.apply(list(object("same", "1"), object("changed", "2"), object("gone", "3")));
  assertEquals(brief(store.apply(list(object("new", "5"), object("same", "1"), object("changed", "4")))), [
    "-d/gone",
    "+new@5",
    "+changed@4",
  ]);
});

Deno.test("store: a list that is started again drops what the first attempt brought", () => {
  const store = new ObjectStore("Service");
  store.apply([{ type: "Init" }, { type: "InitApply", object: object("stale", "1") }]);
  assertEquals(brief(store.apply(list(object("a", "2")))), ["+a@2"]);
});

Deno.test("store: changes pass, a repeated version and an unknown deletion do not", () => {
  const store = new ObjectStore("Service");
  store.apply(list(object("a", "1")));
  const events: StoreEvent[] = [
    { type: "Apply", object: object("a", "1") },
    { type: "Apply", object: object("a", "2") },
    { type: "Delete", object: object("never", "3") },
    { type: "Delete", object: object("a", "4") },
    { type: "Apply", object: object("a", "5") },
  ];
  assertEquals(brief(store.apply(events)), ["+a@2", "-d/a", "+a@5"]);
});

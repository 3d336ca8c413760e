import { assertEquals } from "@std/assert/equals";
import type { KubeObject, ObjectEvent } from "./objects.ts";
import { parseKubeObject } from "./parse.ts";
import { ObjectStore } from "./store.ts";
import type { StoreEvent } from "./watch_protocol.ts";

const INIT: StoreEvent = { type: "Init" };
const DONE: StoreEvent = { type: "InitDone" };

function object(name: string, resourceVersion: string): KubeObject {
  const result = parseKubeObject({ metadata: { namespace: "d", name, resourceVersion } }, "Service");
  if (!("object" in result)) throw new Error("not an object");
  return result.object;
}

function shown(...objects: readonly KubeObject[]): StoreEvent {
  return { type: "InitApply", objects };
}

function list(...objects: readonly KubeObject[]): StoreEvent[] {
  return [INIT, shown(...objects), DONE];
}

function brief(events: readonly ObjectEvent[]): string[] {
  return events.map((event) =>
    event.type === "apply"
      ? `+${event.object.name}@${event.object.resourceVersion}`
      : `-${event.namespacedName}`
  );
}

Deno.test("store: the objects of the first list pass as they come, and its end makes it synced", () => {
  const store = new ObjectStore("Service");
  assertEquals(brief(store.apply([INIT, shown(object("a", "1"))])), ["+a@1"]);
  assertEquals(brief(store.apply([shown(object("b", "2"), object("c", "3"))])), ["+b@2", "+c@3"]);
  assertEquals(store.synced, false);
  assertEquals(brief(store.apply([DONE])), []);
  assertEquals([store.synced, store.size], [true, 3]);
});

Deno.test("store: a first list that is started again yields what the first attempt did not, or no longer, bring", () => {
  const store = new ObjectStore("Service");
  store.apply([INIT, shown(object("same", "1"), object("changed", "2"), object("gone", "3"))]);
  assertEquals(
    brief(store.apply([INIT, shown(object("same", "1"), object("changed", "4"), object("new", "5"))])),
    ["+changed@4", "+new@5"],
  );
  assertEquals(brief(store.apply([DONE])), ["-d/gone"]);
});

Deno.test("store: a relist yields exactly the differences, new names only after the deletions", () => {
  const store = new ObjectStore("Service");
  store.apply(list(object("same", "1"), object("changed", "2"), object("gone", "3")));
  assertEquals(
    brief(store.apply([INIT, shown(object("new", "5"), object("same", "1"), object("changed", "4"))])),
    ["+changed@4"],
  );
  assertEquals(brief(store.apply([DONE])), ["-d/gone", "+new@5"]);
});

Deno.test("store: a relist that is started again forgets the new names of the first attempt", () => {
  const store = new ObjectStore("Service");
  store.apply(list(object("a", "1")));
  store.apply([INIT, shown(object("a", "2"), object("stale", "3"))]);
  assertEquals(brief(store.apply(list(object("a", "2"), object("new", "4")))), ["+new@4"]);
  assertEquals(store.size, 2);
});

Deno.test("store: changes pass, a repeated version and an unknown deletion do not", () => {
  const store = new ObjectStore("Service");
  store.apply(list(object("a", "1")));
  const events: StoreEvent[] = [
    { type: "Apply", object: object("a", "1") },
    { type: "Apply", object: object("a", "2") },
    { type: "Delete", namespacedName: "d/never" },
    { type: "Delete", namespacedName: "d/a" },
    { type: "Apply", object: object("a", "5") },
  ];
  assertEquals(brief(store.apply(events)), ["+a@2", "-d/a", "+a@5"]);
});

Deno.test("store: versions are the same only if their texts are", () => {
  const versions = ["7", "07", "7.0", "9007199254740993", "9007199254740992", "0x7", "1e1", "10", "-1", ""];
  const store = new ObjectStore("Service");
  store.apply(list());
  for (const version of versions) {
    const event: StoreEvent = { type: "Apply", object: object("a", version) };
    assertEquals(brief(store.apply([event])), [`+a@${version}`]);
    assertEquals(brief(store.apply([event])), version === "" ? ["+a@"] : []);
  }
});

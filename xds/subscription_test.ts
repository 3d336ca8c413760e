/** Request scripts told step by step, each against one rule of "xDS REST and gRPC protocol". */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { oweAgain } from "./subscription.ts";
import { Conversation } from "./testing/conversation.ts";
import { ABSENT_VERSION, MemorySource } from "./testing/memory_source.ts";

Deno.test("on demand: each name asked for is answered, and only those", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  client.source.set("Cluster", "b", "1");
  const first = client.request({ subscribe: ["a"] });
  assertEquals(first?.resources, { a: "1" });
  assertEquals(client.asked, ["a"]);
  assertEquals(client.ack(first), undefined);
  assertEquals(client.request({ subscribe: ["b"] })?.resources, { b: "1" });
});

Deno.test("on demand: several names waiting are answered in one response", () => {
  const client = new Conversation("Cluster");
  const first = client.request({ subscribe: ["a"] });
  client.request({ subscribe: ["c"] });
  client.request({ subscribe: ["b"] });
  assertEquals(client.ack(first)?.resources, { c: ABSENT_VERSION, b: ABSENT_VERSION });
});

Deno.test("on demand: a name that does not exist is a resource, never a removal, and is updated when it comes", () => {
  const client = new Conversation("Cluster");
  const first = client.request({ subscribe: ["a"] });
  assertEquals(first?.resources, { a: ABSENT_VERSION });
  assertEquals(first?.removed, []);
  client.ack(first);
  client.source.set("Cluster", "a", "1");
  const second = client.read();
  assertEquals(second?.resources, { a: "1" });
  client.ack(second);
  client.source.delete("Cluster", "a");
  assertEquals(client.read()?.resources, { a: ABSENT_VERSION });
});

Deno.test("a name of a type without stand-in that does not exist is answered with a removal", () => {
  const client = new Conversation("Listener");
  const first = client.request({ subscribe: ["a"] });
  assertEquals(first?.removed, ["a"]);
  client.ack(first);
  client.source.set("Listener", "a", "1");
  assertEquals(client.read()?.resources, { a: "1" });
});

Deno.test("changes of what nobody asked for are not sent", () => {
  const client = new Conversation("Cluster");
  client.ack(client.request({ subscribe: ["a"] }));
  client.source.set("Cluster", "b", "1");
  assertEquals(client.subscription.owed.size, 0);
  assertEquals(client.read(), undefined);
});

Deno.test("a change back to what was sent is not sent", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  client.ack(client.request({ subscribe: ["a"] }));
  client.source.set("Cluster", "a", "2");
  client.source.set("Cluster", "a", "1");
  assertEquals(client.read(), undefined);
});

Deno.test("changes during a flight merge: only the last version is sent", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  const first = client.request({ subscribe: ["a"] });
  for (const version of ["2", "3", "4"]) {
    client.source.set("Cluster", "a", version);
    assertEquals(client.read(), undefined);
  }
  const second = client.ack(first);
  assertEquals(second?.resources, { a: "4" });
  assertEquals(client.ack(second), undefined);
});

Deno.test("a name asked for again is sent again at the same version", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  client.ack(client.request({ subscribe: ["a"] }));
  assertEquals(client.request({ subscribe: ["a"] })?.resources, { a: "1" });
  assertEquals(client.asked, []);
});

Deno.test("asked for again during its own flight: sent again after the ACK", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  const first = client.request({ subscribe: ["a"] });
  assertEquals(client.request({ subscribe: ["a"] }), undefined);
  assertEquals(client.ack(first)?.resources, { a: "1" });
});

Deno.test("unsubscribed: no answer, no more changes, and a later subscription starts anew", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  client.ack(client.request({ subscribe: ["a"] }));
  assertEquals(client.request({ unsubscribe: ["a", "never-asked-for"] }), undefined);
  client.source.set("Cluster", "a", "2");
  assertEquals(client.read(), undefined);
  assertEquals(client.request({ subscribe: ["a"] })?.resources, { a: "2" });
});

Deno.test("stale and empty nonces acknowledge nothing, but their lists count", () => {
  const client = new Conversation("Cluster");
  const first = client.request({ subscribe: ["a"] });
  assertEquals(client.request({ nonce: "gone", subscribe: ["b"] }), undefined);
  assertEquals(client.answer.kind, "stale");
  assertEquals(client.request({ subscribe: ["c"] }), undefined);
  assertEquals(client.answer.kind, "none");
  assertEquals(Object.keys(client.ack(first)?.resources ?? {}), ["b", "c"]);
});

Deno.test("a nonce answers once", () => {
  const client = new Conversation("Cluster");
  const first = client.request({ subscribe: ["a"] });
  client.ack(first);
  client.ack(first);
  assertEquals(client.answer.kind, "stale");
});

Deno.test("an error with a stale nonce rejects nothing", () => {
  const client = new Conversation("Cluster");
  client.request({ subscribe: ["a"] });
  client.request({ nonce: "gone", error: "Error adding/updating cluster(s) a: bad" });
  assertEquals(client.answer.kind, "stale");
  assertEquals(client.subscription.rejected.size, 0);
});

Deno.test("ACK: latency of the response, and the wait of each name asked for", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  client.nowMs = 1000;
  const first = client.request({ subscribe: ["a"] });
  client.nowMs = 1003;
  client.request({ subscribe: ["b"] });
  client.nowMs = 1005;
  const second = client.ack(first);
  assertEquals(client.answer, { kind: "ack", names: ["a"], latencyMs: 5, waitedMs: [5] });
  client.source.set("Cluster", "a", "2");
  client.nowMs = 1010;
  const third = client.ack(second);
  assertEquals(client.answer, { kind: "ack", names: ["b"], latencyMs: 5, waitedMs: [7] });
  client.nowMs = 1011;
  client.ack(third);
  assertEquals(client.answer, { kind: "ack", names: ["a"], latencyMs: 1, waitedMs: [] });
});

Deno.test("ACK: a change before the answer does not shorten the wait", () => {
  const client = new Conversation("Cluster");
  const first = client.request({ subscribe: ["a"] });
  client.nowMs = 10;
  client.request({ subscribe: ["b"] });
  client.nowMs = 20;
  client.source.set("Cluster", "b", "1");
  const second = client.ack(first);
  client.nowMs = 25;
  client.ack(second);
  assertEquals(client.answer, { kind: "ack", names: ["b"], latencyMs: 5, waitedMs: [15] });
});

Deno.test("reconnect: equal versions are not sent, differing and missing ones are", () => {
  const client = new Conversation("ClusterLoadAssignment");
  for (const name of ["same", "changed", "never-got"]) client.source.set("ClusterLoadAssignment", name, "2");
  const heard = client.request({
    subscribe: ["same", "changed", "never-got", "gone"],
    initialVersions: { same: "2", changed: "1", gone: "1", "not-wanted": "1" },
  });
  assertEquals(heard?.resources, { changed: "2", "never-got": "2", gone: ABSENT_VERSION });
  assertEquals(client.asked, ["never-got"]);
  assertEquals(client.ack(heard), undefined);
  client.source.set("ClusterLoadAssignment", "not-wanted", "2");
  assertEquals(client.read(), undefined);
});

Deno.test("reconnect: with everything equal nothing at all is sent", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  assertEquals(client.request({ subscribe: ["a"], initialVersions: { a: "1" } }), undefined);
});

Deno.test("initial_resource_versions count on the first request of a type only", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  client.source.set("Cluster", "b", "1");
  client.ack(client.request({ subscribe: ["a"] }));
  assertEquals(client.request({ subscribe: ["b"], initialVersions: { b: "1" } })?.resources, { b: "1" });
});

Deno.test("legacy wildcard: an empty first request takes all, also what comes later", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  client.source.set("Cluster", "b", "1");
  const first = client.request({});
  assertEquals(client.subscription.wildcard, "legacy");
  assertEquals(first?.resources, { a: "1", b: "1" });
  client.ack(first);
  client.source.set("Cluster", "c", "1");
  const second = client.read();
  assertEquals(second?.resources, { c: "1" });
  client.ack(second);
  client.source.delete("Cluster", "a");
  assertEquals(client.read(), { nonce: "n3", resources: {}, removed: ["a"] });
});

Deno.test("legacy wildcard: naming a resource later keeps it", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  client.ack(client.request({}));
  assertEquals(client.request({ subscribe: ["a"] })?.resources, { a: "1" });
  assertEquals(client.subscription.wildcard, "legacy");
});

Deno.test("an empty request is a wildcard only when it is the first", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "b", "1");
  client.ack(client.request({ subscribe: ["a"] }));
  client.request({ unsubscribe: ["a"] });
  assertEquals(client.request({}), undefined);
  assertEquals(client.subscription.wildcard, "none");
});

Deno.test("endpoints know no wildcard", () => {
  const client = new Conversation("ClusterLoadAssignment");
  client.source.set("ClusterLoadAssignment", "a", "1");
  assertEquals(client.request({}), undefined);
  assertEquals(client.request({ subscribe: ["*"] }), undefined);
  assertEquals(client.subscription.wildcard, "none");
});

Deno.test("explicit wildcard: '*' takes all, beside names", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  const first = client.request({ subscribe: ["*", "x"] });
  assertEquals(client.subscription.wildcard, "explicit");
  assertEquals(first?.resources, { x: ABSENT_VERSION, a: "1" });
});

Deno.test("explicit wildcard: asking for '*' again sends all again", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  client.ack(client.request({ subscribe: ["*"] }));
  assertEquals(client.request({ subscribe: ["*"] })?.resources, { a: "1" });
});

Deno.test("explicit wildcard: beside names it can come later, and brings what is not held", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  client.source.set("Cluster", "b", "1");
  client.ack(client.request({ subscribe: ["a"] }));
  assertEquals(client.request({ subscribe: ["*"] })?.resources, { b: "1" });
});

Deno.test("a wildcard that finds nothing is answered once, with an empty response", () => {
  const client = new Conversation("Listener");
  const first = client.request({});
  assertEquals(first, { nonce: "n1", resources: {}, removed: [] });
  assertEquals(client.ack(first), undefined);
});

Deno.test("wildcard reconnect: equal ones silent, new and changed sent, gone ones removed", () => {
  const client = new Conversation("Cluster");
  for (const [name, version] of Object.entries({ same: "1", changed: "2", fresh: "1" })) {
    client.source.set("Cluster", name, version);
  }
  const heard = client.request({ initialVersions: { same: "1", changed: "1", gone: "1" } });
  assertEquals(heard?.resources, { changed: "2", fresh: "1" });
  assertEquals(heard?.removed, ["gone"]);
});

Deno.test("wildcard reconnect: with everything equal nothing at all is sent", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  assertEquals(client.request({ initialVersions: { a: "1" } }), undefined);
});

Deno.test("unsubscribing '*' keeps the names asked for one by one", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  client.source.set("Cluster", "b", "1");
  client.ack(client.request({ subscribe: ["*", "a"] }));
  client.request({ unsubscribe: ["*"] });
  client.source.set("Cluster", "b", "2");
  assertEquals(client.read(), undefined);
  client.source.set("Cluster", "a", "2");
  assertEquals(client.read()?.resources, { a: "2" });
  assert(!client.subscription.held.has("b"));
});

Deno.test("unsubscribing a name under a wildcard is answered with the resource, or with its removal", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  client.ack(client.request({ subscribe: ["*", "a", "x"] }));
  const heard = client.request({ unsubscribe: ["a", "x"] });
  assertEquals(heard?.resources, { a: "1" });
  assertEquals(heard?.removed, ["x"]);
});

/** A client that asks on demand, and whose wildcard means what this node used before. */
function warmClient(used: readonly string[], existing: readonly string[]): Conversation {
  const client = new Conversation("Cluster");
  client.wildcardScope = "used";
  client.source.used = used;
  client.source.batch(() => {
    for (const name of existing) client.source.set("Cluster", name, "1");
  });
  return client;
}

Deno.test("wildcard of the used: a client that holds nothing is given what was used and exists, in that order", () => {
  const client = warmClient(["c", "gone", "a"], ["a", "b", "c"]);
  const first = client.request({});
  assertEquals(Object.keys(first?.resources ?? {}), ["c", "a"]);
  assertEquals([first?.removed, client.asked], [[], []]);
  assertEquals(client.ack(first), undefined);
});

Deno.test("wildcard of the used: nothing used is answered once, with an empty response", () => {
  const client = warmClient([], ["a"]);
  const first = client.request({});
  assertEquals(first?.resources, {});
  assertEquals(client.ack(first), undefined);
});

Deno.test("wildcard of the used: others are sent when they are asked for, and their changes not before", () => {
  const client = warmClient(["a"], ["a", "b"]);
  client.ack(client.request({}));
  client.source.set("Cluster", "b", "2");
  assertEquals(client.read(), undefined);
  const second = client.request({ subscribe: ["b"] });
  assertEquals(second?.resources, { b: "2" });
  assertEquals(client.asked, ["b"]);
  client.ack(second);
  client.source.set("Cluster", "b", "3");
  assertEquals(client.read()?.resources, { b: "3" });
});

Deno.test("wildcard of the used: what was given is followed, and never removed", () => {
  const client = warmClient(["a"], ["a"]);
  client.ack(client.request({}));
  client.source.set("Cluster", "a", "2");
  const second = client.read();
  assertEquals(second?.resources, { a: "2" });
  client.ack(second);
  client.source.delete("Cluster", "a");
  const third = client.read();
  assertEquals([third?.resources, third?.removed], [{ a: ABSENT_VERSION }, []]);
});

Deno.test("wildcard of the used, reconnect: what was used meanwhile is not given again, what is held is followed", () => {
  const client = warmClient(["a", "c"], ["a", "b", "c"]);
  // "b" was given by an agent whose list was lost; "a" was asked for.
  const request = { subscribe: ["*", "a"], initialVersions: { a: "1", b: "1" } };
  assertEquals(client.request(request), undefined);
  client.source.set("Cluster", "b", "2");
  assertEquals(client.read()?.resources, { b: "2" });
});

Deno.test("Listeners, reconnect: answered although nothing changed, because the ACK says that Envoy listens", () => {
  const client = new Conversation("Listener");
  client.source.set("Listener", "a", "1");
  const first = client.request({ initialVersions: { a: "1" } });
  assertEquals([first?.resources, first?.removed], [{}, []]);
  assertEquals(client.ack(first), undefined);
});

Deno.test("wildcard of the used: what Envoy will not ask for is pushed at its start, and when it comes", () => {
  const client = warmClient(["a"], ["a", "b", "c"]);
  client.source.pushed.add("b");
  const first = client.request({});
  assertEquals(first?.resources, { b: "1", a: "1" });
  client.ack(first);
  client.source.pushed.add("d");
  client.source.set("Cluster", "d", "1");
  const second = client.read();
  assertEquals(second?.resources, { d: "1" });
  client.ack(second);
  // It is followed from then on, as everything that was given.
  client.source.pushed.delete("d");
  client.source.set("Cluster", "d", "2");
  assertEquals(client.read()?.resources, { d: "2" });
});

Deno.test("wildcard of the used, reconnect: what must be pushed and came meanwhile is, and nothing else", () => {
  const client = warmClient(["a", "b"], ["a", "b", "c", "d"]);
  for (const name of ["c", "d"]) client.source.pushed.add(name);
  const first = client.request({ initialVersions: { c: "1" } });
  assertEquals(first?.resources, { d: "1" });
  assertEquals(client.ack(first), undefined);
});

Deno.test("wildcard of the used, reconnect: what is gone by now is a resource, never a removal", () => {
  const client = warmClient([], []);
  const first = client.request({ initialVersions: { a: "1" } });
  assertEquals([first?.resources, first?.removed], [{ a: ABSENT_VERSION }, []]);
});

Deno.test("before the store is complete requests are kept and nothing is sent, not even removals", () => {
  const source = new MemorySource({ ready: false });
  const client = new Conversation("Cluster", source);
  assertEquals(client.request({ initialVersions: { a: "1", b: "1" } }), undefined);
  source.set("Cluster", "a", "1");
  assertEquals(client.read(), undefined);
  source.set("Cluster", "c", "1");
  source.becomeReady();
  const heard = client.read();
  assertEquals(heard?.resources, { c: "1" });
  assertEquals(heard?.removed, ["b"]);
});

Deno.test("NACK of one of two: the named one is not sent again, the other is, and the next version is", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "bad", "1");
  client.source.set("Cluster", "good", "1");
  const first = client.request({ subscribe: ["bad", "good"] });
  const second = client.nack(first, "Error adding/updating cluster(s) bad: no");
  assertEquals(client.answer, {
    kind: "nack",
    error: "Error adding/updating cluster(s) bad: no",
    rejected: [{ name: "bad", version: "1", reason: "no", atMs: 0, inUse: undefined }],
    retried: ["good"],
  });
  assertEquals(second?.resources, { good: "1" });
  assertEquals(client.ack(second), undefined);
  client.source.set("Cluster", "other", "1");
  assertEquals(client.read(), undefined);
  assertEquals([...client.subscription.rejected.keys()], ["bad"]);
  client.source.set("Cluster", "bad", "2");
  const third = client.read();
  assertEquals(third?.resources, { bad: "2" });
  client.ack(third);
  assertEquals(client.subscription.rejected.size, 0);
});

Deno.test("a rejected version is sent again when asked for", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "bad", "1");
  assertEquals(client.nack(client.request({ subscribe: ["bad"] }), "no"), undefined);
  assertEquals(client.request({ subscribe: ["bad"] })?.resources, { bad: "1" });
});

Deno.test("after a rejection the version before it is sent if the store returns to it", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  client.ack(client.request({ subscribe: ["a"] }));
  client.source.set("Cluster", "a", "2");
  client.nack(client.read(), "no");
  client.source.set("Cluster", "a", "1");
  client.ack(client.read());
  assertEquals(client.subscription.held.get("a"), "1");
  assertEquals(client.subscription.rejected.size, 0);
});

Deno.test("NACK that names nothing: the response is halved until the bad one is alone", () => {
  const client = new Conversation("ClusterLoadAssignment");
  const names = ["a", "b", "bad", "d", "e"];
  for (const name of names) client.source.set("ClusterLoadAssignment", name, "1");
  const taken: string[] = [];
  let responses = 0;
  let heard = client.request({ subscribe: names });
  while (heard !== undefined) {
    responses++;
    assert(responses <= 7, "the server goes on and on");
    const isBad = "bad" in heard.resources;
    if (!isBad) taken.push(...Object.keys(heard.resources));
    heard = isBad ? client.nack(heard, "malformed") : client.ack(heard);
    // Until its part is sent again and taken, a resource does not count as held.
    if (responses === 1) assertEquals([...client.subscription.held.keys()], ["a", "b", "bad"]);
  }
  assertEquals(taken.sort(), ["a", "b", "d", "e"]);
  assertEquals([...client.subscription.rejected.values()], [{
    name: "bad",
    version: "1",
    reason: "malformed",
    atMs: 0,
    inUse: undefined,
  }]);
});

Deno.test("a refusal says when it was, and what the client goes on with: the last version it took", () => {
  const client = new Conversation("Cluster");
  const offer = (version: string, answer: "ack" | "nack"): void => {
    client.nowMs += 1_000;
    client.source.set("Cluster", "a", version);
    if (answer === "ack") client.ack(client.read());
    else client.nack(client.read(), "Error adding/updating cluster(s) a: no");
  };
  const refusal = (): unknown => {
    const { atMs, version, inUse } = client.subscription.rejected.get("a") ?? {};
    return [atMs, version, inUse];
  };
  client.ack(client.request({ subscribe: ["a"] }));
  for (
    const [version, answer, wanted] of [
      ["1", "ack", [undefined, undefined, undefined]],
      ["2", "nack", [2_000, "2", "1"]],
      ["3", "nack", [3_000, "3", "1"]],
      ["4", "ack", [undefined, undefined, undefined]],
      ["5", "nack", [5_000, "5", "4"]],
    ] as const
  ) {
    offer(version, answer);
    assertEquals(refusal(), wanted, version);
  }
  assertEquals([...client.subscription.inUse], [["a", "4"]]);
  client.request({ unsubscribe: ["a"] });
  assertEquals(client.subscription.inUse.size, 0);
});

Deno.test("NACK that names nothing: what the client goes on with is known also when its part is refused", () => {
  const client = new Conversation("ClusterLoadAssignment");
  for (const name of ["a", "b"]) client.source.set("ClusterLoadAssignment", name, "1");
  client.ack(client.request({ subscribe: ["a", "b"] }));
  client.source.batch(() => {
    for (const name of ["a", "b"]) client.source.set("ClusterLoadAssignment", name, "2");
  });
  const half = client.nack(client.read(), "malformed");
  assertEquals(half?.resources, { a: "2" });
  client.ack(client.nack(half, "malformed"));
  assertEquals([...client.subscription.rejected.values()].map(({ name, inUse }) => [name, inUse]), [[
    "a",
    "1",
  ]]);
  assertEquals([...client.subscription.inUse], [["a", "1"]]);
});

Deno.test("NACK of everything ends", () => {
  const client = new Conversation("ClusterLoadAssignment");
  const names = ["a", "b", "c", "d", "e"];
  let heard = client.request({ subscribe: names });
  for (let round = 0; heard !== undefined; round++) {
    assert(round < 2 * names.length, "the server goes on and on");
    heard = client.nack(heard, "no");
  }
  assertEquals([...client.subscription.rejected.keys()].sort(), names);
});

Deno.test("NACK: what was unsubscribed meanwhile is neither recorded nor sent", () => {
  const client = new Conversation("Cluster");
  const first = client.request({ subscribe: ["a", "b", "c"] });
  client.request({ unsubscribe: ["a", "b"] });
  const second = client.nack(first, "Error adding/updating cluster(s) a: no");
  assertEquals(second?.resources, { c: ABSENT_VERSION });
  assertEquals(client.subscription.rejected.size, 0);
});

Deno.test("NACK: removals that travelled with a rejected resource are repeated, removals alone are not", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  client.source.set("Cluster", "b", "1");
  client.ack(client.request({}));
  client.source.batch(() => {
    client.source.set("Cluster", "a", "2");
    client.source.delete("Cluster", "b");
  });
  const first = client.read();
  assertEquals([first?.resources, first?.removed], [{ a: "2" }, ["b"]]);
  const second = client.nack(first, "no");
  assertEquals([second?.resources, second?.removed], [{}, ["b"]]);
  assertEquals(client.nack(second, "no"), undefined);
});

Deno.test("responses are cut to size, in the order of asking, and a larger resource goes alone", () => {
  const client = new Conversation("Cluster");
  for (const [name, size] of Object.entries({ a: 400, b: 400, huge: 5000, c: 400 })) {
    client.source.set("Cluster", name, { version: "1", bytes: new Uint8Array(size) });
  }
  client.maxBytes = 1100;
  const responses: string[][] = [];
  for (
    let heard = client.request({ subscribe: ["a", "b", "huge", "c"] });
    heard !== undefined;
    heard = client.ack(heard)
  ) {
    responses.push(Object.keys(heard.resources));
    assert(responses.length <= 4, "the server goes on and on");
  }
  assertEquals(responses, [["a", "b"], ["huge"], ["c"]]);
});

Deno.test("what changes all the time does not hold back the rest", () => {
  const client = new Conversation("Cluster");
  client.maxBytes = 1;
  const names = ["a", "b", "c"];
  for (const name of names) client.source.set("Cluster", name, "0");
  let heard = client.request({ subscribe: names });
  const sent: string[] = [];
  for (let round = 1; round <= 6; round++) {
    sent.push(...Object.keys(heard?.resources ?? {}));
    client.source.set("Cluster", "a", `${round}`);
    heard = client.ack(heard);
  }
  assertEquals(sent.slice(0, 3), ["a", "b", "c"]);
});

Deno.test("removals wait while they may not be sent; resources do not", () => {
  const client = new Conversation("Cluster");
  client.source.set("Cluster", "a", "1");
  client.ack(client.request({}));
  client.mayRemove = false;
  client.source.delete("Cluster", "a");
  assertEquals(client.read(), undefined);
  client.source.set("Cluster", "b", "1");
  const heard = client.read();
  assertEquals([heard?.resources, heard?.removed], [{ b: "1" }, []]);
  client.mayRemove = true;
  assertEquals(client.ack(heard)?.removed, ["a"]);
});

Deno.test("oweAgain(): a name subscribed to is sent again, another one as soon as it is asked for", () => {
  const client = new Conversation("ClusterLoadAssignment");
  for (const name of ["a", "b"]) client.source.set("ClusterLoadAssignment", name, "1");
  oweAgain(client.subscription, ["b"]);
  assertEquals(client.read(), undefined);
  const first = client.request({ subscribe: ["a", "b"], initialVersions: { a: "1", b: "1" } });
  assertEquals(first?.resources, { b: "1" });
  assertEquals(client.ack(first), undefined);
  oweAgain(client.subscription, ["a"]);
  const second = client.read();
  assertEquals(second?.resources, { a: "1" });
  assertEquals(client.ack(second), undefined);
});

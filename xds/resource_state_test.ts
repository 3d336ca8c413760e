import { assertEquals } from "@std/assert/equals";
import { resourceState } from "./resource_state.ts";
import { Conversation } from "./testing/conversation.ts";

const VIP = "10.96.0.10:80";

Deno.test("resourceState(): not asked for, waiting, sent, acked, refused, and acked again", () => {
  const envoy = new Conversation("Cluster");
  const state = (): unknown => resourceState(envoy.subscription, envoy.source, VIP);
  assertEquals(state(), { state: "not-asked-for" });
  envoy.source.set("Cluster", VIP, "1");
  assertEquals(state(), { state: "not-asked-for" });
  const first = envoy.request({ subscribe: [VIP] });
  assertEquals(state(), { state: "sent", version: "1" });
  envoy.ack(first);
  assertEquals(state(), { state: "acked", version: "1" });

  envoy.source.set("Cluster", VIP, "2");
  assertEquals(state(), { state: "waiting" });
  const second = envoy.read();
  assertEquals(state(), { state: "sent", version: "2" });
  envoy.nack(second, `Error adding/updating cluster(s) ${VIP}: bad`);
  const at = "1970-01-01T00:00:00.000Z";
  assertEquals(state(), { state: "refused", version: "2", reason: "bad", at, inUse: "1" });

  envoy.source.set("Cluster", VIP, "3");
  assertEquals(state(), { state: "waiting" });
  envoy.ack(envoy.read());
  assertEquals(state(), { state: "acked", version: "3" });
});

Deno.test("resourceState(): refused, and nothing before", () => {
  const envoy = new Conversation("Cluster");
  envoy.source.set("Cluster", VIP, "1");
  envoy.nowMs = Date.UTC(2026, 0, 31, 12);
  envoy.nack(envoy.request({ subscribe: [VIP] }), "bad");
  assertEquals(resourceState(envoy.subscription, envoy.source, VIP), {
    state: "refused",
    version: "1",
    reason: "bad",
    at: "2026-01-31T12:00:00.000Z",
    inUse: null,
  });
});

Deno.test("resourceState(): a version that Envoy brought along counts as acked", () => {
  const envoy = new Conversation("Cluster");
  envoy.source.set("Cluster", VIP, "1");
  envoy.request({ subscribe: [VIP], initialVersions: { [VIP]: "1" } });
  assertEquals(resourceState(envoy.subscription, envoy.source, VIP), { state: "acked", version: "1" });
});

Deno.test("resourceState(): under a wildcard for all, a name is waited for before it is entered", () => {
  const envoy = new Conversation("Cluster");
  envoy.source.set("Cluster", VIP, "1");
  const all = envoy.request({});
  assertEquals(resourceState(envoy.subscription, envoy.source, VIP), { state: "sent", version: "1" });
  envoy.ack(all);
  assertEquals(resourceState(envoy.subscription, envoy.source, VIP), { state: "acked", version: "1" });
});

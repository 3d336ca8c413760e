import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { judgeNode, readNode } from "./node_facts.ts";

const OWN = { name: "node-1", zone: "", addresses: () => ["127.0.0.1", "192.0.2.1", "2001:db8::1"] };

Deno.test("of a Node its zone and its addresses are read, as far as it has them", () => {
  assertEquals(
    readNode({
      metadata: { labels: { "topology.kubernetes.io/zone": "a" } },
      status: {
        addresses: [
          { type: "Hostname", address: "node-1" },
          { type: "InternalIP", address: "192.0.2.1" },
          { type: "InternalIP", address: "2001:DB8:0::1" },
          { type: "ExternalIP", address: "not an address" },
        ],
      },
    }),
    { zone: "a", addresses: ["192.0.2.1", "2001:db8::1"] },
  );
  for (const object of [{}, { metadata: null, status: 1 }, { status: { addresses: "none" } }]) {
    assertEquals(readNode(object), { zone: "", addresses: [] });
  }
});

Deno.test("judgeNode() says what is wrong with the name, and nothing of what is not known yet", () => {
  assertMatch(
    judgeNode(undefined, OWN) ?? "",
    /^there is no Node "node-1" yet: .* give --node-name as `kubectl get nodes`/,
  );
  assertMatch(
    judgeNode({ zone: "a", addresses: ["192.0.2.9"] }, OWN) ?? "",
    /^Node "node-1" has the addresses 192\.0\.2\.9, none of which is this machine's: give --node-name/,
  );
  for (const facts of [{ zone: "", addresses: [] }, { zone: "a", addresses: ["192.0.2.9", "2001:db8::1"] }]) {
    assertEquals(judgeNode(facts, OWN), undefined);
  }
});

Deno.test("judgeNode() says where the Node is in another zone than the agent was told", () => {
  const told = { ...OWN, zone: "a" };
  assertMatch(
    judgeNode({ zone: "b", addresses: [] }, told) ?? "",
    /is in zone b, and the agent was told a: set --zone right, or leave it out/,
  );
  for (const zone of ["", "a"]) assertEquals(judgeNode({ zone, addresses: [] }, told), undefined);
});

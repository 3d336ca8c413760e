import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { createLogger } from "../log.ts";
import { KubeApiError } from "./kube_api_error.ts";
import {
  judgeNode,
  type NodeClient,
  type NodeFacts,
  readNode,
  watchNode,
  zoneOfNode,
} from "./node_object.ts";

const LOGGER = createLogger({ level: "error", format: "text" });
const OWN = { name: "node-1", zone: "a", addresses: () => ["127.0.0.1", "192.0.2.1", "2001:db8::1"] };

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
  assertMatch(
    judgeNode({ zone: "b", addresses: [] }, OWN) ?? "",
    /is in zone b, and the agent was told a: set --zone right/,
  );
  assertMatch(
    judgeNode({ zone: "b", addresses: [] }, { ...OWN, zone: "" }) ?? "",
    /in zone b now.*start it anew/,
  );
  for (const facts of [{ zone: "", addresses: [] }, { zone: "a", addresses: ["192.0.2.9", "2001:db8::1"] }]) {
    assertEquals(judgeNode(facts, OWN), undefined);
  }
});

Deno.test("a Node that comes later, and gets its addresses later, is taken as it is then", async () => {
  const ended = new AbortController();
  const states: (NodeFacts | undefined)[] = [
    undefined,
    { zone: "", addresses: [] },
    { zone: "a", addresses: ["192.0.2.9"] },
    { zone: "a", addresses: ["192.0.2.1"] },
  ];
  const client: NodeClient = {
    node: () => {
      if (states.length === 1) ended.abort();
      return Promise.resolve(states.shift());
    },
  };
  const told: (string | undefined)[] = [];
  const onChange = (fault: string | undefined): void => void told.push(fault?.split(",")[0]?.slice(0, 24));
  const pauses = { intervalMs: 1, retryMs: 1 };
  await watchNode({ client, own: OWN, onChange, logger: LOGGER, ...pauses }, ended.signal);
  assertEquals(
    told,
    ['there is no Node "node-1"', undefined, 'Node "node-1" has the ad', undefined].map((text) =>
      text?.slice(0, 24)
    ),
  );
});

Deno.test("until Nodes may be read nothing is said, and there is no zone by them", async () => {
  const ended = new AbortController();
  const request = { verb: "get", kind: "Node", server: "", identity: "" } as const;
  let asked = 0;
  const client: NodeClient = {
    node: () => {
      if (++asked === 3) ended.abort();
      return Promise.reject(new KubeApiError("no", { status: 403, reason: "Forbidden", request }));
    },
  };
  const onChange = (): never => {
    throw new Error("nothing is known");
  };
  await watchNode({ client, own: OWN, onChange, logger: LOGGER, intervalMs: 1, retryMs: 1 }, ended.signal);
  assertEquals(asked, 3);
  assertEquals(await zoneOfNode(client, "node-1", LOGGER), "");
  assertEquals(
    await zoneOfNode({ node: () => Promise.resolve({ zone: "b", addresses: [] }) }, "node-1", LOGGER),
    "b",
  );
});

import { assertEquals } from "@std/assert/equals";
import { createLogger } from "../log.ts";
import { KubeApiError, SilentConnectionError } from "./kube_api_error.ts";
import type { NodeFacts, OwnNode } from "./node_facts.ts";
import { type NodeClient, watchNode, zoneOfNode } from "./node_object.ts";

const LOGGER = createLogger({ level: "error", format: "text" });
const OWN: OwnNode = { name: "node-1", zone: "", addresses: () => ["127.0.0.1", "192.0.2.1"] };
const REQUEST = { verb: "watch", kind: "Node", server: "", identity: "" } as const;

/** What one stream yields, and how it ends: an error is thrown. */
type Stream = readonly (NodeFacts | Error | undefined)[];

/** A client with these streams, and what it was asked; `onLast` is called when the last one has been read. */
function clientOf(streams: readonly Stream[], onLast: () => void): NodeClient & { asked: number } {
  return {
    asked: 0,
    async *followNode(name): AsyncGenerator<NodeFacts | undefined> {
      assertEquals(name, "node-1");
      const stream = streams[this.asked++] ?? [];
      if (this.asked > streams.length) throw new Error("it was ended");
      for (const facts of stream) {
        await Promise.resolve();
        if (facts instanceof Error) {
          if (this.asked === streams.length) onLast();
          throw facts;
        }
        yield facts;
      }
      if (this.asked === streams.length) onLast();
    },
  };
}

/** What is told while these streams are read, faults by their first words. */
async function told(streams: readonly Stream[], own = OWN): Promise<readonly string[]> {
  const ended = new AbortController();
  const told: string[] = [];
  const client = clientOf(streams, () => ended.abort());
  await watchNode({
    client,
    own,
    onZone: (zone) => void told.push(`zone ${zone}`),
    onFault: (fault) => void told.push(fault === undefined ? "well" : fault.split(/[:,]/)[0]!),
    logger: LOGGER,
    minPauseMs: 1,
    maxPauseMs: 1,
  }, ended.signal);
  assertEquals(client.asked, streams.length);
  return told;
}

function node(zone: string, ...addresses: readonly string[]): NodeFacts {
  return { zone, addresses };
}

Deno.test("a Node that comes later, and gets its addresses and its zone later, is taken as it is then", async () => {
  assertEquals(
    await told([[
      undefined,
      node(""),
      node("", "192.0.2.9"),
      node("", "192.0.2.1"),
      node("a", "192.0.2.1"),
      node("a", "192.0.2.1"),
      node("b", "192.0.2.1"),
      node("", "192.0.2.1"),
    ]]),
    [
      'there is no Node "node-1" yet',
      "well",
      "zone ",
      'Node "node-1" has the addresses 192.0.2.9',
      "well",
      "zone a",
      "zone b",
      "zone ",
    ],
  );
});

Deno.test("a stream that ends or breaks is followed by another, and what was known holds", async () => {
  const gone = new KubeApiError("too old", { status: 410, reason: "Expired", request: REQUEST });
  assertEquals(
    await told([[node("a")], [new SilentConnectionError("nothing")], [node("a"), gone], [node("b")]]),
    ["zone a", "zone b"],
  );
});

Deno.test("a Node that is gone is told of, and leaves its zone", async () => {
  assertEquals(await told([[node("a"), undefined, node("a")]]), [
    "zone a",
    'there is no Node "node-1" yet',
    "well",
  ]);
});

Deno.test("who was told a zone goes by that, and hears where the Node is in another", async () => {
  assertEquals(await told([[node("a"), node("b"), node("")]], { ...OWN, zone: "a" }), [
    'Node "node-1" is in zone b',
    "well",
  ]);
});

Deno.test("until Nodes may be read nothing is said, and there is no zone by them", async () => {
  const refused = new KubeApiError("no", { status: 403, reason: "Forbidden", request: REQUEST });
  assertEquals(await told([[refused], [refused], [node("a"), refused], [node("b"), refused]]), [
    "zone a",
    "zone b",
  ]);
  const zone = (stream: Stream): Promise<string> =>
    zoneOfNode(clientOf([stream], () => {}), "node-1", LOGGER);
  assertEquals(await zone([refused]), "");
  assertEquals(await zone([undefined]), "");
  assertEquals(await zone([node("b"), refused]), "b");
});

/**
 * How a real Envoy prefers the node's zone: `trafficDistribution: PreferSameZone`, with the zone known.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import type { EndpointSlice } from "../agent/kube/objects.ts";
import { endpoint, slice } from "../agent/model/testing/objects.ts";
import { type Backend, greeting, httpBackend, tcpBackend } from "./testing/backends.ts";
import { envoyTest, get } from "./testing/envoy_case.ts";
import { EnvoyFixture } from "./testing/envoy_fixture.ts";

/** One slice for each backend, in these zones; the first two are in the node's. */
function zonedSlices(portName: string, backends: readonly Backend[]): EndpointSlice[] {
  return backends.map(({ port }, index) =>
    slice({
      name: `one-${index}`,
      serviceName: "one",
      ports: [{ name: portName, protocol: "TCP", port }],
      endpoints: [endpoint("127.0.0.1", { zone: index < 2 ? "zone-a" : `zone-${index}` })],
    })
  );
}

/** How many of the answers come from each backend. */
async function census(count: number, ask: () => Promise<string | undefined>): Promise<Map<string, number>> {
  const answers = new Map<string, number>();
  for (let request = 0; request < count; request++) {
    const answer = String(await ask());
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
  }
  return answers;
}

const PREFER_SAME_ZONE = { trafficDistribution: "PreferSameZone" };

envoyTest("requests stay in the node's zone where the Service asks for it, and only there", async () => {
  await using stack = new AsyncDisposableStack();
  const backends = ["a", "b", "c", "d"].map((name) => stack.use(httpBackend(name)));
  await using fixture = await EnvoyFixture.start([], { zone: "zone-a" });
  fixture.apply(
    fixture.service("one", 11, { overrides: PREFER_SAME_ZONE }),
    ...zonedSlices("http", backends),
  );
  const ask = (): Promise<string> => get(fixture, 11);
  assertEquals([...(await census(60, ask)).keys()].sort(), ["200 a", "200 b"]);

  fixture.apply(fixture.service("one", 11));
  await fixture.settled();
  assertEquals([...(await census(60, ask)).keys()].sort(), ["200 a", "200 b", "200 c", "200 d"]);
  fixture.apply(fixture.service("one", 11, { overrides: PREFER_SAME_ZONE }));
  await fixture.settled();
  assertEquals([...(await census(60, ask)).keys()].sort(), ["200 a", "200 b"]);

  // The zone loses its endpoints: the others take over, and no request fails.
  fixture.reduce(["default/one-0", "default/one-1"].map((namespacedName) => ({
    type: "delete",
    kind: "EndpointSlice",
    namespacedName,
  })));
  await fixture.settled();
  assertEquals([...(await census(40, ask)).keys()].sort(), ["200 c", "200 d"]);
});

envoyTest(
  "endpoints of the node's zone that are dead cost no request while another zone has some",
  async () => {
    await using stack = new AsyncDisposableStack();
    const dead = [httpBackend("gone"), httpBackend("gone")];
    const alive = stack.use(httpBackend("alive"));
    for (const backend of dead) await backend[Symbol.asyncDispose]();
    await using fixture = await EnvoyFixture.start([], { zone: "zone-a" });
    fixture.apply(
      fixture.service("one", 11, { overrides: PREFER_SAME_ZONE }),
      ...zonedSlices("http", [...dead, alive]),
    );
    assertEquals([...await census(60, () => get(fixture, 11))], [["200 alive", 60]]);
  },
);

envoyTest(
  "TCP connections stay in the node's zone while one of its endpoints lives, and leave it then",
  async () => {
    await using stack = new AsyncDisposableStack();
    const near = stack.use(tcpBackend("near"));
    const dead = tcpBackend("dead");
    await dead[Symbol.asyncDispose]();
    const far = stack.use(tcpBackend("far"));
    await using fixture = await EnvoyFixture.start([], { zone: "zone-a" });
    fixture.apply(
      fixture.service("one", 11, { kind: "tcp", overrides: PREFER_SAME_ZONE }),
      ...zonedSlices("tcp", [near, stack.use(tcpBackend("near")), far]),
    );
    const ask = (): Promise<string | undefined> => greeting("127.0.0.11", fixture.tcpPort);
    assertEquals([...await census(40, ask)], [["near", 40]]);
    fixture.apply(...zonedSlices("tcp", [dead, dead, far]));
    await fixture.settled();
    const answers = await census(40, ask);
    assert((answers.get("far") ?? 0) >= 38, JSON.stringify([...answers]));
  },
);

/**
 * Which endpoints a real Envoy uses where the Service says whose they must be: traffic policies, `PreferSameNode`,
 * `sessionAffinity`.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import type { EndpointSlice, Service, SliceEndpoint } from "../agent/kube/objects.ts";
import { endpoint, slice } from "../agent/model/testing/objects.ts";
import { type Backend, greeting, httpBackend, slicesFor, tcpBackend } from "./testing/backends.ts";
import { envoyTest, get } from "./testing/envoy_case.ts";
import { EnvoyFixture } from "./testing/envoy_fixture.ts";
import { getWithHeaders, greetingFrom } from "./testing/http_clients.ts";

/** One slice for each backend, on these nodes; the fixture is node-1. */
function slicesOn(
  kind: "http" | "tcp",
  backends: readonly (readonly [Backend, Partial<SliceEndpoint>])[],
): EndpointSlice[] {
  return backends.map(([{ port }, where], index) =>
    slice({
      name: `one-${index}`,
      serviceName: "one",
      ports: [{ name: kind, protocol: "TCP", port }],
      endpoints: [endpoint("127.0.0.1", where)],
    })
  );
}

async function answersTo(count: number, ask: () => Promise<string | undefined>): Promise<readonly string[]> {
  const answers = new Set<string>();
  for (let request = 0; request < count; request++) answers.add(String(await ask()));
  return [...answers].sort();
}

envoyTest(
  "a destination whose policy is Local is answered by this node alone, the Service's others by all",
  async () => {
    await using stack = new AsyncDisposableStack();
    const [here, there] = ["here", "there"].map((name) => stack.use(httpBackend(name))) as [Backend, Backend];
    await using fixture = await EnvoyFixture.start([]);
    const outside = { type: "NodePort", externalIPs: ["127.0.0.12"] };
    const serve = async (policies: Partial<Service>): Promise<void> => {
      fixture.apply(fixture.service("one", 11, { overrides: { ...outside, ...policies } }));
      await fixture.settled();
    };
    fixture.apply(...slicesOn("http", [[here, { nodeName: "node-1" }], [there, { nodeName: "node-2" }]]));
    const [all, local] = [["200 here", "200 there"], ["200 here"]];
    const found = async (): Promise<unknown> => [
      await answersTo(30, () => get(fixture, 11)),
      await answersTo(30, () => get(fixture, 12)),
    ];
    await serve({});
    assertEquals(await found(), [all, all]);
    await serve({ externalTrafficPolicy: "Local" });
    assertEquals(await found(), [all, local]);
    await serve({ internalTrafficPolicy: "Local" });
    assertEquals(await found(), [local, all]);

    // The last one here terminates, and serves on here.
    const going = { nodeName: "node-1", ready: false, terminating: true };
    fixture.apply(...slicesOn("http", [[here, going], [there, { nodeName: "node-2" }]]));
    await fixture.settled();
    assertEquals(await found(), [local, ["200 there"]]);
  },
);

envoyTest("PreferSameNode stays on the node, then in the zone, then goes anywhere", async () => {
  await using stack = new AsyncDisposableStack();
  const backends = ["node", "zone", "far"].map((name) => stack.use(tcpBackend(name))) as [
    Backend,
    Backend,
    Backend,
  ];
  const places = [
    { nodeName: "node-1", zone: "zone-a" },
    { nodeName: "node-2", zone: "zone-a" },
    { nodeName: "node-3", zone: "zone-b" },
  ] as const;
  await using fixture = await EnvoyFixture.start([], { zone: "zone-a" });
  const overrides = { trafficDistribution: "PreferSameNode" };
  fixture.apply(fixture.service("one", 11, { kind: "tcp", overrides }));
  const answers = (): Promise<readonly string[]> =>
    answersTo(20, () => greeting("127.0.0.11", fixture.tcpPort));
  for (const first of [0, 1, 2] as const) {
    fixture.apply(...slicesOn("tcp", [
      [backends[0], { ...places[0], ready: first === 0 }],
      [backends[1], { ...places[1], ready: first <= 1 }],
      [backends[2], places[2]],
    ]));
    await fixture.settled();
    assertEquals(await answers(), [backends[first].name]);
  }
});

envoyTest("sessionAffinity keeps each client on its endpoint, for HTTP and TCP", async () => {
  const clients = Array.from({ length: 20 }, (_, index) => `127.0.1.${index + 1}`);
  for (const kind of ["http", "tcp"] as const) {
    await using stack = new AsyncDisposableStack();
    const backends = [1, 2, 3].map((index) =>
      stack.use(kind === "http" ? httpBackend(`b${index}`) : tcpBackend(`b${index}`))
    );
    await using fixture = await EnvoyFixture.start([]);
    const overrides = { sessionAffinity: "ClientIP" };
    fixture.apply(fixture.service("one", 11, { kind, overrides }), ...slicesFor("one", kind, backends));
    const ask = (localAddress: string): Promise<string | undefined> =>
      kind === "http"
        ? getWithHeaders("127.0.0.11", fixture.httpPort, [], { localAddress })
        : greetingFrom(localAddress, "127.0.0.11", fixture.tcpPort);
    const used = new Set<string>();
    for (const client of clients) {
      const answers = await answersTo(4, () => ask(client));
      assertEquals(answers.length, 1, `${client} has ${answers}`);
      used.add(answers.join());
    }
    assert(used.size === 3, `twenty clients are on ${[...used]}`);
  }
});

envoyTest(
  "clients of a Service that moves to the kernel are answered as long as they keep their connections",
  async () => {
    for (const mode of ["on-demand", "eager"] as const) {
      await using stack = new AsyncDisposableStack();
      const backend = stack.use(httpBackend("here"));
      await using fixture = await EnvoyFixture.start([], { mode });
      const serve = async (annotations: Record<string, string>): Promise<void> => {
        fixture.apply(
          fixture.service("one", 11, { overrides: { annotations } }),
          ...slicesFor("one", "http", [backend]),
        );
        await fixture.settled();
      };
      await serve({});
      assertEquals(await answersTo(3, () => get(fixture, 11)), ["200 here"], mode);
      await serve({ "lightpath.cloud/path": "kernel" });
      assertEquals(await answersTo(10, () => get(fixture, 11)), ["200 here"], mode);
      await serve({});
      assertEquals(await answersTo(3, () => get(fixture, 11)), ["200 here"], mode);
    }
  },
);

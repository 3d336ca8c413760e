/**
 * The whole xDS side against a real Envoy: what unit tests of the protocol can only believe.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { fail } from "@std/assert/fail";
import { assertStringIncludes } from "@std/assert/string-includes";
import { endpoint, slice } from "../agent/model/testing/objects.ts";
import { Cluster } from "../protos/mod.ts";
import { SOURCE_FILTER } from "./listeners.ts";
import { ROUTE_CONFIGURATION_NAME } from "./routes.ts";
import { type Backend, greeting, httpBackend, slicesFor, tcpBackend } from "./testing/backends.ts";
import { envoyTest, get, sent } from "./testing/envoy_case.ts";
import { EnvoyFixture, until } from "./testing/envoy_fixture.ts";
import { getOverHttp2 } from "./testing/http_clients.ts";

envoyTest("a first connection fetches its Cluster and endpoints, and nothing else", async () => {
  await using a = httpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(
    fixture.service("one", 11),
    ...slicesFor("one", "http", [a]),
    fixture.service("two", 12),
    ...slicesFor("two", "http", [a]),
  );
  assertEquals(await get(fixture, 11), "200 a");
  await fixture.settled();
  const name = `127.0.0.11:${fixture.httpPort}`;
  assertEquals(fixture.recorded.subscribed.map(({ names }) => names), [
    // For its listeners, before it listens.
    [SOURCE_FILTER],
    [ROUTE_CONFIGURATION_NAME],
    [name],
    ["default/one:http/IPv4"],
  ]);
  assertEquals([sent(fixture, "Cluster"), sent(fixture, "ClusterLoadAssignment")], [1, 1]);
  assertEquals(fixture.recorded.nacks, []);
  assertEquals(await get(fixture, 11), "200 a");
  assertEquals([sent(fixture, "Cluster"), sent(fixture, "ClusterLoadAssignment")], [1, 1]);
});

envoyTest("a TCP Service is reached, and its endpoint speaks first", async () => {
  await using a = tcpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(fixture.service("one", 11, { kind: "tcp" }), ...slicesFor("one", "tcp", [a]));
  assertEquals(await greeting("127.0.0.11", fixture.tcpPort), "a");
});

envoyTest("HTTP/2 with prior knowledge passes, to HTTP and h2c ports alike", async () => {
  await using a = httpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(
    fixture.service("one", 11),
    ...slicesFor("one", "http", [a]),
    fixture.service("two", 12, { kind: "h2c" }),
    ...slicesFor("two", "h2c", [a]),
  );
  assertEquals(await getOverHttp2("127.0.0.11", fixture.httpPort), "200 a");
  assertEquals(await getOverHttp2("127.0.0.12", fixture.httpPort), "200 a");
  // An HTTP/1.1 client of an h2c port: the backend is spoken to in HTTP/2.
  assertEquals(await get(fixture, 12), "200 a");
  // Envoy writes a colon in a statistic's name as an underscore.
  assertEquals(await fixture.stat("cluster.default/two_h2c.upstream_cx_http1_total"), 0);
  assert(await fixture.stat("cluster.default/two_h2c.upstream_cx_http2_total") > 0);
});

envoyTest("an endpoint change is one small resource", async () => {
  await using a = httpBackend("a");
  await using b = httpBackend("b");
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(fixture.service("one", 11), ...slicesFor("one", "http", [a]));
  assertEquals(await get(fixture, 11), "200 a");
  await fixture.settled();
  const before = fixture.recorded.responses.length;
  fixture.apply(...slicesFor("one", "http", [b]));
  await fixture.settled();
  const responses = fixture.recorded.responses.slice(before);
  assertEquals(responses.map(({ type, resources }) => `${type} ${resources}`), ["ClusterLoadAssignment 1"]);
  assert(responses.every(({ bytes }) => bytes < 1024));
  assertEquals(await get(fixture, 11), "200 b");
});

envoyTest("a VIP that is nobody's fails at once, and works as soon as a Service has it", async () => {
  await using a = httpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  assertEquals((await get(fixture, 11)).slice(0, 3), "503");
  assertEquals(await greeting("127.0.0.11", fixture.tcpPort), undefined);
  fixture.apply(fixture.service("one", 11), ...slicesFor("one", "http", [a]));
  await fixture.settled();
  await until("the Service answers", async () => await get(fixture, 11) === "200 a");
});

envoyTest("of several Clusters in one response each counts as taken when its own endpoints are", async () => {
  await using a = httpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  const hosts = [11, 12, 13, 14];
  for (const host of hosts) assertEquals((await get(fixture, host)).slice(0, 3), "503");
  await fixture.settled();
  const before = fixture.recorded.acks.length;
  const early: string[] = [];
  fixture.hooks.onAck = () => {
    const taken = new Set(fixture.recorded.acks.slice(before).flatMap(({ names }) => names));
    for (const host of hosts) {
      if (fixture.hasTaken(host) && !taken.has(`default/s${host}:http/IPv4`)) early.push(`s${host}`);
    }
  };
  // Envoy answers for all four Clusters when the first has its endpoints.
  fixture.apply(...hosts.flatMap((host) => [
    fixture.service(`s${host}`, host),
    ...slicesFor(`s${host}`, "http", [a]),
  ]));
  await until("all are taken", () => hosts.every((host) => fixture.hasTaken(host)));
  assertEquals(early, []);
  for (const host of hosts) assertEquals(await get(fixture, host), "200 a");
});

envoyTest("a Service without endpoints fails at once, and works as soon as it has one", async () => {
  await using a = httpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(fixture.service("one", 11));
  assertEquals((await get(fixture, 11)).slice(0, 3), "503");
  fixture.apply(...slicesFor("one", "http", [a]));
  await fixture.settled();
  assertEquals(await get(fixture, 11), "200 a");
});

envoyTest("a Service that is deleted fails at once, and works again when it is back", async () => {
  await using a = httpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  const one = fixture.service("one", 11);
  for (let round = 0; round < 3; round++) {
    fixture.apply(one, ...slicesFor("one", "http", [a]));
    await fixture.settled();
    await until("the Service answers", async () => await get(fixture, 11) === "200 a");
    fixture.deleteService("one");
    await fixture.settled();
    await until("the Service is gone", async () => (await get(fixture, 11)).startsWith("503"));
  }
});

envoyTest("a changed Cluster is taken over without its endpoints having changed", async () => {
  await using a = httpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  const slices = slicesFor("one", "http", [a]);
  fixture.apply(fixture.service("one", 11), ...slices);
  assertEquals(await get(fixture, 11), "200 a");
  const [port] = fixture.service("one", 11).ports;
  fixture.apply(fixture.service("one", 11, {
    overrides: { ports: [{ ...port ?? fail(), appProtocol: "grpc" }] },
  }));
  await fixture.settled();
  assertEquals(await get(fixture, 11), "200 a");
  await until("the new Cluster is in use", async () => {
    await get(fixture, 11);
    return await fixture.stat("cluster.default/one_http.upstream_cx_http2_total") > 0;
  });
});

envoyTest("two destinations of one port share their endpoints", async () => {
  await using a = httpBackend("a");
  await using b = httpBackend("b");
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(
    fixture.service("one", 11, { overrides: { externalIPs: ["127.0.0.12"] } }),
    ...slicesFor("one", "http", [a]),
  );
  assertEquals(await get(fixture, 11), "200 a");
  assertEquals(await get(fixture, 12), "200 a");
  fixture.apply(...slicesFor("one", "http", [b]));
  await fixture.settled();
  assertEquals([await get(fixture, 11), await get(fixture, 12)], ["200 b", "200 b"]);
});

envoyTest("a restarted agent sends nothing that did not change, and then what did", async () => {
  await using a = httpBackend("a");
  await using b = httpBackend("b");
  await using fixture = await EnvoyFixture.start([]);
  const objects = [
    fixture.service("one", 11),
    ...slicesFor("one", "http", [a]),
    fixture.service("two", 12),
    ...slicesFor("two", "http", [a]),
  ];
  fixture.apply(...objects);
  for (const host of [11, 12, 13]) await get(fixture, host);
  await fixture.settled();

  await fixture.stopServer();
  assertEquals([await get(fixture, 11), await get(fixture, 12)], ["200 a", "200 a"]);
  fixture.replaceModel(objects.toReversed());
  await fixture.startServer();
  await until("Envoy is back", () => fixture.recorded.opened.length > 0);
  await fixture.settled();
  assertEquals(sent(fixture, "Cluster") + sent(fixture, "ClusterLoadAssignment"), 0);
  assertEquals(fixture.recorded.subscribed, []);

  fixture.apply(...slicesFor("two", "http", [b]));
  // Envoy asks type by type when it is back: all may look settled before it has asked for endpoints.
  await until("the change is in place", async () => await get(fixture, 12) === "200 b");
  await fixture.settled();
  assertEquals(await get(fixture, 11), "200 a");
  assertEquals([sent(fixture, "Cluster"), sent(fixture, "ClusterLoadAssignment")], [0, 1]);
});

envoyTest("what changed while the agent was away arrives, deletions too", async () => {
  await using a = httpBackend("a");
  await using b = httpBackend("b");
  await using fixture = await EnvoyFixture.start([]);
  const one = [fixture.service("one", 11), ...slicesFor("one", "http", [a])];
  fixture.apply(...one, fixture.service("two", 12), ...slicesFor("two", "http", [a]));
  for (const host of [11, 12]) assertEquals(await get(fixture, host), "200 a");
  await fixture.settled();
  await fixture.stopServer();
  fixture.replaceModel([fixture.service("one", 11), ...slicesFor("one", "http", [b])]);
  await fixture.startServer();
  await until("Envoy is back", () => fixture.recorded.opened.length > 0);
  await fixture.settled();
  await until("the deletion is in place", async () => (await get(fixture, 12)).startsWith("503"));
  await until("the new endpoint is in place", async () => await get(fixture, 11) === "200 b");
});

envoyTest(
  "of two Clusters the refused one is named, keeps serving as it was, and the other goes on",
  async () => {
    await using a = httpBackend("a");
    await using fixture = await EnvoyFixture.start([]);
    fixture.apply(
      fixture.service("one", 11),
      ...slicesFor("one", "http", [a]),
      fixture.service("two", 12),
      ...slicesFor("two", "http", [a]),
    );
    for (const host of [11, 12]) assertEquals(await get(fixture, host), "200 a");
    await fixture.settled();
    const bad = `127.0.0.11:${fixture.httpPort}`;
    // Envoy's validation rule: connect_timeout must be greater than 0.
    const bytes = Cluster.encode(
      Cluster.fromPartial({ name: bad, connectTimeout: { seconds: 0, nanos: 0 } }),
    );
    fixture.forged.set(bad, { name: bad, version: "bad", bytes: bytes.finish() });
    const grpc = (host: number, name: string): ReturnType<EnvoyFixture["service"]> => {
      const plain = fixture.service(name, host);
      return { ...plain, ports: plain.ports.map((port) => ({ ...port, appProtocol: "grpc" })) };
    };
    fixture.apply(grpc(11, "one"), grpc(12, "two"));
    await until("the NACK is in", () => fixture.recorded.nacks.length > 0);
    await fixture.settled();
    assertEquals(fixture.recorded.nacks.map(({ type, name, version }) => [type, name, version]), [
      ["Cluster", bad, "bad"],
    ]);
    assertStringIncludes(fixture.recorded.nacks[0]?.reason ?? "", "ConnectTimeout");
    assertEquals([await get(fixture, 11), await get(fixture, 12)], ["200 a", "200 a"]);
    await until("the other Cluster is in use", async () => {
      await get(fixture, 12);
      return await fixture.stat("cluster.default/two_http.upstream_cx_http2_total") > 0;
    });

    // The next version is sent, and mends it.
    fixture.forged.delete(bad);
    fixture.apply(fixture.service("one", 11));
    await fixture.settled();
    assertEquals(await get(fixture, 11), "200 a");
    assertEquals(fixture.recorded.nacks.length, 1);
  },
);

/** Endpoints nobody listens at, and that refuse therefore. */
async function goneBackends(start: () => Backend, count: number): Promise<Backend[]> {
  const gone = Array.from({ length: count }, start);
  await Promise.all(gone.map((backend) => backend[Symbol.asyncDispose]()));
  return gone;
}

envoyTest("endpoints that refuse connections cost no request while another lives", async () => {
  await using a = httpBackend("a");
  const gone = await goneBackends(() => httpBackend("gone"), 2);
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(fixture.service("one", 11), ...slicesFor("one", "http", [a, ...gone]));
  for (let request = 0; request < 300; request++) assertEquals(await get(fixture, 11), "200 a");
});

envoyTest(
  "endpoints that refuse connections cost hardly any TCP connection while another lives",
  async () => {
    await using alive = tcpBackend("alive");
    const gone = await goneBackends(() => tcpBackend("gone"), 3);
    await using fixture = await EnvoyFixture.start([]);
    fixture.apply(fixture.service("one", 11, { kind: "tcp" }), ...slicesFor("one", "tcp", [alive, ...gone]));
    let failed = 0;
    {
      // Held open, as connections are: the dead endpoints have none, so the load balancer favours them.
      using held = new DisposableStack();
      for (let count = 0; count < 100; count++) {
        const connection = held.use(await Deno.connect({ hostname: "127.0.0.11", port: fixture.tcpPort }));
        const length = await connection.read(new Uint8Array(8)).catch(() => null);
        if (length === null) failed++;
      }
    }
    // Each is tried once, and again every 2 s. If only one could be out at a time, 6 and more of them would fail.
    assert(failed < 3, `${failed} of 100 connections failed`);
  },
);

envoyTest("the sockets answer their owner only", async () => {
  await using fixture = await EnvoyFixture.start([]);
  for (const name of ["ads.sock", "admin.sock"]) {
    const { mode } = await Deno.stat(`${fixture.directory}/${name}`);
    assertEquals((mode ?? 0) & 0o777, 0o600, name);
  }
});

envoyTest("in eager mode everything is there before the first connection, and follows changes", async () => {
  await using a = httpBackend("a");
  await using b = tcpBackend("b");
  await using fixture = await EnvoyFixture.start([], { mode: "eager" });
  fixture.apply(
    fixture.service("one", 11),
    ...slicesFor("one", "http", [a]),
    fixture.service("two", 12, { kind: "tcp" }),
    ...slicesFor("two", "tcp", [b]),
  );
  await until("all is there", () => sent(fixture, "ClusterLoadAssignment") === 2);
  await fixture.settled();
  assertEquals(await get(fixture, 11), "200 a");
  assertEquals(await greeting("127.0.0.12", fixture.tcpPort), "b");
  fixture.deleteService("one");
  await fixture.settled();
  assertEquals(fixture.recorded.responses.findLast(({ type }) => type === "Cluster")?.removed, 1);
  await until("the Service is gone", async () => (await get(fixture, 11)).startsWith("503"));
  fixture.apply(fixture.service("one", 11));
  await fixture.settled();
  await until("the Service is back", async () => await get(fixture, 11) === "200 a");
});

/** The names README.md tells people to look at. */
const TRAFFIC = [
  "upstream_cx_active",
  "upstream_cx_connect_fail",
  "upstream_cx_rx_bytes_total",
  "upstream_cx_total",
  "upstream_cx_tx_bytes_total",
];
const REQUESTS = [
  "upstream_rq_active",
  "upstream_rq_retry",
  "upstream_rq_retry_success",
  "upstream_rq_total",
];
const MEMBERSHIP = ["membership_healthy", "membership_total"];
const EJECTIONS = ["outlier_detection.ejections_active", "outlier_detection.ejections_enforced_total"];

for (const mode of ["on-demand", "eager"] as const) {
  envoyTest(
    `statistics of a Service, ${mode}: those people look at, and the traffic's only when there is some`,
    async () => {
      await using a = httpBackend("a");
      await using b = tcpBackend("b");
      const gone = tcpBackend("gone");
      await gone[Symbol.asyncDispose]();
      await using fixture = await EnvoyFixture.start([], { mode });
      fixture.apply(
        fixture.service("one", 11),
        ...slicesFor("one", "http", [a]),
        fixture.service("two", 12, { kind: "tcp" }),
        ...slicesFor("two", "tcp", [b, gone]),
        fixture.service("unused", 13),
        ...slicesFor("unused", "http", [a]),
      );
      if (mode === "eager") await until("all is there", () => sent(fixture, "ClusterLoadAssignment") === 3);
      await fixture.settled();
      for (let request = 0; request < 3; request++) assertEquals(await get(fixture, 11), "200 a");
      for (let connection = 0; connection < 10; connection++) {
        assertEquals(await greeting("127.0.0.12", fixture.tcpPort), "b");
      }
      const [one, two, unused] = [
        await fixture.statsOf("default/one_http"),
        await fixture.statsOf("default/two_tcp"),
        await fixture.statsOf("default/unused_http"),
      ];
      for (const name of [...TRAFFIC, ...REQUESTS, ...MEMBERSHIP, ...EJECTIONS]) assert(one.has(name), name);
      for (const name of [...TRAFFIC, ...MEMBERSHIP, ...EJECTIONS]) assert(two.has(name), name);
      assertEquals(
        [one.get("upstream_rq_total"), one.get("upstream_rq_2xx"), one.get("membership_healthy")],
        [3, 3, 1],
      );
      assert((two.get("upstream_cx_connect_fail") ?? 0) > 0);
      assert((two.get("outlier_detection.ejections_enforced_total") ?? 0) > 0);
      // What an unused one costs is what this is about.
      assertEquals(
        [...unused.keys()].sort(),
        mode === "eager" ? ["membership_change", ...MEMBERSHIP, ...EJECTIONS] : [],
      );
    },
  );
}

envoyTest("in eager mode a restarted agent sends nothing that did not change", async () => {
  await using a = httpBackend("a");
  await using fixture = await EnvoyFixture.start([], { mode: "eager" });
  const objects = [
    fixture.service("one", 11),
    ...slicesFor("one", "http", [a]),
    fixture.service("two", 12),
    slice({ name: "two-0", serviceName: "two", endpoints: [endpoint("127.0.0.1")] }),
  ];
  fixture.apply(...objects);
  await until("all is there", () => sent(fixture, "ClusterLoadAssignment") === 2);
  await fixture.settled();
  await fixture.stopServer();
  fixture.replaceModel(objects.slice(0, 2));
  await fixture.startServer();
  await until("Envoy is back", () => fixture.recorded.opened.length > 0);
  await fixture.settled();
  await until("the deletion is known", () => sent(fixture, "Cluster") === 1);
  assertEquals(
    fixture.recorded.responses.filter(({ type }) => type === "Cluster").map((
      { resources, removed },
    ) => [resources, removed]),
    [[0, 1]],
  );
  // Envoy may ask for the deleted Service's endpoints before it has heard of the deletion; those did change, to none.
  const sentAssignments = fixture.recorded.acks.flatMap(({ type, names }) =>
    type === "ClusterLoadAssignment" ? names : []
  );
  assert(!sentAssignments.includes("default/one:http/IPv4"), sentAssignments.join());
  assertEquals(await get(fixture, 11), "200 a");
});

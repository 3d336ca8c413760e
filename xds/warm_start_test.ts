/**
 * Warm start against a real Envoy: what this node used before is in Envoy before it listens, whoever was restarted.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { Cluster, ClusterLoadAssignment } from "../protos/mod.ts";
import { greeting, httpBackend, slicesFor, tcpBackend } from "./testing/backends.ts";
import { envoyTest, get, sent } from "./testing/envoy_case.ts";
import { EnvoyFixture, until } from "./testing/envoy_fixture.ts";

/** Clusters Envoy asked for, of the agent that runs now. */
function asked(fixture: EnvoyFixture): readonly string[] {
  return fixture.recorded.subscribed.flatMap(({ type, names }) => type === "Cluster" ? names : []);
}

for (const restarted of ["Envoy", "agent and Envoy"] as const) {
  envoyTest(`${restarted} restarted: used Services are ready before the first connection`, async () => {
    await using a = httpBackend("a");
    await using b = tcpBackend("b");
    await using fixture = await EnvoyFixture.start([]);
    const objects = [
      fixture.service("one", 11),
      ...slicesFor("one", "http", [a]),
      fixture.service("two", 12, { kind: "tcp" }),
      ...slicesFor("two", "tcp", [b]),
      fixture.service("unused", 13),
      ...slicesFor("unused", "http", [a]),
      fixture.service("deleted", 14),
    ];
    fixture.apply(...objects);
    assertEquals(await get(fixture, 11), "200 a");
    assertEquals(await greeting("127.0.0.12", fixture.tcpPort), "b");
    assertEquals((await get(fixture, 14)).slice(0, 3), "503");
    fixture.deleteService("deleted");
    await fixture.settled();

    await fixture.stopEnvoy();
    if (restarted === "agent and Envoy") {
      await fixture.stopServer();
      fixture.replaceModel(objects.slice(0, -1));
      await fixture.startServer();
    } else fixture.recorded.responses.length = fixture.recorded.subscribed.length = 0;
    await fixture.startEnvoy();
    const used = [`127.0.0.11:${fixture.httpPort}`, `127.0.0.12:${fixture.tcpPort}`];
    assertEquals(await fixture.clusters(), used.sort());
    assertEquals(await get(fixture, 11), "200 a");
    assertEquals(await greeting("127.0.0.12", fixture.tcpPort), "b");
    await fixture.settled();
    assertEquals(asked(fixture), []);
    assertEquals([sent(fixture, "Cluster"), sent(fixture, "ClusterLoadAssignment")], [2, 2]);
    // Others are still asked for at their first connection.
    assertEquals(await get(fixture, 13), "200 a");
    assertEquals((await get(fixture, 14)).slice(0, 3), "503");
    assertEquals(asked(fixture), [`127.0.0.13:${fixture.httpPort}`, `127.0.0.14:${fixture.httpPort}`]);
  });
}

/** A fixture whose Envoy has just been restarted and was given Service `one` (HTTP backend `a`) at 127.0.0.11. */
async function warmFixture(a: ReturnType<typeof httpBackend>): Promise<EnvoyFixture> {
  const fixture = await EnvoyFixture.start([]);
  fixture.apply(fixture.service("one", 11), ...slicesFor("one", "http", [a]));
  assertEquals(await get(fixture, 11), "200 a");
  await fixture.stopEnvoy();
  await fixture.startEnvoy();
  await fixture.settled();
  return fixture;
}

envoyTest("a warm Service that is deleted fails at once, and works again when it is back", async () => {
  await using a = httpBackend("a");
  await using fixture = await warmFixture(a);
  for (const [use, kind] of [["unused", "h2c"], ["used", "http"]] as const) {
    fixture.deleteService("one");
    await fixture.settled();
    if (use === "used") await until("it is gone", async () => (await get(fixture, 11)).startsWith("503"));
    fixture.apply(fixture.service("one", 11, { kind }), ...slicesFor("one", kind, [a]));
    await fixture.settled();
    await until("it is back", async () => await get(fixture, 11) === "200 a");
  }
  assertEquals(asked(fixture).length, 1, "only once, before Envoy was restarted");
  assertEquals(fixture.recorded.responses.map(({ removed }) => removed).filter((count) => count > 0), []);
});

for (const file of ["kept", "lost"] as const) {
  envoyTest(
    `the agent restarted, its file ${file}: a warm Envoy is sent nothing, then what changes`,
    async () => {
      await using a = httpBackend("a");
      await using b = httpBackend("b");
      await using fixture = await warmFixture(a);
      const objects = [fixture.service("one", 11), ...slicesFor("one", "http", [a])];
      await fixture.stopServer();
      if (file === "lost") await Deno.remove(`${fixture.directory}/working-set.json`);
      fixture.replaceModel(objects);
      await fixture.startServer();
      await until("Envoy is back", () => fixture.recorded.opened.length > 0);
      await fixture.settled();
      fixture.apply(...slicesFor("one", "http", [b]));
      await until("the change is in place", async () => await get(fixture, 11) === "200 b");
      await fixture.settled();
      assertEquals([sent(fixture, "Cluster"), sent(fixture, "ClusterLoadAssignment")], [0, 1]);
      // What a living Envoy holds is known again, and given to the next one.
      await fixture.stopEnvoy();
      await fixture.startEnvoy();
      assertEquals(await fixture.clusters(), [`127.0.0.11:${fixture.httpPort}`]);
    },
  );
}

envoyTest(
  "while the agent is away a starting Envoy refuses connections, and is warm when it is back",
  async () => {
    await using a = httpBackend("a");
    await using fixture = await warmFixture(a);
    await fixture.stopEnvoy();
    await fixture.stopServer();
    await fixture.spawnEnvoy();
    await until("Envoy has tried to reach the agent", async () => {
      // Until Envoy is so far, its admin socket is the one the killed Envoy left behind.
      const tried = fixture.stat("cluster.lightpath-ads.upstream_cx_connect_fail").catch(() => 0);
      return await tried > 1;
    });
    assert(!await fixture.isListening());
    await fixture.startServer();
    await until("Envoy listens", () => fixture.isListening());
    assertEquals(await get(fixture, 11), "200 a");
    assertEquals(asked(fixture), []);
  },
);

envoyTest(
  "an agent that dies while Envoy starts: Envoy refuses connections until it is back, then is warm",
  async () => {
    await using a = httpBackend("a");
    await using fixture = await warmFixture(a);
    await fixture.stopEnvoy();
    let dying: Promise<void> | undefined;
    fixture.hooks.onResponse = () => {
      fixture.isSilent = true;
      dying ??= fixture.stopServer();
    };
    await fixture.spawnEnvoy();
    await until("the agent has sent something", () => dying !== undefined);
    await dying;
    assert(!await fixture.isListening());
    delete fixture.hooks.onResponse;
    fixture.isSilent = false;
    await fixture.startServer();
    await until("Envoy listens", () => fixture.isListening());
    assertEquals(await get(fixture, 11), "200 a");
  },
);

const BAD_RESOURCES = {
  "a Cluster that breaks Envoy's validation rules": (name: string) => ({
    type: "Cluster",
    bytes: Cluster.encode(Cluster.fromPartial({ name, connectTimeout: { seconds: 0, nanos: 0 } })).finish(),
  }),
  "a Cluster that Envoy cannot make": (name: string) => ({
    type: "Cluster",
    // EDS without a source of endpoints.
    bytes: Cluster.encode(Cluster.fromPartial({ name, type: 3, connectTimeout: { seconds: 1, nanos: 0 } }))
      .finish(),
  }),
  "endpoints that Envoy refuses": () => ({
    type: "ClusterLoadAssignment",
    bytes: ClusterLoadAssignment.encode(ClusterLoadAssignment.fromPartial({
      clusterName: "default/one:http/IPv4",
      endpoints: [{
        lbEndpoints: [{ endpoint: { address: { socketAddress: { address: "nowhere", portValue: 80 } } } }],
      }],
    })).finish(),
  }),
};

for (const [what, forge] of Object.entries(BAD_RESOURCES)) {
  envoyTest(`a warm start with ${what}: Envoy starts all the same, and the others are served`, async () => {
    await using a = httpBackend("a");
    await using fixture = await warmFixture(a);
    fixture.apply(fixture.service("two", 12), ...slicesFor("two", "http", [a]));
    assertEquals(await get(fixture, 12), "200 a");
    await fixture.stopEnvoy();
    const cluster = `127.0.0.11:${fixture.httpPort}`;
    const { type, bytes } = forge(cluster);
    const name = type === "Cluster" ? cluster : "default/one:http/IPv4";
    fixture.forged.set(name, { name, version: "bad", bytes });
    await fixture.startEnvoy();
    // What was in one response with the bad one is sent again.
    await until("the other answers", async () => await get(fixture, 12) === "200 a");
    await until("the bad one is named", () => fixture.recorded.nacks.length > 0);
    assertEquals([...new Set(fixture.recorded.nacks.map((nack) => `${nack.type} ${nack.name}`))], [
      `${type} ${name}`,
    ]);
    // The next version mends it.
    fixture.forged.delete(name);
    fixture.apply(fixture.service("one", 11, { kind: "h2c" }), ...slicesFor("one", "h2c", [a]));
    await until("the mended one answers", async () => await get(fixture, 11) === "200 a");
  });
}

/**
 * Listeners of their own against a real Envoy: which it has, and what it is sent, as Services, the agent and Envoy come and go.
 * How connections get there takes a redirect: see commands/agent_own_listener_test.ts.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import type { KubeObject, Service } from "../agent/kube/objects.ts";
import { portSpec } from "../agent/model/testing/objects.ts";
import { httpBackend, slicesFor, tcpBackend } from "./testing/backends.ts";
import { envoyTest, get, sent } from "./testing/envoy_case.ts";
import { EnvoyFixture, until } from "./testing/envoy_fixture.ts";

/** Service `one` at 127.0.0.11, whose idle connections are ended after this time. */
function idle(fixture: EnvoyFixture, idleTimeout: string): Service {
  return fixture.service("one", 11, {
    overrides: { annotations: { "config.lightpath.cloud/idle-timeout": idleTimeout } },
  });
}

/** Service `cache-<host>` at 127.0.0.<host>, which speaks redis. */
function cache(fixture: EnvoyFixture, host: number): Service {
  return fixture.service(`cache-${host}`, host, {
    overrides: {
      ports: [portSpec({ name: "redis", port: fixture.tcpPort, appProtocol: "lightpath.cloud/redis" })],
    },
  });
}

async function listenersAre(fixture: EnvoyFixture, ...wanted: readonly string[]): Promise<void> {
  await until(`Envoy has the Listeners ${wanted.join()}`, async () => {
    return (await fixture.ownListeners()).join() === wanted.join();
  });
  await fixture.settled();
}

for (const mode of ["on-demand", "eager"] as const) {
  envoyTest(`own Listeners, ${mode}: they come, change and go with what is asked for`, async () => {
    await using a = httpBackend("a");
    await using fixture = await EnvoyFixture.start([], { mode });
    const listener = `127.0.0.11:${fixture.httpPort}`;
    fixture.apply(idle(fixture, "10s"), ...slicesFor("one", "http", [a]));
    await listenersAre(fixture, listener);
    assertEquals(sent(fixture, "Listener"), 1);
    fixture.apply(idle(fixture, "20s"));
    await until("the change is sent", () => sent(fixture, "Listener") === 2);
    await listenersAre(fixture, listener);
    assertEquals(await get(fixture, 11), "200 a");
    fixture.apply(fixture.service("one", 11));
    await listenersAre(fixture);
    assertEquals(await get(fixture, 11), "200 a");
    assertEquals(fixture.recorded.nacks, []);
  });

  envoyTest(`own Listeners, ${mode}: a restarted agent sends none again, and then what changed`, async () => {
    await using a = httpBackend("a");
    await using fixture = await EnvoyFixture.start([], { mode });
    const others: KubeObject[] = [...slicesFor("one", "http", [a]), cache(fixture, 12)];
    fixture.apply(idle(fixture, "10s"), ...others);
    const listeners = [`127.0.0.11:${fixture.httpPort}`, `127.0.0.12:${fixture.tcpPort}`].sort();
    await listenersAre(fixture, ...listeners);
    for (
      const [change, objects] of [[0, [idle(fixture, "10s")]], [1, [idle(fixture, "20s")]], [1, []]] as const
    ) {
      await fixture.stopServer();
      fixture.replaceModel([...objects, ...others]);
      await fixture.startServer();
      await until("Envoy is back", () => fixture.recorded.acks.length + fixture.recorded.opened.length > 0);
      await until("Envoy has asked for Listeners", () => fixture.hasAsked("Listener"));
      await fixture.settled();
      assertEquals(sent(fixture, "Listener"), change);
    }
    await listenersAre(fixture, `127.0.0.12:${fixture.tcpPort}`);
  });
}

envoyTest("own Listeners: a restarted Envoy has them, and the Clusters they cannot ask for", async () => {
  await using a = httpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(idle(fixture, "10s"), ...slicesFor("one", "http", [a]), cache(fixture, 12));
  await fixture.stopEnvoy();
  await fixture.startEnvoy();
  assertEquals(
    await fixture.ownListeners(),
    [`127.0.0.11:${fixture.httpPort}`, `127.0.0.12:${fixture.tcpPort}`].sort(),
  );
  assertEquals(await fixture.clusters(), [`127.0.0.12:${fixture.tcpPort}`]);
});

envoyTest(
  "the Cluster of redis is pushed: if it came while the agent was away, and when it comes",
  async () => {
    await using a = httpBackend("a");
    await using b = tcpBackend("b");
    await using fixture = await EnvoyFixture.start([]);
    const one = [fixture.service("one", 11), ...slicesFor("one", "http", [a])];
    fixture.apply(...one);
    assertEquals(await get(fixture, 11), "200 a");
    await fixture.stopServer();
    fixture.replaceModel([...one, cache(fixture, 12), ...slicesFor("cache-12", "redis", [b])]);
    await fixture.startServer();
    await endpointIsKnown(fixture, 12);
    fixture.apply(cache(fixture, 13), ...slicesFor("cache-13", "redis", [b]));
    await endpointIsKnown(fixture, 13);
    await fixture.settled();
    const asked = fixture.recorded.subscribed.filter(({ type }) => type === "Cluster");
    assertEquals(asked, [], "nobody asked for it");
    assertEquals([sent(fixture, "Cluster"), sent(fixture, "Listener")], [2, 2]);
  },
);

async function endpointIsKnown(fixture: EnvoyFixture, host: number): Promise<void> {
  await until("the endpoint is known", async () => {
    return await fixture.stat(`cluster.default/cache-${host}_redis.membership_total`) === 1;
  });
}

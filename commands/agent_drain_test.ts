/**
 * An Envoy that ends with its agent: what is under way through it is finished, and new connections are the kernel's.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { delay } from "@std/async/delay";
import { startLoad } from "../scripts/lab/mod.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";

const VIP = "10.96.0.10";
const HTTP = `${VIP}:80`;

async function writeService(fixture: NodeFixture): Promise<void> {
  const ports = [
    { name: "http", port: 80 },
    { name: "h2c", port: 81, appProtocol: "kubernetes.io/h2c" },
    { name: "echo", port: 9000 },
  ];
  const endpointPorts = [
    { name: "http", port: 8080 },
    { name: "h2c", port: 8080 },
    { name: "echo", port: 9000 },
  ];
  await fixture.manifests.write("web.yaml", [
    service("web", { clusterIPs: [VIP], ports }),
    slice("web", { addresses: fixture.addresses("ipv4"), ports: endpointPorts }),
  ]);
}

testUnless("the agent that runs Envoy ends", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  await writeService(fixture);

  await t.step("no request fails: slow, kept or new connections, HTTP/1.1, HTTP/2, TCP", async () => {
    const agent = await fixture.startAgent("--drain-time=5s").ready();
    await fixture.untilThroughEnvoy(HTTP);
    const { namespace } = fixture.client;
    const loads = [
      startLoad(namespace, { url: `http://${VIP}/delay/1500ms`, connections: 4 }),
      startLoad(namespace, { url: `http://${VIP}/`, connections: 4, pauseMs: 5 }),
      startLoad(namespace, { url: `h2c://${VIP}:81/delay/300ms`, connections: 2, pauseMs: 5 }),
      startLoad(namespace, { url: `http://${VIP}/`, newConnections: true, pauseMs: 2 }),
      startLoad(namespace, { url: `tcp://${VIP}:9000`, newConnections: true, pauseMs: 2 }),
    ];
    await Promise.all(loads.map((load) => load.started()));
    assertEquals(await agent.stop(), 0);
    for (const load of loads) {
      const { failed, errors, requests } = await load.stop();
      assertEquals(failed, 0, `${failed} of ${requests} requests failed: ${JSON.stringify(errors)}`);
    }
  });

  await t.step("a connection that goes on longer than --drain-time is closed, and said", async () => {
    const agent = await fixture.startAgent("--drain-time=300ms").ready();
    await fixture.untilThroughEnvoy(HTTP);
    const load = startLoad(fixture.client.namespace, { url: `tcp://${VIP}:9000`, pauseMs: 10 });
    await load.started();
    assertEquals(await agent.stop(), 0);
    const { failed } = await load.stop();
    assertEquals(failed, 1);
    assert(Number(agent.lines(/still open/)[0]?.fields["connections"]) >= 1, agent.process.recentOutput());
  });
});

testUnless("the agent beside which Envoy runs in the same pod ends", {
  unavailable: fixtureUnavailable,
}, async (t) => {
  await using fixture = await NodeFixture.create();
  await writeService(fixture);
  let agent = fixture.startAgent("--envoy=sidecar", "--drain-time=5s");
  await fixture.startEnvoy();
  await agent.ready();
  await fixture.untilThroughEnvoy(HTTP);

  await t.step("Envoy is drained, and the kernel serves", async () => {
    const slow = startLoad(fixture.client.namespace, { url: `http://${VIP}/delay/1s`, connections: 2 });
    await slow.started();
    assertEquals(await agent.stop(), 0);
    assertEquals(await fixture.pod.isThroughEnvoy(HTTP), false);
    const { failed, connections } = await slow.stop();
    assertEquals(failed, 0);
    assert(connections > 2, "nobody asked the clients to connect anew");
  });

  await t.step(
    "if the agent alone is started anew, Envoy takes connections again, and keeps them",
    async () => {
      agent = await fixture.startAgent("--envoy=sidecar").ready();
      await fixture.untilThroughEnvoy(HTTP);
      const kept = startLoad(fixture.client.namespace, { url: `http://${VIP}/`, pauseMs: 10 });
      await kept.started();
      await delay(300);
      const { failed, connections } = await kept.stop();
      assertEquals({ failed, connections }, { failed: 0, connections: 1 });
    },
  );
});

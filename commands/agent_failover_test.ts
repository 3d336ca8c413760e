/**
 * Traffic outlives Envoy, the agent, and both: what new connections meet while one of them is away.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { startLoad } from "../scripts/lab/mod.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import type { RunningAgent } from "./testing/lightpath_process.ts";
import { service, slice } from "./testing/manifests.ts";
import {
  ENVOY_COMMAND,
  fixtureUnavailable,
  iptablesFlags,
  iptablesUnavailable,
  NodeFixture,
} from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

const VIP = "10.96.0.10";
const VIP6 = "fd00:10:96::10";
const HTTP = `${VIP}:80`;
const HTTP6 = `[${VIP6}]:80`;
/** A Service nobody has connected to before. */
const COLD_VIP = "10.96.0.20";

async function writeServices(fixture: NodeFixture): Promise<void> {
  const ports = [{ name: "http", port: 80, nodePort: 30080 }, { name: "echo", port: 9000 }];
  const endpointPorts = [{ name: "http", port: 8080 }, { name: "echo", port: 9000 }];
  await fixture.manifests.write("web.yaml", [
    service("web", { clusterIPs: [VIP, VIP6], ports, spec: { type: "NodePort" } }),
    slice("web", { addresses: fixture.addresses("ipv4"), ports: endpointPorts }),
    slice("web", { addresses: fixture.addresses("ipv6"), ports: endpointPorts }),
    service("cold", { clusterIPs: [COLD_VIP], ports: [{ name: "http", port: 80 }] }),
    slice("cold", { addresses: fixture.addresses("ipv4"), ports: [{ name: "http", port: 8080 }] }),
  ]);
}

/** By what the kernel is programmed. */
const BACKENDS = [
  ["nftables", [], fixtureUnavailable],
  ["iptables-nft", iptablesFlags("iptables-nft"), iptablesUnavailable],
  ["iptables-legacy", iptablesFlags("iptables-legacy"), iptablesUnavailable],
] as const;

for (const [backend, flags, unavailable] of BACKENDS) {
  testUnless(`${backend}: new connections outlive Envoy`, { unavailable }, async (t) => {
    await using fixture = await NodeFixture.create();
    await writeServices(fixture);
    const agent = await fixture.startAgent(...flags).ready();
    await fixture.untilThroughEnvoy(HTTP);

    await t.step(
      "killed under load: what was in flight is lost, nothing else; one element each way",
      async () => {
        const loads = [
          startLoad(fixture.client.namespace, { url: `http://${VIP}/`, newConnections: true, pauseMs: 2 }),
          startLoad(fixture.client.namespace, { url: `http://[${VIP6}]/`, newConnections: true, pauseMs: 2 }),
          startLoad(fixture.client.namespace, { url: `tcp://${VIP}:9000`, newConnections: true, pauseMs: 2 }),
        ];
        await Promise.all(loads.map((load) => load.started()));
        const before = await agent.metric("lightpath_nft_elements_total");
        await fixture.killEnvoy();
        await until("Envoy's return", () => agent.metric("lightpath_envoy_serving"), {
          wanted: (is) => is === 1,
        });
        await fixture.untilThroughEnvoy(HTTP);
        for (const load of loads) {
          const { failed, errors, requests } = await load.stop();
          const what = `${failed} of ${requests} requests failed: ${JSON.stringify(errors)}`;
          // Under way through Envoy; or begun while it was dying, when its sockets still answered. None was refused or in vain.
          assert(failed <= 3, what);
          assert(!Object.keys(errors).some((error) => /refused|timed? ?out|abort/i.test(error)), what);
        }
        assertEquals(await agent.metric("lightpath_nft_elements_total"), before + 2);
        assertEquals(await agent.metric("lightpath_envoy_failovers_total"), 1);
      },
    );

    await t.step("ended with the agent: the kernel goes on alone", async () => {
      assertEquals(await agent.stop(), 0);
      for (const target of [HTTP, HTTP6]) assertEquals(await fixture.pod.isThroughEnvoy(target), false);
      assertMatch(await fixture.outside.who(`${fixture.lab.nodeAddresses.ipv4}:30080`), /^backend-/);
    });

    await t.step("killed with the agent: nobody tells the kernel, and it finds out by itself", async () => {
      const next = await fixture.startAgent(...flags).ready();
      await fixture.untilThroughEnvoy(HTTP);
      await next.kill();
      await until("Envoy's end", () => fixture.processes(ENVOY_COMMAND), { wanted: (count) => count === 0 });
      for (const target of [HTTP, HTTP6]) assertEquals(await fixture.pod.isThroughEnvoy(target), false);
    });
  });

  testUnless(
    `${backend}: new connections outlive the agent`,
    { unavailable },
    async (t) => {
      await using fixture = await NodeFixture.create();
      await writeServices(fixture);
      let agent: RunningAgent = fixture.startAgent("--envoy=external", ...flags);

      await t.step("before there is an Envoy the kernel serves", async () => {
        await until("the kernel", () => fixture.pod.who(`${VIP}:80`), {
          wanted: (who) => who.startsWith("backend-"),
        });
        assertEquals(await agent.metric("lightpath_envoy_serving"), 0);
      });

      await t.step("an agent that ends hands over what Envoy never used, and only that", async () => {
        await fixture.startEnvoy();
        await agent.ready();
        await fixture.untilThroughEnvoy(HTTP);
        assertEquals(await agent.stop(), 0);
        assertEquals(await fixture.pod.isThroughEnvoy(HTTP), true);
        assertEquals(await fixture.pod.isThroughEnvoy(`${COLD_VIP}:80`), false);
      });

      await t.step("the next one takes it back", async () => {
        agent = await fixture.startAgent("--envoy=external", ...flags).ready();
        assertEquals(await fixture.pod.isThroughEnvoy(HTTP), true);
        assertEquals(await fixture.pod.isThroughEnvoy(`${COLD_VIP}:80`), true);
      });
    },
  );
}

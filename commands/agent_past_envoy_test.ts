/**
 * Clients that connect to an endpoint past Envoy, from ports that Envoy has just had in their names.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { startLoad } from "../scripts/lab/mod.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";

const VIPS = ["10.96.0.10", "fd00:10:96::10"] as const;
const HTTP = `${VIPS[0]}:80`;
/** So few that most are drawn by both. */
const PORTS = "40000 40599";
const CONNECTIONS = 250;

async function carryBy(fixture: NodeFixture, path: "envoy" | "kernel"): Promise<void> {
  const ports = [{ name: "http", port: 80 }, { name: "echo", port: 9000 }];
  const endpointPorts = [{ name: "http", port: 8080 }, { name: "echo", port: 9000 }];
  const web = service("web", { clusterIPs: [...VIPS], ports, annotations: { "lightpath.cloud/path": path } });
  await fixture.manifests.write("web.yaml", [
    web,
    slice("web", { addresses: fixture.addresses("ipv4", 0), ports: endpointPorts }),
    slice("web", { addresses: fixture.addresses("ipv6", 0), ports: endpointPorts }),
  ]);
  await fixture.untilThroughEnvoy(HTTP, path === "envoy");
}

testUnless("past Envoy, no connection is lost to one that Envoy made in the client's name", {
  unavailable: fixtureUnavailable,
}, async () => {
  await using fixture = await NodeFixture.create();
  const { namespace } = fixture.client;
  for (const one of [namespace, fixture.lab.node]) {
    await one.sysctl({ "net/ipv4/ip_local_port_range": PORTS });
  }
  const agent = await fixture.startAgent().ready();
  for (const path of ["envoy", "kernel"] as const) {
    await carryBy(fixture, path);
    for (const vip of VIPS) {
      const url = `tcp://${vip.includes(":") ? `[${vip}]` : vip}:9000`;
      const run = startLoad(namespace, {
        url,
        newConnections: true,
        requests: CONNECTIONS,
        timeoutMs: 2_000,
      });
      const { failed, requests, errors } = await run.report();
      assert(requests === CONNECTIONS, `${requests} requests by ${path}`);
      assertEquals({ failed, errors }, { failed: 0, errors: {} }, `${url} by ${path}`);
    }
  }
  assertEquals(agent.lines(/endpoints see this node's address/), []);
  assertEquals(await agent.stop(), 0);
});

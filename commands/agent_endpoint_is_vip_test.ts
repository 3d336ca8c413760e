/**
 * Endpoints that are themselves redirected destinations: Envoy's own connections must reach them, not Envoy.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { startEchoServerIn } from "../scripts/lab/mod.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";

/** Sockets on the node whose port is Envoy's HTTP listener, in any state, listening ones too. */
async function socketsOfHttpListener(fixture: NodeFixture): Promise<number> {
  const table = await fixture.lab.node.run(["cat", "/proc/net/tcp"]);
  const port = (1667).toString(16).toUpperCase().padStart(4, "0");
  return table.split("\n").filter((line) => line.includes(`:${port} `)).length;
}

testUnless("endpoints that are VIPs", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  await startEchoServerIn(fixture.lab.node, { name: "host" });
  const nodeAddress = fixture.lab.nodeAddresses.ipv4;
  const ports = [{ name: "http", port: 80 }];
  await fixture.manifests.write("services.yaml", [
    // An ingress on the host's network, published at the host's address.
    service("ingress", {
      clusterIPs: ["10.96.0.40"],
      ports: [{ name: "http", port: 8080 }],
      spec: { externalIPs: [nodeAddress] },
    }),
    slice("ingress", { addresses: [nodeAddress], ports: [{ name: "http", port: 8080 }] }),
    service("loop", { clusterIPs: ["10.96.0.50"], ports }),
    slice("loop", { addresses: ["10.96.0.50"], ports }),
  ]);
  const agent = await fixture.startAgent().ready();

  await t.step("a host-network endpoint answers at the external IP that is its own address", async () => {
    for (const from of [fixture.pod, fixture.node, fixture.outside]) {
      const { status, body, headers } = await from.http(`${nodeAddress}:8080`);
      assertEquals([status, /^Hostname: (\S+)/.exec(body)?.[1]], [200, "host"]);
      assert("x-envoy-upstream-service-time" in headers, "it went past Envoy");
    }
    assertEquals(await fixture.pod.who("10.96.0.40:8080"), "host");
  });

  await t.step("a slice that names its own Service's VIP does not send Envoy round in circles", async () => {
    const before = await socketsOfHttpListener(fixture);
    assertEquals(
      await fixture.pod.http("10.96.0.50:80", { timeoutMs: 2_000 }).then(({ status }) => status === 200),
      false,
    );
    assert(await socketsOfHttpListener(fixture) - before < 5);
    assertEquals(await fixture.pod.who("10.96.0.40:8080"), "host");
  });
  assertEquals(await agent.stop(), 0);
});

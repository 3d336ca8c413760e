/**
 * The whole program with a Service of `externalTrafficPolicy: Local`: who answers outside clients, and what load balancers
 * are told.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { testUnless } from "../scripts/lab/testing.ts";
import { runLightpath } from "./testing/lightpath_process.ts";
import { service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

const HEALTH_CHECK_NODE_PORT = 31500;

testUnless("the agent with externalTrafficPolicy: Local", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  const { manifests, outside, pod, lab } = fixture;
  const ports = [{ name: "http", port: 80, nodePort: 30080 }];
  const spec = {
    type: "LoadBalancer",
    externalTrafficPolicy: "Local",
    healthCheckNodePort: HEALTH_CHECK_NODE_PORT,
  };
  /** The first backend is on that node, the second one elsewhere. */
  async function writeWeb(nodeName: string): Promise<void> {
    const nodeNames = [nodeName, "node-2"];
    await manifests.write("web.yaml", [
      service("web", { clusterIPs: ["10.96.0.10", "fd00:10:96::10"], ports, spec }),
      ...(["ipv4", "ipv6"] as const).map((family) =>
        slice("web", {
          addresses: fixture.addresses(family),
          nodeNames,
          ports: [{ name: "http", port: 8080 }],
        })
      ),
    ]);
  }
  const hosts = [lab.nodeAddresses.ipv4, `[${lab.nodeAddresses.ipv6}]`];
  /** Status and body. */
  async function healthAt(
    host: string,
    port = HEALTH_CHECK_NODE_PORT,
  ): Promise<readonly [string | number, string]> {
    const { outcome, status, body } = await outside.http(`${host}:${port}`, { path: "/healthz" });
    return outcome === "answered" ? [status, body] : [outcome, ""];
  }
  async function answersOf(ask: () => Promise<string>): Promise<readonly string[]> {
    const answers = new Set<string>();
    for (let request = 0; request < 20; request++) answers.add(await ask());
    return [...answers].sort();
  }

  await writeWeb("node-1");
  const agent = await fixture.startAgent().ready();

  await t.step("from outside the node's own endpoints answer; at the ClusterIP all of them", async () => {
    for (const host of hosts) {
      assertEquals(await answersOf(() => outside.who(`${host}:30080`)), ["backend-1"], host);
    }
    assertEquals(await answersOf(() => pod.who("10.96.0.10:80")), ["backend-1", "backend-2"]);
  });

  await t.step("load balancers are told, as kube-proxy tells them, how many endpoints are here", async () => {
    for (const host of hosts) {
      const [status, body] = await healthAt(host);
      assertEquals([status, JSON.parse(body)], [200, {
        service: { namespace: "default", name: "web" },
        localEndpoints: 1,
        serviceProxyHealthy: true,
      }]);
    }
  });

  await t.step(
    "a port that is in use is one problem, on this node alone, and ends with the Service",
    async () => {
      // The agent's own port.
      const ports = [{ name: "http", port: 80, nodePort: 30081 }];
      const taken = service("taken", {
        clusterIPs: ["10.96.0.11"],
        ports,
        spec: { ...spec, healthCheckNodePort: 10256 },
      });
      await manifests.write("taken.yaml", [taken]);
      const { fields, message } = await agent.logged(/health-check-port/);
      assertEquals(fields["object"], "Service default/taken");
      assertMatch(message, /^cannot listen on \S+:10256 \(healthCheckNodePort\): the port is in use/);
      assertEquals(await agent.metric("lightpath_problems", { kind: "health-check-port" }), 1);
      const { stdout } = await runLightpath(lab.node, ["explain", "default/taken"]);
      assertMatch(stdout, /^ {2}health-check-port: Service default\/taken: cannot listen on/m);
      await manifests.remove("taken.yaml");
      await until(
        "the end of the problem",
        () => agent.metric("lightpath_problems", { kind: "health-check-port" }),
        {
          wanted: (standing) => standing === 0,
        },
      );
      assertEquals((await healthAt(hosts[0]!))[0], 200);
    },
  );

  await t.step("when the node's last endpoint is gone, load balancers are sent away", async () => {
    await writeWeb("node-2");
    for (const host of hosts) {
      const [, body] = await until("the end of the endpoint", () => healthAt(host), {
        wanted: ([status]) => status === 503,
      });
      assertEquals(JSON.parse(body).localEndpoints, 0);
    }
    assertEquals(await answersOf(() => pod.who("10.96.0.10:80")), ["backend-1", "backend-2"]);
    await manifests.remove("web.yaml");
    await until("the end of the server", () => healthAt(hosts[0]!), {
      wanted: ([what]) => what === "refused",
    });
  });

  assertEquals(await agent.stop(), 0);
});

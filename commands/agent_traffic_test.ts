/**
 * The whole program carries traffic: every kind of VIP, both families, HTTP/1.1, h2c and TCP, from a pod, from the
 * node and from outside; and nobody gets anywhere else through it.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { testUnless } from "../scripts/lab/testing.ts";
import { VIP_HEADER } from "../xds/routes.ts";
import { service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";
import { seenHeader, summary, type VantagePoint } from "./testing/vantage_point.ts";

const PORTS = [
  { name: "http", port: 80, targetPort: "web", nodePort: 30080 },
  { name: "grpc", port: 81, targetPort: "web", nodePort: 30081 },
  { name: "echo", port: 9000, nodePort: 30900 },
];
const SLICE_PORTS = [{ name: "http", port: 8080 }, { name: "grpc", port: 8080 }, {
  name: "echo",
  port: 9000,
}];
const EMPTY = ["10.96.0.20", "fd00:10:96::20"];

async function writeServices(fixture: NodeFixture): Promise<void> {
  const web = service("web", {
    clusterIPs: ["10.96.0.10", "fd00:10:96::10"],
    ports: PORTS,
    spec: { type: "LoadBalancer", externalIPs: ["198.51.100.10", "2001:db8:51::10"] },
    loadBalancerIPs: ["203.0.113.10", "2001:db8:113::10"],
  });
  const slices = (["ipv4", "ipv6"] as const).map((family) =>
    slice("web", { addresses: fixture.addresses(family, 0), ports: SLICE_PORTS })
  );
  await fixture.manifests.write("web.yaml", [web, ...slices]);
  const other = service("other", {
    clusterIPs: ["10.96.0.30", "fd00:10:96::30"],
    ports: [{ name: "http", port: 80 }],
  });
  const otherSlices = (["ipv4", "ipv6"] as const).map((family) =>
    slice("other", { addresses: fixture.addresses(family, 1), ports: [{ name: "http", port: 8080 }] })
  );
  await fixture.manifests.write("other.yaml", [other, ...otherSlices]);
  const empty = service("empty", {
    clusterIPs: EMPTY,
    ports: [{ name: "http", port: 80, nodePort: 30020 }, { name: "echo", port: 9000, nodePort: 30029 }],
  });
  await fixture.manifests.write("empty.yaml", [empty]);
}

/** What each vantage point gets at a host's three ports. */
async function askAll(
  from: VantagePoint,
  host: string,
  [http, h2c, tcp]: readonly [number, number, number],
): Promise<string> {
  const answers = [
    await from.who(`${host}:${http}`),
    await from.who(`${host}:${h2c}`, "h2c"),
    await from.who(`${host}:${tcp}`, "tcp"),
  ];
  return answers.join(" ");
}

const ALL_ANSWERED = "backend-1 backend-1 backend-1";
const ALL_REFUSED = "refused refused refused";

testUnless("the agent carries traffic to Services", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  const { node, pod, outside, client } = fixture;
  await writeServices(fixture);
  const agent = await fixture.startAgent().ready();

  for (
    const [kind, hosts] of [
      ["a ClusterIP", ["10.96.0.10", "[fd00:10:96::10]"]],
      ["an external IP", ["198.51.100.10", "[2001:db8:51::10]"]],
      ["a load balancer's IP", ["203.0.113.10", "[2001:db8:113::10]"]],
    ] as const
  ) {
    await t.step(`${kind} answers HTTP, h2c and TCP, to a pod and to the node`, async () => {
      for (const host of hosts) {
        assertEquals(await askAll(pod, host, [80, 81, 9000]), ALL_ANSWERED, `pod to ${host}`);
        assertEquals(await askAll(node, host, [80, 81, 9000]), ALL_ANSWERED, `node to ${host}`);
      }
    });
  }

  const nodeHosts = [fixture.lab.nodeAddresses.ipv4, `[${fixture.lab.nodeAddresses.ipv6}]`];

  await t.step("NodePorts answer on the node's addresses, to all, and not on loopback", async () => {
    for (const host of nodeHosts) {
      for (const from of [pod, outside, node]) {
        const where = `${from.namespace.name} to ${host}`;
        assertEquals(await askAll(from, host, [30080, 30081, 30900]), ALL_ANSWERED, where);
      }
    }
    for (const host of ["127.0.0.1", "[::1]"]) {
      assertEquals(await askAll(node, host, [30080, 30081, 30900]), ALL_REFUSED, host);
    }
  });

  await t.step("what it carried is in the access log, which is on its stdout", async () => {
    const { accessLog } = agent;
    await until("lines of HTTP and TCP", () => accessLog.map(({ service }) => service), {
      wanted: (services) =>
        ["http", "grpc", "echo"].every((port) => services.includes(`default/web:${port}`)),
    });
    assertEquals(accessLog.find(({ service }) => service === "default/web:http")?.["status"], 200);
  });

  await t.step("a port the Service does not have is refused", async () => {
    for (const host of ["10.96.0.10", "[fd00:10:96::10]"]) {
      assertEquals(await pod.who(`${host}:8080`), "refused");
    }
  });

  await t.step("a Service without endpoints is refused at once, everywhere it is asked for", async () => {
    for (const host of ["10.96.0.20", "[fd00:10:96::20]"]) {
      for (const from of [pod, node]) {
        assertEquals(await from.who(`${host}:80`), "refused", `${from.namespace.name} to ${host}`);
        assertEquals(await from.who(`${host}:9000`, "tcp"), "refused", `${from.namespace.name} to ${host}`);
      }
    }
    for (const host of nodeHosts) {
      for (const from of [pod, outside, node]) {
        assertEquals(await from.who(`${host}:30020`), "refused", `${from.namespace.name} to ${host}`);
      }
    }
  });

  await t.step("… answers as soon as it has one, and is refused again without", async () => {
    const ports = [{ name: "http", port: 8080 }, { name: "echo", port: 9000 }];
    const slices = (["ipv4", "ipv6"] as const).map((family) =>
      slice("empty", { addresses: fixture.addresses(family, 1), ports })
    );
    await fixture.manifests.write("empty-slices.yaml", slices);
    for (const host of ["10.96.0.20", "[fd00:10:96::20]"]) {
      await until(`an answer of ${host}`, () => pod.who(`${host}:80`), {
        wanted: (who) => who === "backend-2",
      });
      assertEquals(await node.who(`${host}:9000`, "tcp"), "backend-2");
    }
    assertEquals(await outside.who(`${nodeHosts[0]}:30020`), "backend-2");
    await fixture.manifests.remove("empty-slices.yaml");
    for (const host of ["10.96.0.20", "[fd00:10:96::20]"]) {
      await until(`${host} refused`, () => pod.who(`${host}:80`), { wanted: (who) => who === "refused" });
    }
  });

  await t.step("a port that turns from HTTP into TCP, and back", async () => {
    for (const protocol of ["tcp", "http", "tcp"] as const) {
      const port = protocol === "tcp" ? 9000 : 8080;
      await fixture.manifests.write("turning.yaml", [
        service("turning", {
          clusterIPs: ["10.96.0.40"],
          ports: [{ name: "main", port: 80, appProtocol: protocol === "tcp" ? "example.com/own" : "http" }],
        }),
        slice("turning", { addresses: fixture.addresses("ipv4", 1), ports: [{ name: "main", port }] }),
      ]);
      const ask = async (): Promise<string> =>
        summary(await pod[protocol]("10.96.0.40:80", { timeoutMs: 200 }));
      await until(`an answer over ${protocol}`, ask, { wanted: (who) => who === "backend-2" });
    }
    await fixture.manifests.remove("turning.yaml");
  });

  await t.step("the backend learns the client's own address, and nothing of how it was found", async () => {
    for (
      const [host, address] of [["10.96.0.10:80", client.ipv4], ["[fd00:10:96::10]:80", client.ipv6]] as const
    ) {
      for (const { body } of [await pod.http(host), await pod.h2c(host)]) {
        assertEquals(seenHeader(body, "x-forwarded-for"), address, body);
        assertEquals(seenHeader(body, VIP_HEADER), undefined, body);
      }
    }
  });

  await t.step(
    "a client that sends the internal header itself still gets the Service it called",
    async () => {
      for (
        const [own, foreign] of [["10.96.0.10:80", "10.96.0.30:80"], [
          "[fd00:10:96::10]:80",
          "[fd00:10:96::30]:80",
        ]]
      ) {
        const attempts = [
          [[VIP_HEADER, foreign!]],
          [[VIP_HEADER, foreign!], [VIP_HEADER.toUpperCase(), foreign!], [VIP_HEADER, "10.96.0.20:80"]],
          [["connection", `close, ${VIP_HEADER}`], [VIP_HEADER, foreign!]],
        ] as const;
        for (const headers of attempts) {
          const answer = await pod.http(own!, { headers });
          assertEquals(summary(answer), "backend-1", JSON.stringify(headers));
          assertEquals(seenHeader(answer.body, VIP_HEADER), undefined, answer.body);
        }
        const overHttp2 = await pod.h2c(own!, {
          headers: [[VIP_HEADER, foreign!], [VIP_HEADER, foreign!]],
        });
        assertEquals(summary(overHttp2), "backend-1");
        assertEquals(seenHeader(overHttp2.body, VIP_HEADER), undefined, overHttp2.body);
      }
    },
  );

  await t.step("Envoy's own ports refuse whoever connects to them directly", async () => {
    const headers = [[VIP_HEADER, "10.96.0.10:80"]] as const;
    for (const port of [1666, 1667]) {
      for (const host of [...nodeHosts, "10.244.0.1", "[fd00:10:244::1]"]) {
        assertEquals(summary(await pod.http(`${host}:${port}`, { headers })), "refused", `${host}:${port}`);
      }
      for (const host of [...nodeHosts, "127.0.0.1", "[::1]"]) {
        assertEquals(summary(await node.http(`${host}:${port}`, { headers })), "refused", `${host}:${port}`);
      }
      for (const host of nodeHosts) {
        assertEquals(
          summary(await outside.http(`${host}:${port}`, { headers })),
          "refused",
          `${host}:${port}`,
        );
      }
    }
  });

  await t.step("the sockets are their owner's only", async () => {
    const modes = await fixture.lab.node.run([
      "stat",
      "-c",
      "%a %n",
      "/run/lightpath",
      "/run/lightpath/ads.sock",
      "/run/lightpath/envoy-admin.sock",
      "/run/lightpath/envoy-bootstrap.json",
    ]);
    assertEquals(modes.trim().split("\n").map((line) => line.split(" ")[0]), ["700", "600", "600", "600"]);
  });

  assertEquals(agent.lines(/please report/), []);
  assertEquals(await agent.metric("lightpath_xds_nacks_total"), 0);
  assert(await agent.metric("lightpath_xds_on_demand_requests_total", { type: "Cluster" }) > 0);
  assertEquals(await agent.stop(), 0);
});

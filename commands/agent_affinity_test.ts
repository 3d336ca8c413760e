/**
 * The whole program: `sessionAffinity: ClientIP` of a Service that Envoy carries is what it is with kube-proxy. The kernel remembers
 * which endpoint a client was given, for as long as was asked for, and Envoy's connections in the client's name go there.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { delay } from "@std/async/delay";
import { testUnless } from "../scripts/lab/testing.ts";
import { type Manifest, service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

const VIP = "10.96.0.10";
const VIP6 = "fd00:10:96::10";
const TIMEOUT_SECONDS = 5;
const TARGETS = [`${VIP}:80`, `[${VIP6}]:80`, "192.168.77.2:30080"] as const;

/** A Service of these of the two backends, whose clients keep theirs. */
function sticky(fixture: NodeFixture, ...which: readonly (0 | 1)[]): Manifest[] {
  const ports = [{ name: "http", port: 8080 }, { name: "echo", port: 9000 }];
  return [
    service("web", {
      clusterIPs: [VIP, VIP6],
      ports: [{ name: "http", port: 80, nodePort: 30080 }, { name: "echo", port: 9000 }],
      spec: {
        type: "NodePort",
        sessionAffinity: "ClientIP",
        sessionAffinityConfig: { clientIP: { timeoutSeconds: TIMEOUT_SECONDS } },
      },
    }),
    slice("web", { addresses: fixture.addresses("ipv4", ...which), ports }),
    slice("web", { addresses: fixture.addresses("ipv6", ...which), ports }),
  ];
}

/** Who answers so many connections. */
async function answering({ pod }: NodeFixture, target: string, count = 8): Promise<string[]> {
  const names = new Set<string>();
  for (let asked = 0; asked < count; asked++) {
    names.add(await pod.who(target, target.endsWith(":9000") ? "tcp" : "http"));
  }
  return [...names];
}

testUnless("a client keeps its endpoint through Envoy", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  const { pod, manifests } = fixture;
  await manifests.write("web.yaml", sticky(fixture));
  const agent = await fixture.startAgent().ready();

  await t.step("at each of its destinations, by HTTP and TCP", async () => {
    for (const target of [...TARGETS, `${VIP}:9000`]) {
      assertEquals((await answering(fixture, target)).length, 1, target);
    }
    for (const target of TARGETS) assertEquals(await pod.isThroughEnvoy(target), true, target);
  });

  await t.step("while others come and go, and goes with its own", async () => {
    const [first = ""] = await answering(fixture, TARGETS[0], 1);
    const other = first === "backend-1" ? 1 : 0;
    const own = first === "backend-1" ? 0 : 1;
    await manifests.write("web.yaml", sticky(fixture, own));
    await until("one endpoint", () => endpointCount(fixture), { wanted: (count) => count === 1 });
    assertEquals(await answering(fixture, TARGETS[0]), [first]);
    await manifests.write("web.yaml", sticky(fixture));
    await until("two endpoints", () => endpointCount(fixture), { wanted: (count) => count === 2 });
    assertEquals(await answering(fixture, TARGETS[0]), [first]);
    await manifests.write("web.yaml", sticky(fixture, other));
    await until("the other", () => answering(fixture, TARGETS[0], 1), { wanted: ([now]) => now !== first });
  });

  await t.step("until it has said nothing for the timeout", async () => {
    await manifests.write("web.yaml", sticky(fixture));
    await until("two endpoints", () => endpointCount(fixture), { wanted: (count) => count === 2 });
    const seen = new Set<string>();
    await until("both", async () => {
      for (const name of await answering(fixture, `${VIP}:9000`, 1)) seen.add(name);
      // A connection that ends with its client is none that keeps the endpoint.
      await delay((TIMEOUT_SECONDS + 1) * 1_000);
      return seen.size;
    }, { wanted: (size) => size === 2, timeoutMs: 90_000 });
  });

  await t.step("the endpoint sees it, and at a NodePort the node", async () => {
    const sources = await Promise.all(TARGETS.map(async (target) => {
      const { body } = await pod.http(target);
      return /^RemoteAddr: \[?(\S+?)\]?:\d+$/m.exec(body)?.[1];
    }));
    assertEquals(sources, [fixture.client.ipv4, fixture.client.ipv6, "10.244.0.1"]);
  });

  await t.step("also where the node's address is seen, by a hash", async () => {
    await agent.stop();
    const other = await fixture.startAgent("--source-address=node").ready();
    for (const target of TARGETS) assertEquals((await answering(fixture, target)).length, 1, target);
    await other.stop();
  });
});

/** How many endpoints the kernel has for the VIP. */
async function endpointCount(fixture: NodeFixture): Promise<number> {
  return (await fixture.ruleset()).match(
    new RegExp(`${VIP} \\. (tcp|6) \\. (80|http) \\. 4c54:[0-9a-f]+ :`, "g"),
  )
    ?.length ?? 0;
}

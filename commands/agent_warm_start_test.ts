/**
 * The whole program: what this node used before is in Envoy before it listens, after a restart of Envoy alone and of
 * everything; and the file behind it never stops the agent.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { startLoad } from "../scripts/lab/mod.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { KEPT_MS } from "../xds/working_set.ts";
import type { RunningAgent } from "./testing/lightpath_process.ts";
import { service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NodeFixture, STATE_DIR } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

const USED = ["10.96.0.10", "10.96.0.11", "[fd00:10:96::10]"];
const UNUSED = "10.96.0.12";
const STATE_FILE = `${STATE_DIR}/working-set.json`;

async function writeServices(fixture: NodeFixture): Promise<void> {
  const ports = [{ name: "http", port: 80 }, { name: "echo", port: 9000 }];
  const endpointPorts = [{ name: "http", port: 8080 }, { name: "echo", port: 9000 }];
  await fixture.manifests.write("web.yaml", [
    ...["10", "11", "12"].flatMap((host) => [
      service(`web-${host}`, { clusterIPs: [`10.96.0.${host}`, `fd00:10:96::${host}`], ports }),
      slice(`web-${host}`, { addresses: fixture.addresses("ipv4", 0), ports: endpointPorts }),
      slice(`web-${host}`, { addresses: fixture.addresses("ipv6", 0), ports: endpointPorts }),
    ]),
  ]);
}

/** Clusters sent, and Clusters Envoy had to ask for, since the agent's start. */
async function clusters(agent: RunningAgent): Promise<{ sent: number; asked: number }> {
  return {
    sent: await agent.metric("lightpath_xds_resources_sent_total", { type: "Cluster" }),
    asked: await agent.metric("lightpath_xds_on_demand_requests_total", { type: "Cluster" }),
  };
}

/** Connects to all that was used, by HTTP and, at the first address, by TCP. */
async function connectToUsed(fixture: NodeFixture): Promise<void> {
  for (const host of USED) assertEquals(await fixture.pod.who(`${host}:80`), "backend-1", host);
  assertEquals(await fixture.pod.who(`${USED[0]}:9000`, "tcp"), "backend-1");
}

testUnless(
  "what this node used is ready before the first packet",
  { unavailable: fixtureUnavailable },
  async (t) => {
    await using fixture = await NodeFixture.create();
    const { node } = fixture.lab;
    await writeServices(fixture);
    let agent = await fixture.startAgent().ready();

    await t.step("on a new node nothing is sent until it is used", async () => {
      assertEquals(await clusters(agent), { sent: 0, asked: 0 });
      await connectToUsed(fixture);
      assertEquals(await clusters(agent), { sent: 4, asked: 4 });
    });

    await t.step("Envoy dies: the next one has what was used, and asks for the rest", async () => {
      await fixture.killEnvoy();
      await until("Envoy's end", () => agent.metric("lightpath_envoy_exits_total"), {
        wanted: (count) => count === 1,
      });
      await agent.ready();
      assertEquals(await clusters(agent), { sent: 8, asked: 4 });
      await connectToUsed(fixture);
      assertEquals(await clusters(agent), { sent: 8, asked: 4 });
      assertEquals(await fixture.pod.who(`${UNUSED}:80`), "backend-1");
      assertEquals(await clusters(agent), { sent: 9, asked: 5 });
    });

    await t.step("agent and Envoy restart: the same, without a question", async () => {
      assertEquals(await agent.stop(), 0);
      agent = await fixture.startAgent().ready();
      assertEquals(await clusters(agent), { sent: 5, asked: 0 });
      await connectToUsed(fixture);
      assertEquals(await fixture.pod.who(`${UNUSED}:80`), "backend-1");
      assertEquals(await clusters(agent), { sent: 5, asked: 0 });
    });

    await t.step("an agent that is killed has noted it some seconds before", async () => {
      await node.run(["rm", STATE_FILE]);
      assertEquals(await fixture.pod.who(`${UNUSED}:9000`, "tcp"), "backend-1");
      await until("the file", () => node.exec(["ls", STATE_FILE]), { wanted: ({ code }) => code === 0 });
      await agent.kill();
      agent = await fixture.startAgent().ready();
      assertEquals(await clusters(agent), { sent: 6, asked: 0 });
    });

    for (
      const [what, spoil] of [
        ["broken", `echo '{' > ${STATE_FILE}`],
        ["a folder", `rm ${STATE_FILE} && mkdir ${STATE_FILE}`],
        ["in a folder that is a file", `rm -r ${STATE_DIR} && touch ${STATE_DIR}`],
      ] as const
    ) {
      await t.step(`a file that is ${what} is said, and the agent goes on`, async () => {
        assertEquals(await agent.stop(), 0);
        await node.run(["sh", "-c", spoil]);
        agent = await fixture.startAgent().ready();
        const [warning, ...more] = agent.lines(/cannot be read/);
        assertEquals([warning?.level, warning?.fields["file"], more], ["warn", STATE_FILE, []]);
        assertEquals(await clusters(agent), { sent: 0, asked: 0 });
        await connectToUsed(fixture);
        assertEquals(await clusters(agent), { sent: 4, asked: 4 });
        if (what !== "broken") {
          assertMatch(
            String((await agent.logged(/cannot be kept/)).fields["error"]),
            /directory|File exists/,
          );
        }
      });
    }

    assertEquals(await agent.stop(), 0);
    assertEquals(agent.lines(/please report/), []);
  },
);

testUnless("a Cluster that is in use stays in the list", { unavailable: fixtureUnavailable }, async () => {
  await using fixture = await NodeFixture.create();
  const { node } = fixture.lab;
  await writeServices(fixture);
  await fixture.startEnvoy();
  const first = await fixture.startAgent("--envoy=external").ready();
  // One connection that stays open, so Envoy asks for its Cluster once and never again; and one that has ended.
  const connection = startLoad(fixture.client.namespace, { url: "tcp://10.96.0.10:9000", pauseMs: 5 });
  await connection.started();
  assertEquals(await fixture.pod.who("10.96.0.11:9000", "tcp"), "backend-1");
  assertEquals(await first.stop(), 0);
  const almostExpired = new Date(Date.now() - KEPT_MS + 3_600_000).toISOString();
  await node.run(["sed", "-i", `s/"20[^"]*Z"/"${almostExpired}"/`, STATE_FILE]);
  const second = await fixture.startAgent("--envoy=external").ready();
  const usedAt = await until("the new time", async () => {
    const { usedAt } = JSON.parse(await node.run(["cat", STATE_FILE])) as { usedAt: Record<string, string> };
    return usedAt;
  }, { wanted: (usedAt) => usedAt["10.96.0.10:9000"] !== almostExpired });
  assertEquals(usedAt["10.96.0.11:9000"], almostExpired);
  assertEquals((await connection.stop()).failed, 0);
  assertEquals(await second.stop(), 0);
});

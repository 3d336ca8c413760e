/**
 * The whole program with a UDP Service: clients that keep their port follow its endpoints, and the agent goes on where stale
 * flows cannot be deleted.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { ENDPOINT_SCRIPT, UdpTalk } from "../redirect/testing/udp_talk.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { service, slice } from "./testing/manifests.ts";
import { CONNTRACK, fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

const VIPS = ["10.96.0.53", "fd00:10:96::53"];
const NODE_PORT = 30053;
const DELETED = "kubeproxy_conntrack_reconciler_deleted_entries_total";

testUnless("the agent with a UDP Service", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  const { backends, client, lab } = fixture;
  const ports = [{ name: "dns", port: 53, protocol: "UDP" }];
  for (const { namespace, ipv4, ipv6 = "" } of backends) {
    const server = namespace.spawn(["python3", ENDPOINT_SCRIPT, "serve", "udp", "5353", ipv4, ipv6]);
    await server.waitForLine(/serving/);
  }
  async function writeDns(...which: readonly (0 | 1)[]): Promise<void> {
    await fixture.manifests.write("dns.yaml", [
      service("dns", {
        clusterIPs: VIPS,
        ports: ports.map((port) => ({ ...port, nodePort: NODE_PORT })),
        spec: { type: "NodePort" },
      }),
      ...(["ipv4", "ipv6"] as const).map((family) =>
        slice("dns", {
          addresses: which.length === 0 ? [] : fixture.addresses(family, ...which),
          addressType: family === "ipv4" ? "IPv4" : "IPv6",
          ports: [{ name: "dns", port: 5353, protocol: "UDP" }],
        })
      ),
    ]);
  }
  const [first, second] = backends;
  const talks: UdpTalk[] = [];
  async function answers(): Promise<string[]> {
    return await Promise.all(talks.map((talk) => talk.nextAnswer()));
  }
  const byFirst = [first.ipv4, first.ipv6 ?? "", first.ipv4];
  const bySecond = [second.ipv4, second.ipv6 ?? "", second.ipv4];

  await writeDns(0);
  const agent = await fixture.startAgent().ready();

  await t.step("a client that keeps its port follows the endpoints, at VIPs and NodePorts", async () => {
    talks.push(
      UdpTalk.start(client.namespace, VIPS[0] ?? "", 53),
      UdpTalk.start(client.namespace, VIPS[1] ?? "", 53),
      UdpTalk.start(lab.outside, lab.nodeAddresses.ipv4, NODE_PORT),
    );
    assertEquals(await answers(), byFirst);
    await writeDns(1);
    assertEquals(await answers(), bySecond);
    await until("the metric", () => agent.metric(DELETED), { wanted: (deleted) => deleted === 3 });
    await writeDns();
    assertEquals(await answers(), ["refused", "refused", "refused"]);
    await writeDns(0);
    assertEquals(await answers(), byFirst);
  });

  await t.step("an agent that starts finds what has changed meanwhile", async () => {
    await agent.process.stop();
    await writeDns(1);
    const next = await fixture.startAgent().ready();
    assertEquals(await answers(), bySecond);
    await next.process.stop();
  });

  await t.step("without conntrack it says so once, and serves all the same", async () => {
    await writeDns(0);
    const missing = `${fixture.manifests.path}/conntrack`;
    const next = await fixture.startAgent(`--conntrack-bin=${missing}`).ready();
    const { level, message } = await next.logged(/UDP flows .* are not deleted/);
    assertEquals(level, "error");
    assertMatch(message, /no program ".*\/conntrack"; install the package conntrack/);
    await until("another attempt", () => next.metric("lightpath_conntrack_failures_total"), {
      wanted: (failures) => failures > 1,
    });
    assertEquals(next.log.filter((line) => line.message === message).length, 1);
    const fresh = UdpTalk.start(client.namespace, VIPS[0] ?? "", 53);
    assertEquals([await fresh.nextAnswer(), ...talks.map(({ changes }) => changes)], [first.ipv4, 4, 4, 4]);
    // As if it had been installed.
    await Deno.writeTextFile(missing, `#!/bin/sh\nexec ${CONNTRACK} "$@"\n`, { mode: 0o755 });
    await next.logged(/are deleted again/);
    assertEquals(await answers(), byFirst);
    await next.process.stop();
  });

  await t.step(
    "a flow that began while somebody had removed the table is translated when it is back",
    async () => {
      // The kernel tracks connections for as long as some table asks for it: on a node one always does.
      const commands = [
        "add table inet other",
        "add chain inet other tracking { type filter hook prerouting priority 0; }",
        "add rule inet other tracking ct state new accept",
      ];
      for (const command of commands) await fixture.nftByHand(command);
      const next = await fixture.startAgent("--resync-interval=1s").ready();
      // So that it does not mend the table at once.
      await next.process.kill("SIGSTOP");
      let talk: UdpTalk;
      try {
        await fixture.nftByHand("delete", "table", "inet", "lightpath");
        talk = UdpTalk.start(client.namespace, VIPS[0] ?? "", 53);
        const untranslated = ["-L", "-p", "udp", "--orig-dst", VIPS[0] ?? "", "--reply-src", VIPS[0] ?? ""];
        await until("an untranslated flow", () => lab.node.run([CONNTRACK, ...untranslated]), {
          wanted: (lines) => lines !== "",
        });
      } finally {
        await next.process.kill("SIGCONT");
      }
      // What is not translated is refused until the flow is deleted: the address is nobody's.
      await until("an answer", () => talk.nextAnswer(), { wanted: (answer) => answer === first.ipv4 });
      await next.process.stop();
    },
  );
});

/**
 * The settings that change what is served and how, through the whole program.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { testUnless } from "../scripts/lab/testing.ts";
import { VIP_HEADER } from "../xds/routes.ts";
import type { RunningAgent } from "./testing/lightpath_process.ts";
import { service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";
import { summary } from "./testing/vantage_point.ts";

const LABEL = "service.kubernetes.io/service-proxy-name";

async function writeService(
  fixture: NodeFixture,
  name: string,
  options: { readonly clusterIP: string; readonly backend: 0 | 1; readonly labels?: Record<string, string> },
): Promise<void> {
  await fixture.manifests.write(`${name}.yaml`, [
    service(name, {
      clusterIPs: [options.clusterIP],
      ports: [{ name: "http", port: 80 }],
      labels: options.labels ?? {},
    }),
    slice(name, {
      addresses: fixture.addresses("ipv4", options.backend),
      ports: [{ name: "http", port: 8080 }],
    }),
  ]);
}

async function expectServed(fixture: NodeFixture, expected: Readonly<Record<string, string>>): Promise<void> {
  for (const [clusterIP, who] of Object.entries(expected)) {
    await until(`${who} at ${clusterIP}`, () => fixture.pod.who(`${clusterIP}:80`), {
      wanted: (found) => found === who,
    });
  }
}

testUnless("the modes of the agent", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  const [plain, labelled] = ["10.96.0.10", "10.96.0.20"];
  await writeService(fixture, "plain", { clusterIP: plain, backend: 0 });
  const lightpath = { [LABEL]: "lightpath.cloud" };
  await writeService(fixture, "labelled", { clusterIP: labelled, backend: 1, labels: lightpath });

  async function withAgent(
    flags: readonly string[],
    use: (agent: RunningAgent) => Promise<void>,
  ): Promise<void> {
    const agent = await fixture.startAgent(...flags).ready();
    let code: number;
    try {
      await use(agent);
    } finally {
      code = await agent.stop();
    }
    assertEquals(code, 0);
    assertEquals(agent.lines(/please report/), []);
  }

  await t.step("--redirect none leaves the kernel untouched, and Envoy gives nobody a way in", async () => {
    await withAgent(["--redirect=none", "--nft-bin=/proc/none/nft"], async () => {
      assertEquals(await fixture.ruleset(), "");
      await expectServed(fixture, { [plain]: "unreachable" });
      const headers = [[VIP_HEADER, `${plain}:80`]] as const;
      const direct = await fixture.pod.http(`${fixture.lab.nodeAddresses.ipv4}:1667`, { headers });
      assert(summary(direct) !== "backend-1", summary(direct));
    });
    assertEquals(await fixture.ruleset(), "");
  });

  await t.step("without --service-proxy-name, Services of another proxy are left alone", async () => {
    await withAgent([], async () => {
      await expectServed(fixture, { [plain]: "backend-1", [labelled]: "unreachable" });
    });
  });

  await t.step("with --service-proxy-name, only its own are served, also when the label moves", async () => {
    await withAgent(["--service-proxy-name=lightpath.cloud"], async (agent) => {
      // The table of the agent before held the other one.
      await expectServed(fixture, { [plain]: "unreachable", [labelled]: "backend-2" });
      await writeService(fixture, "plain", { clusterIP: plain, backend: 0, labels: lightpath });
      await writeService(fixture, "labelled", { clusterIP: labelled, backend: 1 });
      await expectServed(fixture, { [plain]: "backend-1", [labelled]: "unreachable" });
      await writeService(fixture, "plain", { clusterIP: plain, backend: 0 });
      await writeService(fixture, "labelled", { clusterIP: labelled, backend: 1, labels: lightpath });
      await expectServed(fixture, { [plain]: "unreachable", [labelled]: "backend-2" });
      assertEquals(await agent.metric("lightpath_problems_total"), 0);
    });
  });

  await t.step(
    "settings from a file and the environment: other ports, one family, ADS over TCP",
    async () => {
      const folder = fixture.manifests.path;
      // Not a manifest: its name begins with a dot.
      const config = `${folder}/.lightpath.yaml`;
      await Deno.writeTextFile(config, "tcp-port: 2666\nhttp-port: 2667\nads-address: 127.0.0.1:18000\n");
      const flags = [`--config=${config}`, "--ip-families=IPv4"];
      await withAgent(flags, async () => {
        await expectServed(fixture, { [plain]: "backend-1" });
        const listening = await fixture.lab.node.run(["cat", "/proc/net/tcp", "/proc/net/tcp6"]);
        const ports = [...listening.matchAll(/^ *\d+: [0-9A-F]+:([0-9A-F]{4}) \S+ 0A /gm)]
          .map(([, port = ""]) => parseInt(port, 16));
        assertEquals([...new Set(ports)].sort((a, b) => a - b), [2666, 2667, 10249, 10256, 18000]);
        assertEquals(await fixture.pod.who(`${fixture.lab.nodeAddresses.ipv4}:2667`), "refused");
      });
    },
  );

  await t.step("--mode eager: Envoy has all beforehand, follows changes, and never asks", async () => {
    await withAgent(["--mode=eager"], async (agent) => {
      const sent = (labels: Record<string, string>): Promise<number> =>
        agent.metric("lightpath_xds_resources_sent_total", labels);
      const updated = { type: "Cluster", action: "updated" };
      await until("the Clusters", () => sent(updated), { wanted: (count) => count === 1 });
      await expectServed(fixture, { [plain]: "backend-1" });
      await writeService(fixture, "plain", { clusterIP: plain, backend: 1 });
      await expectServed(fixture, { [plain]: "backend-2" });
      assertEquals(await sent(updated), 1, "the Cluster is sent once; only its endpoints changed");
      await fixture.manifests.remove("plain.yaml");
      await expectServed(fixture, { [plain]: "unreachable" });
      await until("its removal", () => sent({ type: "Cluster", action: "removed" }), {
        wanted: (count) => count === 1,
      });
      await writeService(fixture, "plain", { clusterIP: plain, backend: 0 });
      await expectServed(fixture, { [plain]: "backend-1" });
      assertEquals(await agent.metric("lightpath_xds_on_demand_requests_total", { type: "Cluster" }), 0);
      assertEquals(await agent.metric("lightpath_xds_nacks_total"), 0);
    });
  });
});

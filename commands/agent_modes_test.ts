/**
 * The settings that change what is served and how, through the whole program.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { testUnless } from "../scripts/lab/testing.ts";
import type { RunningAgent } from "./testing/lightpath_process.ts";
import { service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";
import { summary, type VantagePoint } from "./testing/vantage_point.ts";

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

/** `backend-1` …, or `left alone` when the packets went on to where there is no such address. */
async function whoServes(from: VantagePoint, clusterIP: string): Promise<string> {
  const answer = await from.http(`${clusterIP}:80`, { timeoutMs: 300 });
  return answer.outcome === "unreachable" || answer.outcome === "timeout" ? "left alone" : summary(answer);
}

async function expectServed(fixture: NodeFixture, expected: Readonly<Record<string, string>>): Promise<void> {
  for (const [clusterIP, who] of Object.entries(expected)) {
    await until(`${who} at ${clusterIP}`, () => whoServes(fixture.pod, clusterIP), {
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
    await use(agent);
    assertEquals(agent.lines(/please report/), []);
    assertEquals(await agent.stop(), 0);
  }

  await t.step("--redirect none leaves the kernel untouched, and Envoy gives nobody a way in", async () => {
    await withAgent(["--redirect=none", "--nft-bin=/nonexistent/nft"], async () => {
      assertEquals(await fixture.ruleset(), "");
      await expectServed(fixture, { [plain]: "left alone" });
      const headers = [["x-lightpath-vip", `${plain}:80`]] as const;
      const direct = await fixture.pod.http(`${fixture.lab.nodeAddresses.ipv4}:1667`, { headers });
      assert(summary(direct) !== "backend-1", summary(direct));
    });
    assertEquals(await fixture.ruleset(), "");
  });

  await t.step("without --service-proxy-name, Services of another proxy are left alone", async () => {
    await withAgent([], async () => {
      await expectServed(fixture, { [plain]: "backend-1", [labelled]: "left alone" });
    });
  });

  await t.step("with --service-proxy-name, only its own are served, also when the label moves", async () => {
    await withAgent(["--service-proxy-name=lightpath.cloud"], async (agent) => {
      // The table of the agent before held the other one.
      await expectServed(fixture, { [plain]: "left alone", [labelled]: "backend-2" });
      await writeService(fixture, "plain", { clusterIP: plain, backend: 0, labels: lightpath });
      await writeService(fixture, "labelled", { clusterIP: labelled, backend: 1 });
      await expectServed(fixture, { [plain]: "backend-1", [labelled]: "left alone" });
      await writeService(fixture, "plain", { clusterIP: plain, backend: 0 });
      await writeService(fixture, "labelled", { clusterIP: labelled, backend: 1, labels: lightpath });
      await expectServed(fixture, { [plain]: "left alone", [labelled]: "backend-2" });
      assertEquals(await agent.metric("lightpath_problems_total"), 0);
    });
  });

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
      await expectServed(fixture, { [plain]: "left alone" });
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

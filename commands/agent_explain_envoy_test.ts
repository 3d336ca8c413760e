/**
 * `lightpath explain` about an Envoy that does not do as it was told: it refuses a Cluster, it leaves out an endpoint, it is gone.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { fail } from "@std/assert/fail";
import { testUnless } from "../scripts/lab/testing.ts";
import type { RefusedResource } from "../xds/mod.ts";
import type { Explanation } from "./explain/explanation.ts";
import { runLightpath } from "./testing/lightpath_process.ts";
import { service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

const ECHO = "10.96.0.10:80";
const SETTING = "config.lightpath.cloud/";

testUnless("lightpath explain tells what Envoy does", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  const { manifests, lab, pod } = fixture;

  async function write(
    addresses: readonly string[],
    settings: Readonly<Record<string, string>>,
  ): Promise<void> {
    const annotations = Object.fromEntries(
      Object.entries(settings).map(([name, value]) => [`${SETTING}${name}`, value]),
    );
    await manifests.write("echo.yaml", [
      service("echo", { clusterIPs: ["10.96.0.10"], ports: [{ name: "http", port: 80 }], annotations }),
      slice("echo", { addresses, ports: [{ name: "http", port: 8080 }] }),
    ]);
  }

  async function explain(...flags: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runLightpath(lab.node, ["explain", "default/echo", ...flags]);
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    return stdout;
  }

  async function explained(): Promise<Explanation> {
    return JSON.parse(await explain("--json")) as Explanation;
  }

  /** What the one Envoy has of the Cluster. */
  async function clusterState(): Promise<{ readonly state: string; readonly version?: string }> {
    const resources = (await explained()).ports[0]?.resources ?? [];
    return resources.find(({ type }) => type === "Cluster")?.envoys?.[0] ?? fail("no Envoy");
  }

  const good = fixture.addresses("ipv4", 0);
  await write(good, {});
  // What a user writes is judged before it is sent, so this takes an Envoy that can do less than others.
  const missing = "envoy.load_balancing_policies/envoy.load_balancing_policies.maglev";
  const envoy = await fixture.startEnvoy("--disable-extensions", missing);
  const agent = await fixture.startAgent("--envoy=external").ready();
  await until("an answer", () => pod.who(ECHO), { wanted: (who) => who === "backend-1" });
  const before = await until("the ACK", clusterState, { wanted: ({ state }) => state === "acked" });

  await t.step("it refuses a Cluster: which version, when, why, and what it goes on with", async () => {
    const startedMs = Date.now();
    await write(good, { "lb-policy": "MAGLEV" });
    const refused = await until("the NACK", clusterState, { wanted: ({ state }) => state === "refused" });
    const { version, reason, at, inUse } = refused as RefusedResource;
    assert(version !== before.version);
    assertEquals(inUse, before.version);
    assertMatch(reason, /maglev/i);
    assert(Date.parse(at) >= startedMs && Date.parse(at) <= Date.now(), at);
    const line =
      `Cluster ${ECHO}: version ${version} REFUSED at ${at} (${reason}); version ${inUse} stays in use`;
    assertStringIncludes(await explain(), line);
    assertEquals(await agent.metric("lightpath_xds_nacks_total", { type: "Cluster" }), 1);
    assertEquals(await pod.who(ECHO), "backend-1");
  });

  await t.step("a version it takes ends that", async () => {
    await write(good, { "lb-policy": "RANDOM" });
    await until("the ACK", clusterState, { wanted: ({ state }) => state === "acked" });
  });

  await t.step("it leaves out an endpoint that fails", async () => {
    // Where nobody listens.
    const dead = fixture.client.ipv4;
    await write([...good, dead], { "lb-policy": "ROUND_ROBIN" });
    assertEquals((await explained()).leftOutUnknown, null);
    const leftOutOf = async (): Promise<Readonly<Record<string, readonly string[]>>> => {
      assertEquals(await pod.who(ECHO), "backend-1");
      const endpoints = (await explained()).ports[0]?.endpoints ?? [];
      return Object.fromEntries(endpoints.map(({ address, leftOutOf }) => [address, leftOutOf]));
    };
    const found = await until("the ejection", leftOutOf, {
      wanted: ({ [dead]: out = [] }) => out.length > 0,
    });
    assertEquals(found, { [good[0]!]: [], [dead]: [ECHO] });
    const text = await explain();
    assertMatch(
      text,
      /10\.244\.0\.100:8080 +no zone +not here +used: ready; LEFT OUT by Envoy for a while, because it fails\n/,
    );
    assertMatch(text, /10\.244\.0\.11:8080 +no zone +not here +used: ready\n/);
  });

  await t.step("its statistics are the agent's to give, by Service port", async () => {
    const requests = (): Promise<number> =>
      agent.envoyMetric("envoy_cluster_upstream_rq_total", { envoy_cluster_name: "default/echo_http" });
    const before = await requests();
    assert(before > 0, "none counted");
    for (let request = 0; request < 3; request++) await pod.who(ECHO);
    assert(await requests() >= before + 3, `${before} before`);
  });

  await t.step("it is there, but does not answer questions: that is said, and the rest", async () => {
    await lab.node.run(["mv", "/run/lightpath/envoy-admin.sock", "/run/lightpath/away.sock"]);
    assertMatch(
      await explain(),
      /\n\nNot known: which endpoints Envoy leaves out, because they fail \(Envoy's admin socket \S+ does not answer \(.*\)\)\n$/,
    );
    const { status, body } = await agent.envoyStatistics();
    assertEquals(status, 503);
    assertMatch(body, /^Envoy's admin socket \S+envoy-admin\.sock does not answer \(.*\)\n?$/);
    await lab.node.run(["mv", "/run/lightpath/away.sock", "/run/lightpath/envoy-admin.sock"]);
  });

  await t.step("it is gone: there is nobody to have anything, or to be asked", async () => {
    await envoy.kill("SIGKILL");
    await until("its end", explain, {
      wanted: (text) => text.includes(`Cluster ${ECHO}: no Envoy is connected\n`),
    });
    assertEquals((await explained()).leftOutUnknown, null);
  });
  assertEquals(await agent.stop(), 0);
});

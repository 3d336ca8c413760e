/**
 * The whole program: Services that ask for what only a Listener can give them have it, on all their addresses; it comes and
 * goes under traffic; and all others are left alone.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { delay } from "@std/async/delay";
import { startLoad } from "../scripts/lab/mod.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { VIP_HEADER } from "../xds/routes.ts";
import type { RunningAgent } from "./testing/lightpath_process.ts";
import { type Manifest, service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";
import { seenHeader, summary, type VantagePoint } from "./testing/vantage_point.ts";

const IDLE = "10.96.0.10";
const IDLE6 = "fd00:10:96::10";
const PLAIN = "10.96.0.11";

/** A Service at both backends, HTTP and TCP, with an idle timeout if one is given. */
function web(fixture: NodeFixture, name: string, options: {
  readonly clusterIPs: readonly string[];
  readonly idleTimeout?: string | undefined;
  readonly nodePorts?: readonly [number, number];
}): Manifest[] {
  const { clusterIPs, idleTimeout, nodePorts: [http, echo] = [] } = options;
  const ports = [{ name: "http", port: 8080 }, { name: "echo", port: 9000 }];
  return [
    service(name, {
      clusterIPs,
      ports: [
        { name: "http", port: 80, ...(http === undefined ? {} : { nodePort: http }) },
        { name: "echo", port: 9000, ...(echo === undefined ? {} : { nodePort: echo }) },
      ],
      annotations: idleTimeout === undefined ? {} : { "config.lightpath.cloud/idle-timeout": idleTimeout },
      ...(http === undefined ? {} : { spec: { type: "NodePort" } }),
    }),
    slice(name, { addresses: fixture.addresses("ipv4"), ports }),
    slice(name, { addresses: fixture.addresses("ipv6"), ports }),
  ];
}

async function writeIdle(fixture: NodeFixture, idleTimeout: string | undefined): Promise<void> {
  await fixture.manifests.write(
    "idle.yaml",
    web(fixture, "idle", { clusterIPs: [IDLE, IDLE6], idleTimeout, nodePorts: [30080, 30900] }),
  );
}

/** Listeners and their removals sent since the agent's start. */
async function listenersSent(agent: RunningAgent): Promise<number> {
  return await agent.metric("lightpath_xds_resources_sent_total", { type: "Listener" });
}

/** How a connection ends on which nothing is said for three seconds. */
async function endOfSilence(from: VantagePoint, target: string): Promise<string> {
  return (await from.raw(target, { timeoutMs: 3_000 })).outcome;
}

testUnless(
  "idle timeouts are kept by Listeners of their own",
  { unavailable: fixtureUnavailable },
  async (t) => {
    await using fixture = await NodeFixture.create();
    const { pod, node, outside, client, lab } = fixture;
    await writeIdle(fixture, "1s");
    await fixture.manifests.write("plain.yaml", web(fixture, "plain", { clusterIPs: [PLAIN] }));
    const agent = await fixture.startAgent().ready();
    const nodeHosts = [lab.nodeAddresses.ipv4, `[${lab.nodeAddresses.ipv6}]`];

    await t.step(
      "a silent connection is ended, at every address of the Service and from everywhere",
      async () => {
        const targets: [VantagePoint, string][] = [
          ...[IDLE, `[${IDLE6}]`].flatMap((host) =>
            [80, 9000].map((port): [VantagePoint, string] => [pod, `${host}:${port}`])
          ),
          [node, `${IDLE}:9000`],
          ...nodeHosts.flatMap((host) =>
            [30080, 30900].map((port): [VantagePoint, string] => [outside, `${host}:${port}`])
          ),
        ];
        const ends = await Promise.all(
          targets.map(async ([from, target]) => `${target} ${await endOfSilence(from, target)}`),
        );
        assertEquals(ends, targets.map(([, target]) => `${target} closed`));
      },
    );

    await t.step("so is one on which a request was answered, some seconds later", async () => {
      const words = "GET / HTTP/1.1\r\nhost: idle\r\n\r\n";
      const { outcome, body } = await pod.raw(`${IDLE}:80`, { words, timeoutMs: 15_000 });
      assertEquals(outcome, "closed");
      assertMatch(body, /^HTTP\/1\.1 200 /);
    });

    await t.step("one to a Service that asks for nothing is left alone", async () => {
      const targets = [`${PLAIN}:80`, `${PLAIN}:9000`];
      assertEquals(await Promise.all(targets.map((target) => endOfSilence(pod, target))), [
        "timeout",
        "timeout",
      ]);
    });

    await t.step("what is said passes as through the constant listeners", async () => {
      assertMatch(await pod.who(`${IDLE}:80`), /^backend-/);
      assertMatch(await pod.who(`[${IDLE6}]:80`, "h2c"), /^backend-/);
      assertMatch(await outside.who(`${nodeHosts[0]}:30900`, "tcp"), /^backend-/);
      const { body } = await pod.http(`${IDLE}:80`, { headers: [[VIP_HEADER, `${PLAIN}:9000`]] });
      assertEquals(seenHeader(body, "x-forwarded-for"), client.ipv4, body);
      assertEquals(seenHeader(body, VIP_HEADER), undefined, body);
      // A request that takes longer than the connection may be idle is no idle connection.
      assertMatch(summary(await pod.http(`${IDLE}:80`, { path: "/delay/2000ms" })), /^backend-/);
      assertMatch(summary(await pod.h2c(`${IDLE}:80`, { path: "/delay/2000ms" })), /^backend-/);
    });

    await t.step("the setting comes, changes and goes while clients are at work: nobody fails", async () => {
      const runs = [
        ...[`http://${IDLE}/`, `h2c://${IDLE}/`, `tcp://${IDLE}:9000`].flatMap((url) =>
          [true, false].map((newConnections) =>
            startLoad(client.namespace, { url, newConnections, pauseMs: 5 })
          )
        ),
        startLoad(client.namespace, { url: `http://${PLAIN}/`, pauseMs: 5 }),
      ];
      await Promise.all(runs.map((run) => run.started()));
      for (const idleTimeout of [undefined, "10s", "20s", "0", undefined, "1s"]) {
        const before = await listenersSent(agent);
        await writeIdle(fixture, idleTimeout);
        await until("Envoy's part in it", () => listenersSent(agent), { wanted: (sent) => sent > before });
        // Long enough for some dozens of requests.
        await delay(300);
      }
      for (const run of runs) {
        const { failed, errors, requests } = await run.stop();
        assertEquals({ failed, errors }, { failed: 0, errors: {} }, `of ${requests} requests`);
      }
      assertEquals(await endOfSilence(pod, `${IDLE}:9000`), "closed");
    });

    await t.step("without the setting the constant listeners have it all again", async () => {
      await writeIdle(fixture, undefined);
      await until("the Listeners' end", () => fixture.envoyAdmin("/listeners"), {
        wanted: (text) => !text.includes(`${IDLE}:80`),
      });
      assertEquals(await endOfSilence(pod, `${IDLE}:9000`), "timeout");
      assertMatch(await pod.who(`${IDLE}:80`), /^backend-/);
    });

    assertEquals(await agent.metric("lightpath_xds_nacks_total"), 0);
    assertEquals(await agent.stop(), 0);
  },
);

testUnless("a restart with Listeners of their own", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  await writeIdle(fixture, "1s");
  const envoy = await fixture.startEnvoy();
  let agent = await fixture.startAgent("--envoy=external").ready();
  const { pod } = fixture;
  // Two ports at two VIPs, and at each of the node's addresses.
  const all = await listenersSent(agent);
  assert(all >= 8, `${all} Listeners`);
  assertMatch(await pod.who(`${IDLE}:80`), /^backend-/);

  await t.step("of the agent: nothing is sent again, and the Listeners stay", async () => {
    assertEquals(await agent.stop(), 0);
    assertEquals(await endOfSilence(pod, `${IDLE}:80`), "closed");
    agent = await fixture.startAgent("--envoy=external").ready();
    assertEquals(await endOfSilence(pod, `${IDLE}:80`), "closed");
    assertEquals(await agent.metric("lightpath_xds_resources_sent_total"), 0);
  });

  await t.step("of the agent, and the setting went meanwhile: so do the Listeners", async () => {
    await agent.kill();
    await writeIdle(fixture, undefined);
    agent = await fixture.startAgent("--envoy=external").ready();
    await until("the removals", () => listenersSent(agent), { wanted: (sent) => sent === all });
    assertEquals(await endOfSilence(pod, `${IDLE}:9000`), "timeout");
  });

  await t.step("of Envoy: it has them before it listens", async () => {
    await writeIdle(fixture, "1s");
    await until("the Listeners", () => listenersSent(agent), { wanted: (sent) => sent === 2 * all });
    const serving = (): Promise<number> => agent.metric("lightpath_envoy_serving");
    await envoy.kill("SIGKILL");
    await until("Envoy's end", serving, { wanted: (value) => value === 0 });
    await fixture.startEnvoy();
    await until("Envoy's return", serving, { wanted: (value) => value === 1 });
    assertEquals(await endOfSilence(pod, `${IDLE}:9000`), "closed");
  });
  assertEquals(await agent.stop(), 0);
});

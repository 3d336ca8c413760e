/**
 * Annotations that change once a second while 1,000 requests a second run over kept connections, and a TCP connection is held:
 * the whole program, called by fortio.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { delay } from "@std/async/delay";
import { startLoad } from "../scripts/lab/mod.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { progress } from "../scripts/tool_path.ts";
import { ensureTool } from "../scripts/tools/mod.ts";
import { service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

const fortio = await ensureTool("fortio", { onProgress: progress });
const VIP = "10.96.0.10";
const RATE = 1_000;
const CONNECTIONS = 8;

/** One a second; each is something else that rides on the Cluster. */
const CHANGES: readonly Readonly<Record<string, string>>[] = [
  { "upstream-request-timeout": "2s" },
  { "lb-policy": "ROUND_ROBIN" },
  { "lb-policy": "MAGLEV", "http-hash-on": "header:x-user" },
  { "access-log": "false", "num-retries": "1" },
  { "circuit-breaker-default-max-requests": "500", "circuit-breaker-default-track-remaining": "true" },
  { "outlier-detection-max-ejection-percent": "0", "upstream-connect-timeout": "1s" },
  { "retry-methods": "all", "retry-on": "5xx", "upstream-idle-timeout": "30s" },
  {},
];

/** The part of fortio's report that is looked at. */
interface FortioReport {
  readonly RetCodes: Readonly<Record<string, number>>;
  /** Connections it opened, first ones included. */
  readonly SocketCount: number;
  readonly ActualQPS: number;
}

const unavailable = [...fixtureUnavailable, fortio.unavailable];

testUnless(
  "annotations that change under 1,000 requests a second cost none of them",
  { unavailable },
  async () => {
    await using fixture = await NodeFixture.create();
    const ports = [{ name: "http", port: 8080 }, { name: "echo", port: 9000 }];
    const write = (settings: Readonly<Record<string, string>>): Promise<void> => {
      const annotations = Object.fromEntries(
        Object.entries(settings).map(([name, value]) => [`config.lightpath.cloud/${name}`, value]),
      );
      return fixture.manifests.write("web.yaml", [
        service("web", {
          clusterIPs: [VIP],
          ports: [{ name: "http", port: 80 }, { name: "echo", port: 9000 }],
          annotations,
        }),
        slice("web", { addresses: fixture.addresses("ipv4"), ports }),
      ]);
    };
    await write({});
    const agent = await fixture.startAgent().ready();
    const { namespace } = fixture.client;
    const held = startLoad(namespace, { url: `tcp://${VIP}:9000`, pauseMs: 5 });
    await held.started();

    const seconds = CHANGES.length + 2;
    const report = namespace.run([
      ...[fortio.path ?? "", "load", "-quiet", "-json", "-", "-uniform", "-allow-initial-errors=false"],
      ...["-qps", `${RATE}`, "-c", `${CONNECTIONS}`, "-t", `${seconds}s`, `http://${VIP}/`],
    ]);
    const clustersSent = (): Promise<number> =>
      agent.metric("lightpath_xds_resources_sent_total", { type: "Cluster" });
    for (const settings of CHANGES) {
      await delay(1_000);
      const before = await clustersSent();
      await write(settings);
      await until("Envoy's part in it", clustersSent, { wanted: (sent) => sent > before });
    }

    const { RetCodes: answers, SocketCount: connections, ActualQPS: rate } = JSON.parse(
      await report,
    ) as FortioReport;
    assertEquals(Object.keys(answers), ["200"], JSON.stringify(answers));
    assert((answers["200"] ?? 0) >= 0.9 * RATE * seconds, `${answers["200"]} requests, ${rate} a second`);
    // None was closed under its client.
    assertEquals(connections, CONNECTIONS);
    const tcp = await held.stop();
    assertEquals({ failed: tcp.failed, errors: tcp.errors, connections: tcp.connections }, {
      failed: 0,
      errors: {},
      connections: 1,
    });
    assertEquals(await agent.metric("lightpath_xds_nacks_total"), 0);
    assertEquals(await agent.stop(), 0);
  },
);

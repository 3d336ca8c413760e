/**
 * A Node that gets its zone after the agent has started, as on every cloud, and another zone later: with a real kube-apiserver, the
 * rights of deploy/base/rbac.yaml, Envoy, nft, and clients that connect all the time.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { join } from "@std/path/join";
import type { ControlPlane } from "../scripts/lab/control_plane.ts";
import { startLoad } from "../scripts/lab/mod.ts";
import { Relay } from "../scripts/lab/relay.ts";
import { renderKubeconfig } from "../scripts/lab/service_account.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { applyRbac } from "./testing/apply_rbac.ts";
import { planeUnavailable, startFixturePlane } from "./testing/fixture_plane.ts";
import { runLightpath, RunningAgent } from "./testing/lightpath_process.ts";
import { CONNTRACK, ENVOY, fixtureUnavailable, NFT, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

const NODE = "/api/v1/nodes/node-1";

/** What asks for zones in each way there is, and what does not. `backend-1` is in zone-a, `backend-2` in zone-b. */
const SERVICES = [
  { name: "near", vip: "10.96.0.10", trafficDistribution: "PreferSameZone", hinted: false, annotations: {} },
  { name: "hinted", vip: "10.96.0.11", trafficDistribution: undefined, hinted: true, annotations: {} },
  {
    name: "kernel",
    vip: "10.96.0.12",
    trafficDistribution: "PreferSameZone",
    hinted: true,
    annotations: { "lightpath.cloud/path": "kernel" },
  },
  { name: "anywhere", vip: "10.96.0.13", trafficDistribution: undefined, hinted: false, annotations: {} },
] as const;

/** Two ports of each Service that asks. */
const ASKING_PORTS = 6;
const BOTH = "backend-1 backend-2";

testUnless(
  "a zone that the Node gets or changes while the agent runs is in force, and no request fails",
  { unavailable: [...fixtureUnavailable, planeUnavailable] },
  async (t) => {
    await using made = new AsyncDisposableStack();
    const fixture = made.use(await NodeFixture.create());
    const { lab, pod } = fixture;
    const { plane, dir } = await startFixturePlane(fixture, made);
    await applyRbac(plane);
    await createServices(plane, fixture.addresses("ipv4"));
    const relay = made.use(Relay.create({ port: plane.apiserverPort, dir }));
    await relay.enter(lab.node);
    const kubeconfig = await writeKubeconfig(plane, dir);
    const startAgent = (...flags: readonly string[]): RunningAgent =>
      new RunningAgent(fixture.node, [
        `--kubeconfig=${kubeconfig}`,
        "--node-name=node-1",
        `--nft-bin=${NFT}`,
        `--conntrack-bin=${CONNTRACK}`,
        "--state-dir=",
        `--envoy-bin=${ENVOY}`,
        "--envoy-concurrency=1",
        "--drain-time=300ms",
        ...flags,
      ]);
    const setZone = (zone: string | null): Promise<unknown> =>
      plane.call("PATCH", NODE, { metadata: { labels: { "topology.kubernetes.io/zone": zone } } });

    /** Who answers at each Service, of as many requests that one of two is not missed by chance. */
    const answering = async (): Promise<Readonly<Record<string, string>>> => {
      const found: Record<string, string> = {};
      for (const { name, vip } of SERVICES) {
        const who = new Set<string>();
        for (let request = 0; request < 16; request++) {
          who.add(
            await pod.who(
              request % 2 === 0 ? `${vip}:80` : `${vip}:9000`,
              request % 2 === 0 ? "http" : "tcp",
            ),
          );
        }
        found[name] = [...who].sort().join(" ");
      }
      return found;
    };
    const untilAnsweredBy = async (who: string): Promise<void> => {
      const wanted = { near: who, hinted: who, kernel: who, anywhere: BOTH };
      await until(JSON.stringify(wanted), answering, {
        wanted: (found) => SERVICES.every(({ name }) => found[name] === wanted[name]),
      });
    };
    const explained = async (): Promise<string> =>
      (await runLightpath(lab.node, ["explain", "default/near"])).stdout.split("\n")[0] ?? "";

    const agent = await startAgent().ready();
    const loads = SERVICES.flatMap(({ vip }) =>
      [`http://${vip}/`, `tcp://${vip}:9000`].map((url) =>
        startLoad(fixture.client.namespace, { url, newConnections: true, pauseMs: 20 })
      )
    );
    await Promise.all(loads.map((load) => load.started()));

    await t.step("without a zone all endpoints are alike", async () => {
      await untilAnsweredBy(BOTH);
      assertMatch(await explained(), /as the agent on node-1 \(no zone\) serves it$/);
    });
    await t.step("with one, those of the zone answer where that was asked for", async () => {
      await setZone("zone-a");
      await untilAnsweredBy("backend-1");
      assertMatch(await explained(), /\(zone zone-a\)/);
    });
    await t.step("a Node that says nothing new changes nothing", async () => {
      await plane.call("PATCH", NODE, { metadata: { annotations: { "example.org/heartbeat": "1" } } });
    });
    await t.step("another zone is as good", async () => {
      await setZone("zone-b");
      await untilAnsweredBy("backend-2");
      assertMatch(await explained(), /\(zone zone-b\)/);
    });
    await t.step("a zone that is taken away is none", async () => {
      await setZone(null);
      await untilAnsweredBy(BOTH);
      await setZone("zone-b");
      await untilAnsweredBy("backend-2");
    });
    for (const load of loads) {
      const { failed, errors, requests } = await load.stop();
      assertEquals({ failed, errors }, { failed: 0, errors: {} }, `of ${requests} requests`);
    }
    assertEquals(
      agent.log.flatMap(({ message, fields: { zone, before, servicePorts } }) =>
        message.startsWith("this node's zone") ? [[before, zone, servicePorts]] : []
      ),
      [
        ["", "zone-a", ASKING_PORTS],
        ["zone-a", "zone-b", ASKING_PORTS],
        ["zone-b", "", ASKING_PORTS],
        ["", "zone-b", ASKING_PORTS],
      ],
    );
    assertEquals(await agent.stop(), 0);

    await t.step(
      "an agent that is told its zone goes by that, and says that the Node is in another",
      async () => {
        const told = await startAgent("--zone=zone-a").ready();
        await untilAnsweredBy("backend-1");
        await until("the sentence", () => told.log.map(({ message }) => message), {
          wanted: (messages) =>
            messages.some((one) =>
              one.startsWith('Node "node-1" is in zone zone-b, and the agent was told zone-a')
            ),
        });
        assertEquals(await told.stop(), 0);
      },
    );
  },
);

async function createServices(plane: ControlPlane, addresses: readonly string[]): Promise<void> {
  const ports = [{ name: "http", port: 8080 }, { name: "echo", port: 9000 }];
  for (const { name, vip, trafficDistribution, hinted, annotations } of SERVICES) {
    await plane.call("POST", "/api/v1/namespaces/default/services", {
      metadata: { name, annotations },
      spec: {
        clusterIP: vip,
        trafficDistribution,
        ports: [{ name: "http", port: 80, targetPort: 8080 }, { name: "echo", port: 9000 }],
      },
    });
    await plane.call("POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", {
      metadata: { name: `${name}-1`, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports,
      endpoints: addresses.map((address, index) => {
        const zone = `zone-${"ab"[index]}`;
        return {
          addresses: [address],
          zone,
          ...(hinted ? { hints: { forZones: [{ name: zone }] } } : {}),
        };
      }),
    });
  }
}

/** For the agent's own rights, from within the node. */
async function writeKubeconfig(plane: ControlPlane, dir: string): Promise<string> {
  const kubeconfig = join(dir, "in-node.kubeconfig");
  const access = {
    host: "127.0.0.1",
    port: plane.apiserverPort,
    token: plane.token("agent"),
    ca: await Deno.readTextFile(plane.caFile),
  };
  await Deno.writeTextFile(kubeconfig, renderKubeconfig(access));
  return kubeconfig;
}

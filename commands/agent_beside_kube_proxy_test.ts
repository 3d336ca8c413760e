/**
 * A Service that moves between a real kube-proxy and the program, by its label, while clients connect all the time.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { join } from "@std/path/join";
import { startLoad } from "../scripts/lab/mod.ts";
import { Relay } from "../scripts/lab/relay.ts";
import { renderKubeconfig } from "../scripts/lab/service_account.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { withTools } from "../scripts/tool_path.ts";
import { planeUnavailable, startFixturePlane } from "./testing/fixture_plane.ts";
import { RunningAgent } from "./testing/lightpath_process.ts";
import { CONNTRACK, ENVOY, fixtureUnavailable, NFT, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

const VIP = "10.96.0.10";
const LABEL = "service.kubernetes.io/service-proxy-name";
const SERVICE = "/api/v1/namespaces/default/services/moving";

const tools = await withTools(["kube-proxy", "nft", "conntrack"]);

function path(tool: string): string {
  return [...tools.paths].find(([name]) => name === tool)?.[1] ?? tool;
}

testUnless(
  "beside kube-proxy, a Service is moved by its label, there and back, and no new connection fails",
  { unavailable: [...fixtureUnavailable, planeUnavailable, tools.unavailable[0]] },
  async () => {
    await using made = new AsyncDisposableStack();
    const fixture = made.use(await NodeFixture.create());
    const { plane, dir } = await startFixturePlane(fixture, made);
    const { node } = fixture.lab;
    await plane.call("POST", "/api/v1/namespaces/default/services", {
      metadata: { name: "moving" },
      spec: {
        clusterIP: VIP,
        ports: [{ name: "http", port: 80, targetPort: 8080 }, { name: "echo", port: 9000 }],
      },
    });
    await plane.call("POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", {
      metadata: { name: "moving-1", labels: { "kubernetes.io/service-name": "moving" } },
      addressType: "IPv4",
      ports: [{ name: "http", port: 8080 }, { name: "echo", port: 9000 }],
      endpoints: fixture.addresses("ipv4").map((address) => ({ addresses: [address] })),
    });
    const relay = made.use(Relay.create({ port: plane.apiserverPort, dir }));
    await relay.enter(node);
    const kubeconfig = join(dir, "in-node.kubeconfig");
    const access = {
      host: "127.0.0.1",
      port: plane.apiserverPort,
      token: plane.token("admin"),
      ca: await Deno.readTextFile(plane.caFile),
    };
    await Deno.writeTextFile(kubeconfig, renderKubeconfig(access));
    const kubeProxy = node.spawn([
      path("kube-proxy"),
      `--kubeconfig=${kubeconfig}`,
      "--hostname-override=node-1",
      "--proxy-mode=nftables",
      // The agent has the usual ones.
      "--healthz-bind-address=127.0.0.1:11256",
      "--metrics-bind-address=127.0.0.1:11249",
      // Kernel settings that are the host's, not the namespace's, stay as they are.
      "--conntrack-max-per-core=0",
      "--conntrack-min=0",
      "--conntrack-tcp-timeout-established=0s",
      "--conntrack-tcp-timeout-close-wait=0s",
    ], { env: tools.env });
    made.defer(async () => void await kubeProxy.stop({ graceMs: 15_000 }));
    const agent = new RunningAgent(fixture.node, [
      `--kubeconfig=${kubeconfig}`,
      "--service-proxy-name=lightpath.cloud",
      "--node-name=node-1",
      `--nft-bin=${NFT}`,
      `--conntrack-bin=${CONNTRACK}`,
      "--state-dir=",
      `--envoy-bin=${ENVOY}`,
      "--envoy-concurrency=1",
    ]);
    await agent.ready();

    const owners = async (): Promise<string> => {
      const kubeProxyHas = (await fixture.ruleset()).split("table inet lightpath")
        .map((text) => text.slice(text.indexOf("table ip kube-proxy")))
        .some((text) => /map service-ips \{[^}]*10\.96\.0\.10 \. tcp \. 80 /.test(text));
      const agentHas = await fixture.pathInKernel(`${VIP} . tcp . 80`) !== undefined;
      return [...(kubeProxyHas ? ["kube-proxy"] : []), ...(agentHas ? ["agent"] : [])].join(" and ");
    };
    await until("kube-proxy", owners, { wanted: (who) => who === "kube-proxy", timeoutMs: 60_000 });

    const from = fixture.client.namespace;
    const runs = [
      startLoad(from, { url: `http://${VIP}/`, newConnections: true, pauseMs: 5 }),
      startLoad(from, { url: `tcp://${VIP}:9000`, newConnections: true, pauseMs: 5 }),
    ];
    await Promise.all(runs.map((run) => run.started()));
    for (let round = 0; round < 2; round++) {
      for (const [label, owner] of [["lightpath.cloud", "agent"], [null, "kube-proxy"]] as const) {
        await plane.call("PATCH", SERVICE, { metadata: { labels: { [LABEL]: label } } });
        await until(owner, owners, { wanted: (who) => who === owner, timeoutMs: 60_000 });
      }
    }
    for (const run of runs) {
      const { failed, errors, requests } = await run.stop();
      assertEquals({ failed, errors }, { failed: 0, errors: {} }, `of ${requests} requests`);
    }
    assertEquals(await agent.stop(), 0);
  },
);

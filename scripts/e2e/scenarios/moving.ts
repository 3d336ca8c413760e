/**
 * A Service moves by its label between a real kube-proxy and Lightpath, there and back, while clients connect.
 * @module
 */
import { until } from "../../../commands/testing/until.ts";
import { ECHO_PORTS, service } from "../manifests.ts";
import type { Scenario } from "../scenario.ts";
import type { Stage } from "../stage.ts";
import { Traffic } from "../traffic.ts";
import { BESIDE, PROXY_NAME_LABEL } from "./_words.ts";

const PATH = "/api/v1/namespaces/default/services/moving";

export const moving: Scenario = {
  name: "moving",
  title: "a Service moves between kube-proxy and Lightpath by its label under traffic",
  installation: BESIDE,
  run: async ({ cluster, stage }) => {
    const [pod] = stage.pods;
    await using moved = await stage.service(service("moving", { app: "echo", ports: ECHO_PORTS }));
    const { vip } = moved;
    await untilKubeProxyHas(stage, vip, true);
    await stage.untilThroughEnvoy(pod, vip, false);
    await using traffic = await Traffic.start(stage, [
      { from: pod, url: `http://${vip}/`, newConnections: true },
      { from: pod, url: `tcp://${vip}:9000`, newConnections: true },
    ]);
    for (let round = 0; round < 2; round++) {
      for (const label of ["lightpath.cloud", null]) {
        await cluster.api.patch(PATH, { metadata: { labels: { [PROXY_NAME_LABEL]: label } } });
        await untilKubeProxyHas(stage, vip, label === null);
        await stage.untilThroughEnvoy(pod, vip, label !== null);
      }
    }
    return `twice there and back; ${await traffic.stopWithoutFailure()}`;
  },
};

/** Waits until kube-proxy serves a VIP on the first node, or does not. */
async function untilKubeProxyHas({ cluster }: Stage, vip: string, expected: boolean): Promise<void> {
  const has = async (): Promise<boolean> => {
    const map = await cluster.onNode(cluster.nodes[0], [
      "nft",
      "list",
      "map",
      "ip",
      "kube-proxy",
      "service-ips",
    ]);
    return map.includes(`${vip} . tcp . 80 `);
  };
  await until(`kube-proxy ${expected ? "to serve" : "to let go of"} ${vip}`, has, {
    wanted: (is) => is === expected,
    timeoutMs: 60_000,
  });
}

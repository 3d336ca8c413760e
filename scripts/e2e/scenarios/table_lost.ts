/**
 * Somebody else removes Lightpath's table from a node's kernel, or what is in it.
 * @module
 */
import { until } from "../../../commands/testing/until.ts";
import { ECHO_PORTS, service } from "../manifests.ts";
import type { Scenario } from "../scenario.ts";
import { BESIDE, PROXY_NAME_LABEL } from "./_words.ts";

/** What strangers do, e.g. with a firewall's script. */
const ATTACKS: readonly (readonly string[])[] = [
  ["delete", "table", "inet", "lightpath"],
  ["flush", "table", "inet", "lightpath"],
  // kube-proxy's too, which is not waited for here.
  ["flush", "ruleset"],
];

export const tableLost: Scenario = {
  name: "table-lost",
  title: "the node's nft table is deleted or flushed by somebody else, and comes back",
  installation: BESIDE,
  run: async ({ cluster, stage }) => {
    const labels = { [PROXY_NAME_LABEL]: "lightpath.cloud" };
    await using kept = await stage.service(service("kept", { app: "echo", ports: ECHO_PORTS, labels }));
    const [node] = cluster.nodes;
    const [pod] = stage.pods;
    await stage.untilThroughEnvoy(pod, kept.vip);
    for (const attack of ATTACKS) {
      await cluster.onNode(node, ["nft", ...attack]);
      await until(`the table after nft ${attack.join(" ")}`, () => stage.http(pod, kept.vip), {
        wanted: ({ throughEnvoy }) => throughEnvoy,
        // Nobody compares the table so soon: it is noticed.
        timeoutMs: 10_000,
      });
    }
    return "deleted, flushed, all flushed";
  },
};

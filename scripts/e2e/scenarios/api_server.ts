/**
 * The API server goes and comes back; and its history is lost meanwhile.
 *
 * What changes while agents cannot see it: they are cut off from the API server before it is back, by a filter on the nodes, and
 * let to it again when everything has been changed.
 * @module
 */
import { delay } from "@std/async/delay";
import { until } from "../../../commands/testing/until.ts";
import type { E2eCluster } from "../cluster.ts";
import { ECHO_PORTS, service } from "../manifests.ts";
import type { Scenario } from "../scenario.ts";
import { ECHO_REPLICAS, type Stage } from "../stage.ts";
import { echoTraffic, Traffic } from "../traffic.ts";
import { expect, INSTEAD } from "./_words.ts";

/** The table of the filter. */
const TABLE = "lightpath-e2e";

export const apiDown: Scenario = {
  name: "api-down",
  title: "the API server is away for a while: traffic goes on, and what changed meanwhile is right",
  installation: INSTEAD,
  run: async ({ cluster, stage, options: { apiDownMs } }) => {
    await stage.untilThroughEnvoy(stage.pods[0], stage.vip);
    await using traffic = await Traffic.start(stage, echoTraffic(stage));
    await cluster.stopApiServer();
    // The one clock of the suite: how long is what the scenario is about.
    await delay(apiDownMs);
    await cluster.startApiServer();
    await changesAreRight(stage);
    return `${apiDownMs / 1_000} s; ${await traffic.stopWithoutFailure()}`;
  },
};

export const historyGone: Scenario = {
  name: "history-gone",
  title: "etcd is compacted while agents are cut off: they list anew (410 Gone) and miss nothing",
  installation: INSTEAD,
  run: async ({ cluster, stage }) => {
    const { vip, pods: [pod] } = stage;
    await stage.untilThroughEnvoy(pod, vip);
    await using made = new AsyncDisposableStack();
    const removed = made.use(await stage.service(service("removed", { app: "echo", ports: ECHO_PORTS })));
    await stage.untilThroughEnvoy(pod, removed.vip);
    await using traffic = await Traffic.start(stage, echoTraffic(stage));
    const relistsBefore = await relists(stage);
    await cluster.stopApiServer();
    const added = await cutOff(cluster, async () => {
      await cluster.startApiServer();
      await removed[Symbol.asyncDispose]();
      const fresh = made.use(await stage.service(service("added", { app: "echo", ports: ECHO_PORTS })));
      await stage.scale("echo", ECHO_REPLICAS + 1);
      await stage.untilEndpoints("added", ECHO_REPLICAS + 1);
      await cluster.compactEtcd();
      // What it remembers of the changes would spare the agents the list.
      await cluster.stopApiServer();
      await cluster.startApiServer();
      return fresh;
    });
    await stage.untilThroughEnvoy(pod, added.vip);
    await until("the end of what was removed", () => stage.http(pod, removed.vip), {
      wanted: ({ name }) => name === undefined,
    });
    await stage.scale("echo", ECHO_REPLICAS);
    const relisted = await relists(stage) - relistsBefore;
    // Services and EndpointSlices, on each node; more where a list met an API server that was not ready yet.
    if (relisted < 2 * cluster.nodes.length) throw new Error(`only ${relisted} lists were made anew`);
    return `${relisted} lists anew; ${await traffic.stopWithoutFailure()}`;
  },
};

/** What is changed as soon as the API server is there is what clients meet. */
async function changesAreRight(stage: Stage): Promise<void> {
  const [pod] = stage.pods;
  await stage.scale("echo", ECHO_REPLICAS + 1);
  const late = await stage.service(service("late", { app: "echo", ports: ECHO_PORTS }));
  try {
    await stage.untilThroughEnvoy(pod, late.vip);
    const names = (await stage.podsOf("echo")).map(({ metadata }) => metadata.name).sort();
    const seen = new Set<string>();
    await until("an answer of each pod", async () => {
      seen.add((await stage.http(pod, late.vip)).name ?? "nobody");
      return seen.size;
    }, { wanted: (size) => size >= names.length });
    expect("who answers", [...seen].sort(), names);
  } finally {
    await late[Symbol.asyncDispose]();
  }
  await until("the end of the Service", () => stage.http(pod, late.vip), {
    wanted: ({ name }) => name === undefined,
  });
  await stage.scale("echo", ECHO_REPLICAS);
}

/** Keeps the nodes from the API server while `work` is done. */
async function cutOff<T>(cluster: E2eCluster, work: () => Promise<T>): Promise<T> {
  const { host, port } = cluster.apiServer;
  const chain = "{ type filter hook output priority 0; }";
  for (const node of cluster.nodes) {
    await cluster.onNode(node, ["nft", `add table inet ${TABLE}; add chain inet ${TABLE} output ${chain}`]);
    const rule = `ip daddr ${host} tcp dport ${port} reject with tcp reset`;
    await cluster.onNode(node, ["nft", `add rule inet ${TABLE} output ${rule}`]);
  }
  try {
    return await work();
  } finally {
    for (const node of cluster.nodes) await cluster.onNode(node, ["nft", "delete", "table", "inet", TABLE]);
  }
}

/** How often agents have begun from the beginning, as they say themselves. */
async function relists(stage: Stage): Promise<number> {
  let count = 0;
  for (const node of stage.cluster.nodes) {
    const { metadata } = await stage.lightpathOn(node);
    const log = await stage.cluster.logOf({
      namespace: "lightpath-system",
      pod: metadata.name,
      container: "agent",
    });
    count += log.split("listing again from the beginning").length - 1;
  }
  return count;
}

/**
 * Agent and Envoy are killed under traffic, each on one node.
 * @module
 */
import { ECHO_PORTS, service } from "../manifests.ts";
import type { Scenario } from "../scenario.ts";
import { echoTraffic, Traffic } from "../traffic.ts";
import { INSTEAD, killAndAwait } from "./_words.ts";

export const agentKilled: Scenario = {
  name: "agent-killed",
  title: "the agent is killed: clients do not notice, and the next one goes on",
  installation: INSTEAD,
  run: async ({ cluster, stage }) => {
    await stage.untilThroughEnvoy(stage.pods[0], stage.vip);
    await using traffic = await Traffic.start(stage, echoTraffic(stage));
    await killAndAwait(stage, { node: cluster.nodes[0], container: "agent" });
    await using fresh = await stage.service(service("after-agent", { app: "echo", ports: ECHO_PORTS }));
    await stage.untilThroughEnvoy(stage.pods[0], fresh.vip);
    return await traffic.stopWithoutFailure();
  },
};

export const envoyKilled: Scenario = {
  name: "envoy-killed",
  title:
    "Envoy is killed: what is under way through it breaks and nothing else; the kernel serves until the next one does",
  installation: INSTEAD,
  run: async ({ cluster, stage }) => {
    await stage.untilThroughEnvoy(stage.pods[0], stage.vip);
    const kinds = echoTraffic(stage);
    await using traffic = await Traffic.start(stage, kinds);
    await killAndAwait(stage, { node: cluster.nodes[0], container: "envoy" });
    await stage.untilThroughEnvoy(stage.pods[0], stage.vip);
    const { requests, failed, errors, maxMs } = await traffic.stop();
    const refused = Object.keys(errors).filter((error) => /refused|timed? ?out/i.test(error));
    // A client has one request under way at most, and the killed Envoy is that of one node.
    if (failed > kinds.length || refused.length > 0) {
      throw new Error(`${failed} of ${requests} requests failed: ${JSON.stringify(errors)}`);
    }
    return `${failed} of ${requests} requests were cut off, none was refused; the longest took ${
      Math.round(maxMs)
    } ms`;
  },
};

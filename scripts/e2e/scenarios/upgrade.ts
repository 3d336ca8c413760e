/**
 * The agent of the commit before is replaced by this one, node by node, while clients are served.
 * @module
 */
import type { Scenario } from "../scenario.ts";
import { echoTraffic, Traffic } from "../traffic.ts";
import { INSTEAD } from "./_words.ts";

export const upgrade: Scenario = {
  name: "upgrade",
  title: "from the previous commit's version to this one under traffic",
  installation: { mode: "instead of kube-proxy", version: "previous" },
  run: async ({ stage, install }) => {
    for (const pod of stage.pods) await stage.untilThroughEnvoy(pod, stage.vip);
    await using traffic = await Traffic.start(stage, echoTraffic(stage));
    await install(INSTEAD);
    for (const pod of stage.pods) await stage.untilThroughEnvoy(pod, stage.vip);
    return await traffic.stopWithoutFailure();
  },
};

/**
 * The echo deployment grows, shrinks and is replaced pod by pod, while clients are served.
 * @module
 */
import type { Scenario } from "../scenario.ts";
import { ECHO_REPLICAS } from "../stage.ts";
import { echoTraffic, Traffic } from "../traffic.ts";
import { expect, INSTEAD } from "./_words.ts";

export const rollout: Scenario = {
  name: "rollout",
  title: "pods are added, taken away and restarted one by one under traffic",
  installation: INSTEAD,
  run: async ({ stage }) => {
    await stage.untilThroughEnvoy(stage.pods[0], stage.vip);
    await using traffic = await Traffic.start(stage, echoTraffic(stage));
    await stage.scale("echo", ECHO_REPLICAS + 3);
    await stage.scale("echo", 2);
    await stage.restart("echo");
    await stage.scale("echo", ECHO_REPLICAS);
    const serving = (await stage.podsOf("echo")).map(({ metadata }) => metadata.name);
    const words = await traffic.stopWithoutFailure();
    // Enough of them that each of so few pods has some.
    const asked = await stage.ask(
      stage.pods[0],
      Array.from({ length: 10 * ECHO_REPLICAS }, () => ({ protocol: "http", host: stage.vip, port: 80 })),
    );
    const names = new Set(
      asked.flat().map(({ body = "" }) => /^Hostname: (\S+)/m.exec(body)?.[1] ?? "nobody"),
    );
    expect("who answers in the end", [...names].sort(), serving.sort());
    return words;
  },
};

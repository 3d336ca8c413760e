/**
 * A Service's annotation is set, changed and removed, and holds for the next request.
 * @module
 */
import { until } from "../../../commands/testing/until.ts";
import { ECHO_PORTS, service } from "../manifests.ts";
import type { Scenario } from "../scenario.ts";
import { INSTEAD } from "./_words.ts";

const NAME = "config.lightpath.cloud/request-timeout";
const PATH = "/api/v1/namespaces/default/services/slow";

export const annotation: Scenario = {
  name: "annotation",
  title:
    "a timeout that is written on a Service holds from the next request on, and goes with its annotation",
  installation: INSTEAD,
  run: async ({ cluster, stage }) => {
    const [pod] = stage.pods;
    await using slow = await stage.service(service("slow", { app: "echo", ports: ECHO_PORTS }));
    const untilStatus = async (expected: number): Promise<void> => {
      const ask = async (): Promise<number> =>
        (await stage.http(pod, slow.vip, { path: "/delay/700ms" })).status;
      await until(`status ${expected}`, ask, { wanted: (status) => status === expected });
    };
    const annotate = (value: string | null): Promise<void> =>
      cluster.api.patch(PATH, { metadata: { annotations: { [NAME]: value } } });
    await untilStatus(200);
    for (const [value, status] of [["200ms", 504], ["5s", 200], ["100ms", 504], [null, 200]] as const) {
      await annotate(value);
      await untilStatus(status);
    }
    return "200ms, 5s, 100ms, none";
  },
};

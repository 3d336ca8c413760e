/**
 * A UDP Service, as of a name server: each query by itself, and a client that keeps its port when the pod it talks to goes.
 * @module
 */
import { until } from "../../../commands/testing/until.ts";
import { whoami } from "../../lab/mod.ts";
import { objectPath } from "../../lab/object_path.ts";
import { dnsDeployment, service } from "../manifests.ts";
import type { Scenario } from "../scenario.ts";
import type { Stage } from "../stage.ts";
import { expect, INSTEAD } from "./_words.ts";

/** Asks from one port four times a second, and prints who answered. */
const CLIENT = `
import json, socket, sys, time
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.settimeout(0.25)
asker.connect((sys.argv[1], 53))
while True:
    try:
        asker.send(b"who\\n")
        print("answered by", json.loads(asker.recv(4096))["name"], flush=True)
        time.sleep(0.25)
    except OSError as error:
        print("not answered:", error, flush=True)
`;

export const udp: Scenario = {
  name: "udp",
  title: "UDP queries are spread, and a client that keeps its port outlives its server",
  installation: INSTEAD,
  run: async ({ cluster, stage }) => {
    const deployment = dnsDeployment(cluster.images, 2);
    await using made = new AsyncDisposableStack();
    await cluster.api.apply(deployment);
    made.defer(() => cluster.api.remove(objectPath(deployment)));
    const { vip } = made.use(
      await stage.service(
        service("dns", {
          app: "dns",
          ports: [{ name: "dns", protocol: "UDP", port: 53, targetPort: "dns" }],
        }),
      ),
    );
    await stage.untilDeployed("dns");
    await stage.untilEndpoints("dns", 2);
    const pods = (await stage.podsOf("dns")).map(({ metadata }) => metadata.name).sort();
    await until("both servers' answers", () => askMany(stage, vip), {
      wanted: (names) => JSON.stringify(names) === JSON.stringify(pods),
    });

    const client = cluster.spawn(stage.pods[0], ["python3", "-u", "-c", CLIENT, vip]);
    made.defer(async () => void await client.stop());
    const server = (await client.waitForLine(/^answered by /)).slice("answered by ".length);
    const other = pods.find((name) => name !== server) ?? "";
    await cluster.api.remove(`/api/v1/namespaces/default/pods/${server}`);
    await client.waitForLine(new RegExp(`^answered by (?!${server})`), { timeoutMs: 30_000 });
    await stage.untilDeployed("dns");
    const after = (await stage.podsOf("dns")).map(({ metadata }) => metadata.name);
    expect("the pod that stayed is there", after.includes(other), true);
    return "40 of 40 queries answered, by both";
  },
};

/** @returns who answered, each once; with `nobody` where there was no answer */
async function askMany(stage: Stage, host: string): Promise<string[]> {
  const attempts = await stage.ask(
    stage.pods[1],
    Array.from({ length: 40 }, () => ({ protocol: "udp", host, port: 53, timeoutMs: 1_000 })),
  );
  return [...new Set(attempts.flat().map((attempt) => whoami(attempt)?.name ?? "nobody"))].sort();
}

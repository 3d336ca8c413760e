/**
 * The echo deployment is reached by everything that leads to it, from everywhere.
 * @module
 */
import { LOAD_BALANCER_IP, type Place } from "../cluster.ts";
import type { Scenario } from "../scenario.ts";
import { type Echo, NODE_PORTS, type PodObject, readEcho, type Stage } from "../stage.ts";
import { expect, INSTEAD } from "./_words.ts";

/** A way to the Service. */
interface Way {
  readonly title: string;
  readonly host: string;
  readonly port: number;
}

export const reach: Scenario = {
  name: "reach",
  title: "VIP, NodePort and load balancer's IP answer to pods, nodes and the outside",
  installation: INSTEAD,
  run: async ({ cluster, stage }) => {
    const { pods, onNodes, vip, vip6 } = stage;
    const [a, b] = cluster.nodes;
    for (const place of pods) await stage.untilThroughEnvoy(place, vip);
    const ways: readonly Way[] = [
      { title: "VIP", host: vip, port: 80 },
      { title: "VIP, IPv6", host: vip6, port: 80 },
      { title: `NodePort of ${a.name}`, host: a.ipv4, port: NODE_PORTS.http },
      { title: `NodePort of ${b.name}`, host: b.ipv4, port: NODE_PORTS.http },
      { title: `NodePort of ${b.name}, IPv6`, host: b.ipv6, port: NODE_PORTS.http },
      { title: "load balancer's IP", host: LOAD_BALANCER_IP, port: 80 },
    ];
    const names = new Set((await stage.podsOf("echo")).map(({ metadata }) => metadata.name));
    const places: readonly (readonly [string, Place])[] = [
      ["a pod", pods[0]],
      ["a pod of the other node", pods[1]],
      ["a node", onNodes[0]],
      ["the other node", onNodes[1]],
      ["outside", "outside"],
    ];
    const wrong =
      (await Promise.all(places.map(([title, place]) => askAll(stage, { title, place, ways, names }))))
        .flat();
    if (wrong.length > 0) throw new Error(wrong.join("; "));
    await seesClient(stage);
    return `${
      places.length * ways.length
    } ways by HTTP, all through Envoy; pods are seen by their own address`;
  },
};

/** @returns what was not as it should be */
async function askAll(stage: Stage, { title, place, ways, names }: {
  readonly title: string;
  readonly place: Place;
  readonly ways: readonly Way[];
  readonly names: ReadonlySet<string>;
}): Promise<string[]> {
  const answers = await stage.ask(place, ways.map(({ host, port }) => ({ protocol: "http", host, port })));
  return answers.flatMap(([attempt], index) => {
    const echo = readEcho(attempt);
    const isRight = echo.name !== undefined && names.has(echo.name) && echo.throughEnvoy;
    return isRight ? [] : [`from ${title} to ${ways[index]?.title}: ${inWords(echo)}`];
  });
}

/** A pod's own address reaches the endpoint. */
async function seesClient(stage: Stage): Promise<void> {
  const client = "client-a";
  const { status } = await stage.cluster.api.get<PodObject>(`/api/v1/namespaces/default/pods/${client}`);
  const { source } = await stage.http({ pod: client }, stage.vip);
  expect("the client, as the endpoint saw it", source, status.podIPs?.[0]?.ip);
}

function inWords({ name, outcome, status, throughEnvoy }: Echo): string {
  if (name === undefined) return outcome === "answered" ? `status ${status}` : outcome;
  return throughEnvoy ? `answered by ${name}, which is no pod of the deployment` : "past Envoy";
}

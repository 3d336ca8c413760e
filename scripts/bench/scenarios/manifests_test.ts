import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { SCENARIO_NAMES, SCENARIOS, SIDES } from "./catalog.ts";
import type { KubeObject } from "../../lab/object_path.ts";
import { readPlay, scaledArgs, selectedBy, sideOf, slowed } from "./manifests.ts";
import { PERCENTILES } from "./load.ts";
import { buildPlay } from "./mod.ts";
import { testUnless } from "../../lab/testing.ts";
import { progress } from "../../tool_path.ts";
import { ensureTool } from "../../tools/mod.ts";

const kustomize = await ensureTool("kustomize", { onProgress: progress });

const CONTAINER = {
  env: [
    { name: "FROM_LABEL", valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
    { name: "FROM_MAP", valueFrom: { configMapKeyRef: { name: "words", key: "a" } } },
    { name: "SAID", value: "here" },
  ],
};

function object(
  kind: string,
  name: string,
  rest: Readonly<Record<string, unknown>>,
  metadata = {},
): KubeObject {
  return { apiVersion: "v1", kind, metadata: { name, namespace: "one", ...metadata }, ...rest };
}

function deployment(
  name: string,
  labels: Readonly<Record<string, string>>,
  container: unknown = CONTAINER,
): KubeObject {
  return object("Deployment", name, {
    spec: { replicas: 3, template: { metadata: { labels }, spec: { containers: [container] } } },
  });
}

const WORDS = object("ConfigMap", "words", { data: { a: "from the map" } });
const SERVICE = object("Service", "echo", {
  spec: { selector: { app: "echo" }, ports: [{ name: "http", port: 80 }] },
});

Deno.test("readPlay() finds a replica's environment where a cluster would, and a Service's replicas by their labels", () => {
  const elsewhere = deployment("elsewhere", { app: "echo" }, {});
  const play = readPlay([
    ...[WORDS, SERVICE, deployment("fast", { app: "echo", speed: "1" }), deployment("other", { app: "x" })],
    { ...elsewhere, metadata: { name: "elsewhere", namespace: "two" } },
  ]);
  assertEquals(play.deployments[0]?.environment, {
    FROM_LABEL: "echo",
    FROM_MAP: "from the map",
    SAID: "here",
  });
  assertEquals(selectedBy(play.services[0]!, play.deployments).map(({ name }) => name), ["fast"]);
});

Deno.test("readPlay() refuses what the lab would play otherwise than a cluster", () => {
  const refused: readonly (readonly [KubeObject, string])[] = [
    [object("StatefulSet", "db", {}), "StatefulSet db: the lab does not play that"],
    [deployment("echo", {}), "Deployment echo: where FROM_LABEL comes from is not played"],
    [object("Service", "echo", { spec: { ports: [{}, {}] } }), "Service echo: one port is played"],
    [
      object("Job", "load", { spec: { template: {} } }, {
        annotations: { "bench.lightpath.cloud/during": "noon" },
      }),
      'Job load: bench.lightpath.cloud/during is "noon", which is not played',
    ],
  ];
  for (const [one, words] of refused) assertThrows(() => readPlay([WORDS, one]), Error, words);
});

Deno.test("slowed() makes replicas slower, those that were slow already too", () => {
  const slow = { env: [{ name: "MOCK_SLOWDOWN", value: "20" }] };
  const { deployments } = slowed(readPlay([deployment("usual", {}, {}), deployment("slow", {}, slow)]), 4);
  assertEquals(deployments.map(({ environment }) => environment["MOCK_SLOWDOWN"]), ["4", "80"]);
});

Deno.test("scaledArgs() changes rate and duration, and wants both to be there", () => {
  const wanted = { qpsScale: 0.5, durationMs: 1500 };
  assertEquals(scaledArgs(["load", "-qps=500", "-t=60s", "http://a/"], wanted), [
    "load",
    "-qps=250",
    "-t=1500ms",
    "http://a/",
  ]);
  assertThrows(() => scaledArgs(["load", "-t=60s"], wanted), Error, "a load without -qps or -t");
});

testUnless(
  "each scenario of deploy/bench can be played, and is in the catalog",
  { unavailable: [kustomize.unavailable] },
  async () => {
    const folders = [...Deno.readDirSync(new URL("../../../deploy/bench/scenarios/", import.meta.url))];
    assertEquals(folders.map(({ name }) => name).sort(), [...SCENARIO_NAMES].sort());
    for (const name of SCENARIO_NAMES) {
      const { loads, services, deployments } = await buildPlay(name, kustomize.path ?? "");
      const sides = loads.map((load) => sideOf(load, services)).sort();
      assertEquals([name, sides], [name, SCENARIOS[name].isParallel === true ? [...SIDES] : ["kube-proxy"]]);
      for (const { args } of loads) {
        assertEquals(args.filter((arg) => arg.startsWith("-p=")), [`-p=${PERCENTILES.join(",")}`]);
        const { hostname } = new URL(args.at(-1)!);
        assert(services.some(({ name }) => name === hostname), `${name} loads ${hostname}`);
      }
      for (const service of services) {
        assert(selectedBy(service, deployments).length > 0, `${name}: nobody is behind ${service.name}`);
      }
    }
  },
);

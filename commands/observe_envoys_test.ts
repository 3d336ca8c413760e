import { assertEquals } from "@std/assert/equals";
import { silentLogger } from "../agent/log.ts";
import { createMetrics } from "../agent/metrics.ts";
import { createReadiness, type Readiness } from "../agent/readiness.ts";
import { ENVOY_VERSION, type StreamObserver } from "../xds/mod.ts";
import { observeEnvoys, type ObserveEnvoysOptions } from "./observe_envoys.ts";

const MINOR = ENVOY_VERSION.split(".").slice(0, 2).join(".");

function observe(
  overrides: Partial<Pick<ObserveEnvoysOptions, "workingSet" | "onProgress">> = {},
): { readonly observer: StreamObserver; readonly readiness: Readiness } {
  const readiness = createReadiness({ envoyConnected: "no Envoy is connected yet" });
  const { xds } = createMetrics({
    families: ["IPv4"],
    build: { version: "0", envoyVersion: ENVOY_VERSION, mode: "on-demand" },
  });
  const observer = observeEnvoys({
    metrics: xds,
    readiness,
    workingSet: { used: () => {}, held: () => {} },
    logger: silentLogger,
    adsAddress: "unix:/ads",
    ...overrides,
  });
  return { observer, readiness };
}

/** `ready`, or the reason cut to its first four words. */
function state(readiness: Readiness): string {
  const [condition] = readiness.report().conditions;
  if (condition === undefined || condition.ok) return "ready";
  return condition.reason.split(" ").slice(0, 4).join(" ");
}

Deno.test("observeEnvoys(): ready while an Envoy of the right minor has what it needs to listen", () => {
  const { observer, readiness } = observe();
  const states: string[] = [];
  const open = (streamId: number, envoyVersion: string): void => {
    observer.onStreamOpen?.({ streamId, nodeId: "node-1", envoyVersion });
    states.push(state(readiness));
  };
  const ack = (streamId: number, envoyVersion: string, type: "Cluster" | "Listener"): void => {
    const stream = { streamId, nodeId: "node-1", envoyVersion };
    observer.onAck?.({ ...stream, type, names: [], latencyMs: 1, waitedMs: [] });
    states.push(state(readiness));
  };
  const close = (streamId: number, envoyVersion: string): void => {
    observer.onStreamClosed?.({ streamId, nodeId: "node-1", envoyVersion, reason: "gone" });
    states.push(state(readiness));
  };
  open(1, "1.39");
  ack(1, "1.39", "Listener");
  open(2, MINOR);
  ack(2, MINOR, "Cluster");
  ack(2, MINOR, "Listener");
  open(3, MINOR);
  close(2, MINOR);
  close(3, MINOR);
  close(1, "1.39");
  assertEquals(states, [
    "Envoy 1.39 is connected,",
    "Envoy 1.39 is connected,",
    "Envoy is connected, and",
    "Envoy is connected, and",
    "ready",
    "ready",
    "Envoy is connected, and",
    "Envoy 1.39 is connected,",
    "no Envoy is connected",
  ]);
});

Deno.test("observeEnvoys(): ready too with an Envoy that refuses a Listener, because it listens without", () => {
  const { observer, readiness } = observe();
  const envoy = { streamId: 1, nodeId: "node-1", envoyVersion: MINOR };
  observer.onStreamOpen?.(envoy);
  observer.onNack?.({ ...envoy, type: "Cluster", name: "a", version: "1", reason: "no" });
  assertEquals(state(readiness), "Envoy is connected, and");
  observer.onNack?.({ ...envoy, type: "Listener", name: "a", version: "1", reason: "no" });
  assertEquals(state(readiness), "ready");
});

Deno.test("observeEnvoys(): ready only with an Envoy that has the routes it asked for, whichever it answers last", () => {
  for (const order of [["RouteConfiguration", "Listener"], ["Listener", "RouteConfiguration"]] as const) {
    const { observer, readiness } = observe();
    const envoy = { streamId: 1, nodeId: "node-1", envoyVersion: MINOR };
    observer.onStreamOpen?.(envoy);
    observer.onSubscribe?.({ ...envoy, type: "RouteConfiguration", names: ["routes"] });
    observer.onNack?.({ ...envoy, type: "RouteConfiguration", name: "routes", version: "1", reason: "no" });
    const states = order.map((type) => {
      observer.onAck?.({ ...envoy, type, names: [], latencyMs: 1, waitedMs: [] });
      return state(readiness);
    });
    assertEquals(states, ["Envoy is connected, and", "ready"]);
  }
});

Deno.test("observeEnvoys(): notes the Clusters Envoy asks for and holds, and nothing else", () => {
  const noted: string[] = [];
  const { observer } = observe({
    workingSet: {
      used: (names) => void noted.push(`used ${names.join()}`),
      held: (names) => void noted.push(`held ${names.join()}`),
    },
  });
  const stream = { streamId: 1, nodeId: "node-1", envoyVersion: MINOR };
  for (const type of ["Cluster", "ClusterLoadAssignment"] as const) {
    observer.onHeld?.({ ...stream, type, names: [`${type}-1`] });
    observer.onSubscribe?.({ ...stream, type, names: [`${type}-2`, `${type}-3`] });
  }
  assertEquals(noted, ["held Cluster-1", "used Cluster-2,Cluster-3"]);
});

Deno.test("observeEnvoys(): each answer of an Envoy, and its end, is progress", () => {
  let progress = 0;
  const { observer } = observe({ onProgress: () => void progress++ });
  const envoy = { streamId: 1, nodeId: "node-1", envoyVersion: MINOR, type: "Cluster" } as const;
  observer.onStreamOpen?.(envoy);
  assertEquals(progress, 0);
  observer.onAck?.({ ...envoy, names: ["a"], latencyMs: 1, waitedMs: [] });
  observer.onNack?.({ ...envoy, name: "a", version: "1", reason: "no" });
  observer.onStreamClosed?.({ ...envoy, reason: "gone" });
  assertEquals(progress, 3);
});

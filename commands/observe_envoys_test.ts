import { assertEquals } from "@std/assert/equals";
import { silentLogger } from "../agent/log.ts";
import { createMetrics } from "../agent/metrics.ts";
import { createReadiness, type Readiness } from "../agent/readiness.ts";
import { ENVOY_VERSION, type StreamObserver } from "../xds/mod.ts";
import { observeEnvoys } from "./observe_envoys.ts";

const MINOR = ENVOY_VERSION.split(".").slice(0, 2).join(".");

function observe(): { readonly observer: StreamObserver; readonly readiness: Readiness } {
  const readiness = createReadiness({ envoyConnected: "no Envoy is connected yet" });
  const { xds } = createMetrics({
    families: ["IPv4"],
    build: { version: "0", envoyVersion: ENVOY_VERSION, mode: "on-demand" },
  });
  const observer = observeEnvoys({ metrics: xds, readiness, logger: silentLogger, adsAddress: "unix:/ads" });
  return { observer, readiness };
}

/** `ready`, or the reason cut to its first four words. */
function state(readiness: Readiness): string {
  const [condition] = readiness.report().conditions;
  if (condition === undefined || condition.ok) return "ready";
  return condition.reason.split(" ").slice(0, 4).join(" ");
}

Deno.test("observeEnvoys(): ready while an Envoy of the right minor is connected", () => {
  const { observer, readiness } = observe();
  const states: string[] = [];
  const open = (streamId: number, envoyVersion: string): void => {
    observer.onStreamOpen?.({ streamId, nodeId: "node-1", envoyVersion });
    states.push(state(readiness));
  };
  const close = (streamId: number, envoyVersion: string): void => {
    observer.onStreamClosed?.({ streamId, nodeId: "node-1", envoyVersion, reason: "gone" });
    states.push(state(readiness));
  };
  open(1, "1.39");
  open(2, MINOR);
  open(3, MINOR);
  close(2, MINOR);
  close(3, MINOR);
  close(1, "1.39");
  assertEquals(states, [
    "Envoy 1.39 is connected,",
    "ready",
    "ready",
    "ready",
    "Envoy 1.39 is connected,",
    "no Envoy is connected",
  ]);
});

import { assertEquals } from "@std/assert/equals";
import { createReadiness } from "../agent/readiness.ts";
import { EnvoyReadiness } from "./envoy_readiness.ts";

Deno.test("EnvoyReadiness: met while an Envoy is fed and sent connections, whichever comes first", () => {
  const readiness = createReadiness({ envoyConnected: "not yet" });
  const envoy = new EnvoyReadiness(readiness, false);
  const reason = (): string => {
    const [condition] = readiness.report().conditions;
    return condition === undefined || condition.ok ? "ready" : condition.reason;
  };
  const steps: readonly (readonly [() => void, string])[] = [
    [() => envoy.met(), "Envoy is connected, but the kernel does not send it connections yet"],
    [() => envoy.sendsConnections(true), "ready"],
    [() => envoy.unmet("envoyConnected", "gone"), "gone"],
    [() => envoy.sendsConnections(false), "gone"],
    [() => envoy.sendsConnections(true), "gone"],
    [() => envoy.met(), "ready"],
  ];
  for (const [step, expected] of steps) {
    step();
    assertEquals(reason(), expected);
  }
});

Deno.test("EnvoyReadiness: where the kernel is left alone it is enough that Envoy is fed", () => {
  const readiness = createReadiness({ envoyConnected: "not yet" });
  new EnvoyReadiness(readiness, true).met();
  assertEquals(readiness.report().ready, true);
});

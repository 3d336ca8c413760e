import { assertEquals } from "@std/assert/equals";
import { createReadiness, renderReadiness } from "./readiness.ts";

Deno.test("ready once every condition is met; until then each missing one has its reason", () => {
  const readiness = createReadiness({ synced: "listing Services", envoyConnected: "no Envoy is connected" });
  const changes: boolean[] = [];
  const stop = readiness.onChange((report) => changes.push(report.ready));
  assertEquals(
    renderReadiness(readiness.report()),
    "not ready: synced: listing Services; envoyConnected: no Envoy is connected",
  );
  readiness.met("synced");
  assertEquals(readiness.report(), {
    ready: false,
    conditions: [
      { name: "synced", ok: true },
      { name: "envoyConnected", ok: false, reason: "no Envoy is connected" },
    ],
  });
  readiness.met("envoyConnected");
  readiness.met("envoyConnected");
  assertEquals(renderReadiness(readiness.report()), "ready");
  readiness.unmet("envoyConnected", "Envoy exited with code 1");
  assertEquals(changes, [true, false]);
  stop();
  readiness.met("envoyConnected");
  assertEquals(changes, [true, false]);
});

Deno.test("a condition that does not apply does not keep it from being ready", () => {
  const readiness = createReadiness({ synced: "listing" });
  readiness.unmet("planApplied", "never");
  readiness.met("synced");
  assertEquals(readiness.report(), { ready: true, conditions: [{ name: "synced", ok: true }] });
});

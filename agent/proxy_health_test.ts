import { assertEquals } from "@std/assert/equals";
import { createProxyHealthTracker, type ProxyHealthTracker } from "./proxy_health.ts";

function tracker(): { health: ProxyHealthTracker; at(milliseconds: number): void } {
  let nowMs = 0;
  const health = createProxyHealthTracker({
    families: ["IPv4", "IPv6"],
    timeoutMs: 60_000,
    now: () => nowMs,
  });
  return { health, at: (milliseconds) => nowMs = milliseconds };
}

Deno.test("the JSON is kube-proxy's, field by field and in its order", () => {
  const { health, at } = tracker();
  const update = health.queued();
  at(1_000);
  update.done();
  at(2_000);
  assertEquals(
    JSON.stringify(health.healthz().body),
    '{"lastUpdated":"1970-01-01T00:00:02.000Z","currentTime":"1970-01-01T00:00:02.000Z","nodeEligible":true,' +
      '"healthy":true,"status":{"IPv4":{"lastUpdated":"1970-01-01T00:00:01.000Z","healthy":true},' +
      '"IPv6":{"lastUpdated":"1970-01-01T00:00:01.000Z","healthy":true}}}',
  );
  assertEquals(Object.keys(health.livez().body), ["lastUpdated", "currentTime", "healthy", "status"]);
});

Deno.test("before the first update it is healthy, however long that takes", () => {
  const { health, at } = tracker();
  health.queued();
  at(3_600_000);
  assertEquals(health.livez(), {
    ok: true,
    body: { lastUpdated: "1970-01-01T01:00:00.000Z", currentTime: "1970-01-01T01:00:00.000Z", healthy: true },
  });
});

Deno.test("a change that waits for the timeout makes both unhealthy, and lastUpdated stays at the truth", () => {
  const { health, at } = tracker();
  health.queued().done();
  at(10_000);
  const update = health.queued();
  at(69_999);
  assertEquals([health.healthz().ok, health.livez().ok], [true, true]);
  at(70_000);
  assertEquals([health.healthz().ok, health.livez().ok], [false, false]);
  assertEquals(health.livez().body.lastUpdated, "1970-01-01T00:00:00.000Z");
  assertEquals(health.livez().body.status?.IPv6?.healthy, false);
  update.done();
  assertEquals([health.healthz().ok, health.livez().ok], [true, true]);
});

Deno.test("a change that hangs is not hidden by later ones that finish", () => {
  const { health, at } = tracker();
  health.queued().done();
  health.queued();
  at(50_000);
  health.queued().done();
  at(60_000);
  assertEquals(health.livez().ok, false);
});

Deno.test("a node on its way out fails /healthz only", () => {
  const { health } = tracker();
  health.setNodeEligible(false);
  assertEquals([health.healthz().ok, health.healthz().body.nodeEligible, health.livez().ok], [
    false,
    false,
    true,
  ]);
});

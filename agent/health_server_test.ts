import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { assertThrows } from "@std/assert/throws";
import { startHealthServer, startMetricsServer } from "./health_server.ts";
import { BindError, type HttpServer } from "./http_server.ts";
import { silentLogger } from "./log.ts";
import { createProxyHealthTracker } from "./proxy_health.ts";
import { createReadiness } from "./readiness.ts";

const ANY_PORT = { hostname: "127.0.0.1", port: 0 };

async function get(
  server: HttpServer,
  path: string,
  method = "GET",
): Promise<{ response: Response; text: string }> {
  const response = await fetch(`http://127.0.0.1:${server.address.port}${path}`, { method });
  return { response, text: await response.text() };
}

Deno.test("/healthz and /livez answer kube-proxy's JSON and codes, and are counted", async () => {
  let nowMs = 0;
  const health = createProxyHealthTracker({ families: ["IPv4"], timeoutMs: 1_000, now: () => nowMs });
  const probes: string[] = [];
  await using server = startHealthServer({
    address: ANY_PORT,
    health,
    readiness: createReadiness({}),
    onProbe: (path, code) => probes.push(`${path} ${code}`),
    logger: silentLogger,
  });
  health.queued().done();
  const good = await get(server, "/healthz");
  assertEquals(good.response.status, 200);
  assertEquals(good.response.headers.get("content-type"), "application/json");
  assertEquals(good.response.headers.get("x-content-type-options"), "nosniff");
  assertEquals(JSON.parse(good.text), {
    lastUpdated: "1970-01-01T00:00:00.000Z",
    currentTime: "1970-01-01T00:00:00.000Z",
    nodeEligible: true,
    healthy: true,
    status: { IPv4: { lastUpdated: "1970-01-01T00:00:00.000Z", healthy: true } },
  });
  health.setNodeEligible(false);
  assertEquals((await get(server, "/healthz?verbose")).response.status, 503);
  assertEquals((await get(server, "/livez")).response.status, 200);
  health.queued();
  nowMs = 1_000;
  assertEquals((await get(server, "/livez")).response.status, 503);
  assertEquals(probes, ["healthz 200", "healthz 503", "livez 200", "livez 503"]);
});

Deno.test("/readyz tells which condition is missing and why", async () => {
  const readiness = createReadiness({ synced: "listing Services", envoyConnected: "no Envoy is connected" });
  await using server = startHealthServer({
    address: ANY_PORT,
    health: createProxyHealthTracker({ families: ["IPv4"] }),
    readiness,
    logger: silentLogger,
  });
  readiness.met("synced");
  const not = await get(server, "/readyz");
  assertEquals(not.response.status, 503);
  assertEquals(JSON.parse(not.text), {
    ready: false,
    conditions: [
      { name: "synced", ok: true },
      { name: "envoyConnected", ok: false, reason: "no Envoy is connected" },
    ],
  });
  readiness.met("envoyConnected");
  assertEquals((await get(server, "/readyz")).response.status, 200);
  assertEquals((await get(server, "/")).response.status, 404);
  assertEquals((await get(server, "/readyz", "POST")).response.status, 405);
});

const envoyStatistics = (): Promise<string> => Promise.reject(new Error("nobody asks"));

Deno.test("the metrics server answers /metrics, /healthz and /proxyMode, and points at them elsewhere", async () => {
  await using server = startMetricsServer({
    address: ANY_PORT,
    metrics: { contentType: "text/plain; version=0.0.4", render: () => Promise.resolve("up 1\n") },
    envoyStatistics,
    logger: silentLogger,
  });
  const metrics = await get(server, "/metrics");
  assertEquals([metrics.text, metrics.response.headers.get("content-type")], [
    "up 1\n",
    "text/plain; version=0.0.4",
  ]);
  assertEquals((await get(server, "/healthz")).text, "ok");
  assertEquals((await get(server, "/proxyMode")).text, "lightpath");
  const elsewhere = await get(server, "/");
  assertEquals(elsewhere.response.status, 404);
  assertStringIncludes(elsewhere.text, "/metrics");
});

Deno.test("the metrics server passes Envoy's statistics on, or says why there are none", async () => {
  const answers = [
    () => Promise.resolve("envoy_up 1\n"),
    () => Promise.reject(new Error("it does not answer")),
  ];
  await using server = startMetricsServer({
    address: ANY_PORT,
    metrics: { contentType: "text/plain", render: () => Promise.resolve("up 1\n") },
    envoyStatistics: () => answers.shift()!(),
    logger: silentLogger,
  });
  const had = await get(server, "/metrics/envoy");
  assertEquals([had.response.status, had.text], [200, "envoy_up 1\n"]);
  assertEquals(had.response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const not = await get(server, "/metrics/envoy");
  assertEquals([not.response.status, not.text], [503, "it does not answer\n"]);
  assertEquals((await get(server, "/metrics")).response.status, 200);
});

Deno.test("metrics that cannot be rendered are a 500, not the end", async () => {
  await using server = startMetricsServer({
    address: ANY_PORT,
    metrics: { contentType: "text/plain", render: () => Promise.reject(new Error("no")) },
    envoyStatistics,
    logger: silentLogger,
  });
  assertEquals((await get(server, "/metrics")).response.status, 500);
  assertEquals((await get(server, "/healthz")).response.status, 200);
});

Deno.test("a port in use is one clear sentence", async () => {
  const metrics = { contentType: "text/plain", render: () => Promise.resolve("") };
  await using server = startMetricsServer({
    address: ANY_PORT,
    metrics,
    envoyStatistics,
    logger: silentLogger,
  });
  const error = assertThrows(
    () => startMetricsServer({ address: server.address, metrics, envoyStatistics, logger: silentLogger }),
    BindError,
  );
  assertEquals(
    error.message,
    `cannot listen on 127.0.0.1:${server.address.port} (--metrics-bind-address): ` +
      "the port is in use; is kube-proxy or another Lightpath running on this node?",
  );
});

Deno.test("a request that never ends does not hold up the shutdown", async () => {
  const asked = Promise.withResolvers<void>();
  const never = Promise.withResolvers<string>();
  const render = (): Promise<string> => {
    asked.resolve();
    return never.promise;
  };
  const metrics = { contentType: "text/plain", render };
  const server = startMetricsServer({ address: ANY_PORT, metrics, envoyStatistics, logger: silentLogger });
  using client = await Deno.connect(server.address);
  await client.write(new TextEncoder().encode("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
  await asked.promise;
  await server[Symbol.asyncDispose]();
});

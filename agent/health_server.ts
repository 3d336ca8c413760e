/**
 * Serves health and metrics over HTTP, at the addresses and paths where kube-proxy's users look for them.
 *
 * In: an address, and the values to answer with, asked for at each request. Out: a listening {@linkcode HttpServer}.
 * - health: `/healthz` and `/livez` (kube-proxy's JSON, 200 or 503), `/readyz` (JSON with reasons, 200 or 503).
 * - metrics: `/metrics` (Prometheus text), `/healthz` (`ok`) and `/proxyMode`, as kube-proxy's metrics server has them; and
 *   `/metrics/envoy`, Envoy's in the same format, or 503 and why not. Apart from the agent's, so that each can be scraped as
 *   often as it is worth, and that the agent's do not fail with Envoy.
 * Source: Kubernetes `pkg/proxy/healthcheck/proxy_health.go` and `cmd/kube-proxy/app/server.go`, v1.36.
 * @module
 */

import { type HttpServer, json, listen, plain, respond } from "./http_server.ts";
import type { Logger } from "./log.ts";
import type { ProxyHealthTracker } from "./proxy_health.ts";
import type { Readiness } from "./readiness.ts";
import type { HostPort } from "./setting_values.ts";

/** Source: Prometheus, "Exposition formats". */
const PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8";

/** What {@linkcode startHealthServer} needs. */
export interface HealthServerOptions {
  readonly address: HostPort;
  readonly health: ProxyHealthTracker;
  readonly readiness: Readiness;
  /** Told of each answer of `/healthz` and `/livez`. */
  readonly onProbe?: (path: "healthz" | "livez", code: 200 | 503) => void;
  readonly logger: Logger;
}

/** What {@linkcode startMetricsServer} needs. */
export interface MetricsServerOptions {
  readonly address: HostPort;
  /** The metrics, and their content type. */
  readonly metrics: { readonly contentType: string; render(): Promise<string> };
  /** Envoy's, in the text format of Prometheus. Rejects with the reason when there are none to be had. */
  readonly envoyStatistics: () => Promise<string>;
  readonly logger: Logger;
}

/**
 * Serves `/healthz`, `/livez` and `/readyz`.
 * @throws {BindError} when the address cannot be listened on
 */
export function startHealthServer(options: HealthServerOptions): HttpServer {
  const { health, readiness, onProbe } = options;
  return listen({ ...options, usedFor: "--healthz-bind-address" }, (path) => {
    switch (path) {
      case "/healthz":
      case "/livez": {
        const name = path === "/healthz" ? "healthz" : "livez";
        const { ok, body } = health[name]();
        const code = ok ? 200 : 503;
        onProbe?.(name, code);
        return json(body, code);
      }
      case "/readyz": {
        const report = readiness.report();
        return json(report, report.ready ? 200 : 503);
      }
      default:
        return plain("not found: there are /healthz, /livez and /readyz", 404);
    }
  });
}

/**
 * Serves `/metrics`, `/metrics/envoy`, `/healthz` and `/proxyMode`.
 * @throws {BindError} when the address cannot be listened on
 */
export function startMetricsServer(options: MetricsServerOptions): HttpServer {
  const { metrics, envoyStatistics } = options;
  return listen({ ...options, usedFor: "--metrics-bind-address" }, async (path) => {
    switch (path) {
      case "/metrics":
        return respond(await metrics.render(), 200, metrics.contentType);
      case "/metrics/envoy":
        return await envoyStatistics().then(
          (text) => respond(text, 200, PROMETHEUS_TEXT),
          (error) => plain(error instanceof Error ? error.message : String(error), 503),
        );
      case "/healthz":
        return respond("ok", 200, "text/plain; charset=utf-8");
      case "/proxyMode":
        return respond("lightpath", 200, "text/plain; charset=utf-8");
      default:
        return plain("not found: there are /metrics, /metrics/envoy, /healthz and /proxyMode", 404);
    }
  });
}

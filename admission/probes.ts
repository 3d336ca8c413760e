/**
 * Serves the webhook's health and metrics, at the addresses and paths the agent has them.
 *
 * In: an address, and the values to answer with. Out: a listening {@linkcode HttpServer}.
 * - health: `/healthz` and `/livez` (`ok` for as long as the process answers), `/readyz` (JSON with reasons, 200 or 503).
 * - metrics: `/metrics` (Prometheus text).
 * @module
 */
import { type HttpServer, json, listen, plain, respond } from "../agent/http_server.ts";
import type { HostPort } from "../agent/config.ts";
import type { Logger } from "../agent/log.ts";
import type { Readiness } from "../agent/readiness.ts";
import type { AdmissionMetrics } from "./metrics.ts";

/** Serves `/healthz`, `/livez` and `/readyz`. @throws {BindError} */
export function startProbeServer(
  options: { readonly address: HostPort; readonly readiness: Readiness; readonly logger: Logger },
): HttpServer {
  return listen({ ...options, usedFor: "--healthz-bind-address" }, (path) => {
    switch (path) {
      case "/healthz":
      case "/livez":
        return plain("ok", 200);
      case "/readyz": {
        const report = options.readiness.report();
        return json(report, report.ready ? 200 : 503);
      }
      default:
        return plain("not found: there are /healthz, /livez and /readyz", 404);
    }
  });
}

/** Serves `/metrics`. @throws {BindError} */
export function startAdmissionMetricsServer(
  options: { readonly address: HostPort; readonly metrics: AdmissionMetrics; readonly logger: Logger },
): HttpServer {
  const { metrics } = options;
  return listen({ ...options, usedFor: "--metrics-bind-address" }, async (path) => {
    if (path !== "/metrics") return plain("not found: there is /metrics", 404);
    return respond(await metrics.render(), 200, metrics.contentType);
  });
}

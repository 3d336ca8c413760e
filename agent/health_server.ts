/**
 * Serves health and metrics over HTTP, at the addresses and paths where kube-proxy's users look for them.
 *
 * In: an address, and the values to answer with, asked for at each request. Out: a listening {@linkcode HttpServer}.
 * - health: `/healthz` and `/livez` (kube-proxy's JSON, 200 or 503), `/readyz` (JSON with reasons, 200 or 503).
 * - metrics: `/metrics` (Prometheus text), `/healthz` (`ok`) and `/proxyMode`, as kube-proxy's metrics server has them.
 * Invariants: reads only, so only GET and HEAD; no answer is kept by a cache; a client cannot make the agent end.
 * Source: Kubernetes `pkg/proxy/healthcheck/proxy_health.go` and `cmd/kube-proxy/app/server.go`, v1.36.
 * @module
 */

import type { Logger } from "./log.ts";
import type { ProxyHealthTracker } from "./proxy_health.ts";
import type { Readiness } from "./readiness.ts";
import { type HostPort, renderHostPort } from "./setting_values.ts";

/** A server that listens. */
export interface HttpServer extends AsyncDisposable {
  /** Where it listens; the port is the real one when 0 was asked for. */
  readonly address: HostPort;
}

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
  readonly logger: Logger;
}

/** The address cannot be listened on. The message is one sentence for the operator. */
export class BindError extends Error {
  override readonly name = "BindError";
}

/**
 * Serves `/healthz`, `/livez` and `/readyz`.
 * @throws {BindError} when the address cannot be listened on
 */
export function startHealthServer(options: HealthServerOptions): HttpServer {
  const { health, readiness, onProbe } = options;
  return listen({ ...options, flag: "--healthz-bind-address" }, (path) => {
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
 * Serves `/metrics`, `/healthz` and `/proxyMode`.
 * @throws {BindError} when the address cannot be listened on
 */
export function startMetricsServer(options: MetricsServerOptions): HttpServer {
  const { metrics } = options;
  return listen({ ...options, flag: "--metrics-bind-address" }, async (path) => {
    switch (path) {
      case "/metrics":
        return respond(await metrics.render(), 200, metrics.contentType);
      case "/healthz":
        return respond("ok", 200, "text/plain; charset=utf-8");
      case "/proxyMode":
        return respond("lightpath", 200, "text/plain; charset=utf-8");
      default:
        return plain("not found: there are /metrics, /healthz and /proxyMode", 404);
    }
  });
}

/** How long a server that is closed waits for answers under way. */
const SHUTDOWN_GRACE_MS = 500;

interface ListenOptions {
  readonly address: HostPort;
  readonly flag: string;
  readonly logger: Logger;
}

function listen(options: ListenOptions, answer: (path: string) => Response | Promise<Response>): HttpServer {
  const { address, flag, logger } = options;
  /** One for each answer under way: a single promise that all of them race would keep every answer ever given. */
  const cutOffs = new Set<(response: Response) => void>();
  async function unlessCutOff(pending: Response | Promise<Response>): Promise<Response> {
    const { promise, resolve } = Promise.withResolvers<Response>();
    cutOffs.add(resolve);
    try {
      return await Promise.race([pending, promise]);
    } finally {
      cutOffs.delete(resolve);
    }
  }
  try {
    const server = Deno.serve({
      hostname: address.hostname,
      port: address.port,
      onListen: () => {},
      onError: (error) => {
        logger.error("a request could not be answered", { server: flag, reason: String(error) });
        return plain("internal error", 500);
      },
    }, (request) => {
      if (request.method !== "GET" && request.method !== "HEAD") return plain("only GET and HEAD", 405);
      return unlessCutOff(answer(new URL(request.url).pathname));
    });
    return {
      address: { hostname: server.addr.hostname, port: server.addr.port },
      [Symbol.asyncDispose]: async () => {
        // Answers under way are given, but one that does not come does not hold up the shutdown.
        const timer = setTimeout(() => {
          for (const cutOff of cutOffs) cutOff(plain("shutting down", 503));
        }, SHUTDOWN_GRACE_MS);
        try {
          await server.shutdown();
        } finally {
          clearTimeout(timer);
        }
      },
    };
  } catch (error) {
    throw new BindError(
      `cannot listen on ${renderHostPort(address)} (${flag}): ${bindFault(error)}`,
      { cause: error },
    );
  }
}

function bindFault(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return "the port is in use; is kube-proxy or another Lightpath running on this node?";
  }
  if (error instanceof Deno.errors.AddrNotAvailable) return "this node has no such address";
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
    return "not permitted";
  }
  return error instanceof Error ? error.message : String(error);
}

function json(body: unknown, status: number): Response {
  return respond(JSON.stringify(body), status, "application/json");
}

function plain(body: string, status: number): Response {
  return respond(`${body}\n`, status, "text/plain; charset=utf-8");
}

function respond(body: string, status: number, contentType: string): Response {
  return new Response(body, {
    status,
    headers: {
      "content-type": contentType,
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
    },
  });
}

/**
 * Serves HTTP on an address of this node: what health, metrics and health checks of Services have in common.
 *
 * In: an address, what to answer. Out: a listening {@linkcode HttpServer}.
 * Invariants: reads only, so only GET and HEAD unless the caller says otherwise; no answer is kept by a cache; a client can
 * neither make the agent end nor hold up its end.
 * @module
 */

import type { Logger } from "./log.ts";
import { type HostPort, renderHostPort } from "./setting_values.ts";

/** A server that listens. */
export interface HttpServer extends AsyncDisposable {
  /** Where it listens; the port is the real one when 0 was asked for. */
  readonly address: HostPort;
}

/** The address cannot be listened on. The message is one sentence for the operator. */
export class BindError extends Error {
  override readonly name = "BindError";

  constructor({ address, usedFor }: Pick<ListenOptions, "address" | "usedFor">, cause: unknown) {
    super(`cannot listen on ${renderHostPort(address)} (${usedFor}): ${bindFault(cause)}`, { cause });
  }
}

/** What {@linkcode listen} needs. */
export interface ListenOptions {
  readonly address: HostPort;
  /** What the server is for, in errors: the flag or the field that names the port. */
  readonly usedFor: string;
  /** Whether other methods than GET and HEAD are answered too. @default false */
  readonly anyMethod?: boolean;
  readonly logger: Logger;
}

/** How long a server that is closed waits for answers under way. */
const SHUTDOWN_GRACE_MS = 500;

/**
 * Listens, and answers each request by its path.
 * @throws {BindError} when the address cannot be listened on
 */
export function listen(
  options: ListenOptions,
  answer: (path: string) => Response | Promise<Response>,
): HttpServer {
  const { address, usedFor, anyMethod = false, logger } = options;
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
        logger.error("a request could not be answered", { server: usedFor, reason: String(error) });
        return plain("internal error", 500);
      },
    }, (request) => {
      if (!anyMethod && request.method !== "GET" && request.method !== "HEAD") {
        return plain("only GET and HEAD", 405);
      }
      return unlessCutOff(answer(pathOf(request)));
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
    throw new BindError(options, error);
  }
}

/** Not by way of `URL`, which throws where a client's Host header is no host. */
function pathOf({ url }: Request): string {
  return /^\w+:\/\/[^/?#]*([^?#]+)/.exec(url)?.[1] ?? "/";
}

function bindFault(error: unknown): string {
  // What node:https throws has the system's name of the fault only.
  const code = error instanceof Error && "code" in error ? error.code : "";
  if (error instanceof Deno.errors.AddrInUse || code === "EADDRINUSE") {
    return "the port is in use; is kube-proxy or another Lightpath running on this node?";
  }
  if (error instanceof Deno.errors.AddrNotAvailable || code === "EADDRNOTAVAIL") {
    return "this node has no such address";
  }
  if (
    error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable ||
    code === "EACCES"
  ) {
    return "not permitted";
  }
  return error instanceof Error ? error.message : String(error);
}

/** An answer in JSON. */
export function json(body: unknown, status: number): Response {
  return respond(JSON.stringify(body), status, "application/json");
}

/** An answer in words. */
export function plain(body: string, status: number): Response {
  return respond(`${body}\n`, status, "text/plain; charset=utf-8");
}

/** An answer. */
export function respond(
  body: string,
  status: number,
  contentType: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(body, {
    status,
    headers: {
      ...headers,
      "content-type": contentType,
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
    },
  });
}

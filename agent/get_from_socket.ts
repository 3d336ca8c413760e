/**
 * Asks an HTTP server that listens on a Unix socket, or tells it something: Envoy's admin interface, a running agent.
 *
 * `fetch` knows no Unix sockets. Nothing is kept: each question has a connection of its own.
 * @module
 */
import { request } from "node:http";

/** An answer, complete. */
export interface SocketAnswer {
  readonly status: number;
  readonly body: string;
}

/**
 * Sends a GET.
 * @throws {Error} with Node's `code` when nobody answers; the signal's reason, as cause or itself, when it aborts
 */
export function getFromSocket(
  socketPath: string,
  path: string,
  signal?: AbortSignal,
): Promise<SocketAnswer> {
  return send("GET", socketPath, path, signal);
}

/**
 * Sends a POST without a body.
 * @throws {Error} as `getFromSocket` does
 */
export function postToSocket(socketPath: string, path: string, signal?: AbortSignal): Promise<SocketAnswer> {
  return send("POST", socketPath, path, signal);
}

function send(
  method: "GET" | "POST",
  socketPath: string,
  path: string,
  signal: AbortSignal | undefined,
): Promise<SocketAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<SocketAnswer>();
  const options = { method, socketPath, path, agent: false, ...(signal && { signal }) };
  const outgoing = request(options, (incoming) => {
    let body = "";
    incoming.setEncoding("utf8");
    incoming.on("data", (chunk: string) => body += chunk);
    incoming.on("error", reject);
    incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, body }));
  });
  outgoing.on("error", reject);
  outgoing.end();
  return promise;
}

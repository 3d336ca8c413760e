/**
 * Lets an Envoy that is about to end finish what is under way, once nobody sends it new connections any more.
 *
 * Envoy that is told to fail its health check says `connection: close` with each response of HTTP/1 and goes away gracefully from HTTP/2
 * connections (GOAWAY), so that clients connect anew: to whoever serves then. TCP connections, streams and idle clients stay until the limit.
 *
 * Source: Envoy 1.40, "Draining"; "Administration interface", `POST /healthcheck/fail` and `/healthcheck/ok`, `GET /stats`.
 * @module
 */
import { delay } from "@std/async/delay";
import { getFromSocket, postToSocket } from "../agent/get_from_socket.ts";

/** What a drain needs. */
export interface DrainOptions {
  readonly adminSocket: string;
  /** What is under way then breaks. */
  readonly longestMs: number;
}

/** Between two questions; each costs about a millisecond. */
const ASK_INTERVAL_MS = 20;
const ANSWER_TIMEOUT_MS = 1_000;
/** Connections now, one line for each listener and address. */
const CONNECTIONS = "/stats?filter=%5Elistener%5C..*%5C.downstream_cx_active%24";

/**
 * Drains.
 * @returns The connections that are left: 0 unless the time was up.
 * @throws {Error} when Envoy does not answer
 */
export async function drainEnvoy({ adminSocket, longestMs }: DrainOptions): Promise<number> {
  const deadlineMs = performance.now() + longestMs;
  await told(adminSocket, "/healthcheck/fail");
  for (;;) {
    const { body } = await getFromSocket(adminSocket, CONNECTIONS, AbortSignal.timeout(ANSWER_TIMEOUT_MS));
    const connections = countConnections(body);
    if (connections === 0 || performance.now() >= deadlineMs) return connections;
    await delay(ASK_INTERVAL_MS);
  }
}

/**
 * Takes it back: an Envoy that was drained for an agent which then began anew beside it.
 * @throws {Error} when Envoy does not answer
 */
export async function endDrain(adminSocket: string): Promise<void> {
  await told(adminSocket, "/healthcheck/ok");
}

/** Sums `listener.0.0.0.0_1667.downstream_cx_active: 3` over all listeners but the admin interface. */
export function countConnections(statistics: string): number {
  let connections = 0;
  for (
    const [, listener = "", count] of statistics.matchAll(/^listener\.(.+)\.downstream_cx_active: (\d+)$/gm)
  ) {
    // Those of a worker are in its listener's.
    if (listener !== "admin" && !/\.worker_\d+$/.test(listener)) connections += Number(count);
  }
  return connections;
}

async function told(adminSocket: string, path: string): Promise<void> {
  const { status } = await postToSocket(adminSocket, path, AbortSignal.timeout(ANSWER_TIMEOUT_MS));
  if (status !== 200) throw new Error(`Envoy answered ${path} with status ${status}`);
}

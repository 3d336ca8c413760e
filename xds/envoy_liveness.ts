/**
 * Asks Envoy whether it is live: past its start, with workers that listen, and not draining.
 *
 * Source: Envoy 1.40, "Administration interface", `GET /ready`: `LIVE` with 200, else the state with 503.
 * @module
 */
import { getFromSocket } from "../agent/get_from_socket.ts";

/** Envoy's own word; `unknown` when it cannot be asked: its admin socket is not shared with the agent, or is another's. */
export type Liveness = "live" | "not-live" | "unknown";

const ANSWER_TIMEOUT_MS = 1_000;

/** Asks once. Never rejects. */
export async function askLiveness(adminSocket: string, signal: AbortSignal): Promise<Liveness> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
    const { status } = await getFromSocket(adminSocket, "/ready", limit);
    return status === 200 ? "live" : "not-live";
  } catch (error) {
    // A socket without a listener is what a dead Envoy leaves behind.
    return error instanceof Error && "code" in error && error.code === "ECONNREFUSED"
      ? "not-live"
      : "unknown";
  }
}

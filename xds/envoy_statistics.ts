/**
 * Envoy's own statistics, as Prometheus reads them: what its Clusters did for each Service port, and its listeners.
 *
 * Asked for at each scrape and passed on as they come: nothing of them is the agent's. Which there are, `statistics.ts` says.
 * @module
 */
import { getFromSocket } from "../agent/get_from_socket.ts";

/** Prometheus' own limit to a scrape. */
const ANSWER_TIMEOUT_MS = 10_000;

const PATH = "/stats/prometheus";

/**
 * Asks for them.
 * @returns the text format of Prometheus
 * @throws {Error} when Envoy does not answer; the message names the socket
 */
export async function envoyStatistics(adminSocket: string): Promise<string> {
  try {
    const { status, body } = await getFromSocket(adminSocket, PATH, AbortSignal.timeout(ANSWER_TIMEOUT_MS));
    if (status !== 200) throw new Error(`${PATH} gave status ${status}`);
    return body;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`Envoy's admin socket ${adminSocket} does not answer (${reason})`, { cause });
  }
}

/**
 * Envoy's own statistics, as Prometheus reads them: what its Clusters did for each Service port, and its listeners.
 *
 * Asked for at each scrape and passed on as they come: nothing of them is the agent's. Which there are, `statistics.ts` says.
 * @module
 */
import { askEnvoy } from "./ask_envoy.ts";

/** Prometheus' own limit to a scrape. */
const ANSWER_TIMEOUT_MS = 10_000;

/**
 * Asks for them.
 * @returns the text format of Prometheus
 * @throws {Error} as `askEnvoy` does
 */
export function envoyStatistics(adminSocket: string): Promise<string> {
  return askEnvoy(adminSocket, "/stats/prometheus", AbortSignal.timeout(ANSWER_TIMEOUT_MS));
}

/**
 * Decides which endpoints of a service port are usable.
 *
 * In: the judged endpoints of one ServicePort and family, from all its slices. Out: the addresses to balance over,
 * sorted, without duplicates; empty only if nothing is ready and nothing terminating still serves.
 *
 * Source: KEP-1669 (terminating endpoints): ready endpoints; if there is none, those that terminate but still
 * serve. An endpoint seen in two slices (the controller moves endpoints between slices) counts as its most usable copy.
 * @module
 */
import type { JudgedEndpoint } from "./judge_slice.ts";
import type { Endpoint } from "./types.ts";

/** One judged endpoint at the port a slice resolved for it. */
export interface PortedEndpoint {
  readonly endpoint: JudgedEndpoint;
  readonly port: number;
}

/** The usable endpoints. Cost: n log n in the endpoints of this one port. */
export function usableEndpoints(candidates: readonly PortedEndpoint[]): readonly Endpoint[] {
  const ready = candidates.filter(({ endpoint }) => endpoint.ready);
  const chosen = ready.length > 0
    ? ready
    : candidates.filter(({ endpoint }) => endpoint.serving && endpoint.terminating);
  return chosen
    .map(({ endpoint: { address, zone }, port }): Endpoint => ({ address, port, zone, isLocal: false }))
    .sort((a, b) => compareSockets(a, b) || compareText(a.zone, b.zone))
    // Two copies may differ in zone; taking the smaller text makes the outcome independent of slice order.
    .filter((endpoint, index, all) => index === 0 || compareSockets(endpoint, all[index - 1]!) !== 0)
    // Sorting is stable: within a zone the order by address and port stays.
    .sort((a, b) => compareText(a.zone, b.zone));
}

function compareSockets(a: Endpoint, b: Endpoint): number {
  return compareText(a.address, b.address) || a.port - b.port;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

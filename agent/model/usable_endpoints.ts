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
  const byAddress = new Map<string, Endpoint>();
  for (const { endpoint, port } of chosen) {
    const key = `${endpoint.address} ${port}`;
    const known = byAddress.get(key);
    // Two copies may differ in zone; taking the smaller text makes the outcome independent of slice order.
    if (known === undefined || endpoint.zone < known.zone) {
      byAddress.set(key, { address: endpoint.address, port, zone: endpoint.zone });
    }
  }
  return [...byAddress.values()].sort(compareEndpoints);
}

function compareEndpoints(a: Endpoint, b: Endpoint): number {
  return compareText(a.zone, b.zone) || compareText(a.address, b.address) || a.port - b.port;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

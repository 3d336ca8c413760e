/**
 * Decides which endpoints of a service port are usable: all of them, those of this node, and which of all come first.
 *
 * In: the judged endpoints of one ServicePort and family, from all its slices; by what they are near. Out:
 * the addresses to balance over, sorted, without duplicates; empty only if nothing is ready and nothing terminating still
 * serves, of this node for the second list. Beside them those that terminate but still serve: whoever began with them may
 * end there.
 *
 * Ready endpoints are usable; if there is none, those that terminate but still serve. The two lists are decided apart: the last
 * endpoint of a node goes on serving there while it terminates, although other nodes have ready ones. Endpoints
 * that terminate are all alike, however near. An endpoint seen in two slices (the controller moves endpoints between
 * slices) counts as its most usable copy.
 *
 * Source: KEP-1669 (terminating endpoints); kube-proxy's `CategorizeEndpoints`, v1.36.
 * @module
 */
import type { JudgedEndpoint } from "./judge_slice.ts";
import { mayBeNear, type Nearness, tiersOf } from "./nearness.ts";
import type { Endpoint } from "./types.ts";

/** One judged endpoint at the port a slice resolved for it. */
export interface PortedEndpoint {
  readonly endpoint: JudgedEndpoint;
  readonly port: number;
}

/** The usable endpoints of all nodes, in tiers. Cost: n log n in the endpoints of this one port. */
export function usableEndpoints(
  candidates: readonly PortedEndpoint[],
  nearness: Nearness,
): readonly Endpoint[] {
  const usable = distinct(readyElseServing(candidates));
  const tiers = usable[0]?.endpoint.ready === true && prefersNear(usable, nearness)
    ? tiersOf(usable.map(({ endpoint }) => endpoint.place), nearness)
    : NO_TIERS;
  return byZone(usable.map((candidate, index) => translate(candidate, tiers[index] ?? 0)));
}

/** The usable endpoints of this node, for a traffic policy `Local`; all in one tier. */
export function usableLocalEndpoints(candidates: readonly PortedEndpoint[]): readonly Endpoint[] {
  const local = candidates.filter(({ endpoint }) => isLocal(endpoint));
  return byZone(distinct(readyElseServing(local)).map((candidate) => translate(candidate, 0)));
}

/** Whether any of these may come before others, once they are usable. Of nearly all Services none may. */
export function prefersNear(
  candidates: readonly PortedEndpoint[],
  nearness: Nearness,
): boolean {
  return candidates.some(({ endpoint }) => mayBeNear(endpoint.place, nearness));
}

const NO_TIERS: readonly number[] = [];

/** Those that terminate but still serve, whether or not they are usable; all in one tier. */
export function terminatingEndpoints(candidates: readonly PortedEndpoint[]): readonly Endpoint[] {
  return byZone(distinct(candidates.filter(isServingToItsEnd)).map((candidate) => translate(candidate, 0)));
}

/** Whether an endpoint runs on this node. */
export function isLocal({ place }: JudgedEndpoint): boolean {
  return place.node === "here";
}

function readyElseServing(candidates: readonly PortedEndpoint[]): readonly PortedEndpoint[] {
  const ready = candidates.filter(({ endpoint }) => endpoint.ready);
  if (ready.length > 0) return ready;
  return candidates.filter(isServingToItsEnd);
}

function isServingToItsEnd({ endpoint }: PortedEndpoint): boolean {
  return endpoint.serving && endpoint.terminating;
}

/** Each address and port once, in their order. */
function distinct(candidates: readonly PortedEndpoint[]): readonly PortedEndpoint[] {
  return candidates
    // Two copies may differ in their Place; taking the smaller text makes the outcome independent of slice order.
    .toSorted((a, b) => compareSockets(a, b) || compareText(a.endpoint.place.text, b.endpoint.place.text))
    .filter((candidate, index, all) => index === 0 || compareSockets(candidate, all[index - 1]!) !== 0);
}

function translate({ endpoint, port }: PortedEndpoint, tier: number): Endpoint {
  const { address, place: { zone, node } } = endpoint;
  return {
    address,
    port,
    zone,
    isLocal: isLocal(endpoint),
    ...(node === "unknown" ? { nodeUnknown: true } : {}),
    ...(tier === 0 ? {} : { tier }),
  };
}

/** Sorting is stable: within a zone the order by address and port stays. */
function byZone(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  return endpoints.toSorted((a, b) => compareText(a.zone, b.zone));
}

function compareSockets(a: PortedEndpoint, b: PortedEndpoint): number {
  return compareText(a.endpoint.address, b.endpoint.address) || a.port - b.port;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

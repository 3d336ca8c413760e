/**
 * Where an endpoint is, and for whom its hints are.
 *
 * In: an endpoint of a slice, this node's name. Out: a Place. This is kept of every endpoint of the cluster, so
 * names of nodes are not: what is told apart is this node, others, and nobody knows. Zones are, because this node's own may
 * become known, or change, while everything else stays: what is near by them is found out when somebody asks (`nearness.ts`).
 * There are few different Places (some for each zone), and one copy of each is kept.
 *
 * Source: EndpointSlice API reference, `nodeName`, `zone`, `hints`.
 * @module
 */
import type { SliceEndpoint } from "../kube/objects.ts";

/** Whether something is at this node (or in its zone), somewhere else, or nobody says. */
export type Bearing = "here" | "elsewhere" | "unknown";

/** Where an endpoint is and whom it is for. Equal Places are the same object. */
export interface Place {
  /** Says all of it, for an order that is the same everywhere. */
  readonly text: string;
  /** The zone's name; empty when unknown. */
  readonly zone: string;
  readonly node: Bearing;
  /** Whom `hints.forNodes` names. */
  readonly forNodes: Bearing;
  /** The zones that `hints.forZones` names. */
  readonly forZones: readonly string[];
}

/** The Place of an endpoint, seen from the node of that name. Empty: unknown; then no endpoint is known to be on it, or elsewhere. */
export function placeOf(endpoint: SliceEndpoint, nodeName: string): Place {
  const { zone, hintedZones: forZones } = endpoint;
  const node = bearing(endpoint.nodeName, nodeName);
  const forNodes = bearingOfAny(endpoint.hintedNodes, nodeName);
  const code = DIGITS[node] * 3 + DIGITS[forNodes];
  // Nearly always of none or one, so that nothing is joined.
  const hinted = forZones.length === 1 ? forZones[0]! : forZones.join();
  return known.get(zone)?.get(hinted)?.[code] ??
    keep({ text: `${zone} ${code} ${hinted}`, zone, node, forNodes, forZones }, hinted, code);
}

/** Where what has a name is, seen from what has one of the same kind; empty names are unknown. */
export function bearing(name: string, own: string): Bearing {
  if (name === "" || own === "") return "unknown";
  return name === own ? "here" : "elsewhere";
}

/** The same of several names, of which one is enough. */
export function bearingOfAny(names: readonly string[], own: string): Bearing {
  if (names.length === 0 || own === "") return "unknown";
  return names.includes(own) ? "here" : "elsewhere";
}

const DIGITS: Readonly<Record<Bearing, number>> = { unknown: 0, here: 1, elsewhere: 2 };

/** More than a cluster has; beyond it the table starts afresh. */
const LIMIT = 10_000;
/** By zone, then by the zones of the hints, then by the two bearings as digits. */
const known = new Map<string, Map<string, (Place | undefined)[]>>();
let count = 0;

function keep(place: Place, hinted: string, code: number): Place {
  if (count++ >= LIMIT) {
    known.clear();
    count = 1;
  }
  let ofZone = known.get(place.zone);
  if (ofZone === undefined) known.set(place.zone, ofZone = new Map());
  let alike = ofZone.get(hinted);
  if (alike === undefined) ofZone.set(hinted, alike = []);
  alike[code] = place;
  return place;
}

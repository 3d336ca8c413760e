/**
 * Where an endpoint is, seen from this node, and for whom its hints are.
 *
 * In: an endpoint of a slice, this node's name and zone. Out: a Place. This is kept of every endpoint of the cluster, so
 * names of nodes are not: what is told apart is this node, others, and nobody knows. There are few different Places (some
 * for each zone), and one copy of each is kept.
 *
 * Source: EndpointSlice API reference, `nodeName`, `zone`, `hints`.
 * @module
 */
import type { SliceEndpoint } from "../kube/objects.ts";

/** The node the agent runs on. */
export interface NodePlace {
  /** Empty: unknown; then no endpoint is known to be on it, or elsewhere. */
  readonly nodeName: string;
  /** Empty: unknown, likewise. */
  readonly zone: string;
}

/** Whether something is at this node (or in its zone), somewhere else, or nobody says. */
export type Bearing = "here" | "elsewhere" | "unknown";

/** Where an endpoint is and whom it is for. Equal Places are the same object. */
export interface Place {
  /** Says all of it, for an order that is the same everywhere. */
  readonly text: string;
  /** The zone's name; empty when unknown. */
  readonly zone: string;
  readonly node: Bearing;
  readonly inZone: Bearing;
  /** Whom `hints.forNodes` names. */
  readonly forNodes: Bearing;
  /** Whom `hints.forZones` names. */
  readonly forZones: Bearing;
}

/** More zones than a cluster has; beyond it the table starts afresh. */
const LIMIT = 1_000;
/** By zone, then by the four bearings as digits. */
const known = new Map<string, (Place | undefined)[]>();

/** The Place of an endpoint. */
export function placeOf(endpoint: SliceEndpoint, { nodeName, zone }: NodePlace): Place {
  const node = bearing(endpoint.nodeName, nodeName);
  const inZone = bearing(endpoint.zone, zone);
  const forNodes = bearingOfAny(endpoint.hintedNodes, nodeName);
  const forZones = bearingOfAny(endpoint.hintedZones, zone);
  const code = ((DIGITS[node] * 3 + DIGITS[inZone]) * 3 + DIGITS[forNodes]) * 3 + DIGITS[forZones];
  let ofZone = known.get(endpoint.zone);
  if (ofZone === undefined) {
    if (known.size >= LIMIT) known.clear();
    known.set(endpoint.zone, ofZone = []);
  }
  return ofZone[code] ??= {
    text: `${endpoint.zone} ${code}`,
    zone: endpoint.zone,
    node,
    inZone,
    forNodes,
    forZones,
  };
}

const DIGITS: Readonly<Record<Bearing, number>> = { unknown: 0, here: 1, elsewhere: 2 };

function bearing(name: string, own: string): Bearing {
  if (name === "" || own === "") return "unknown";
  return name === own ? "here" : "elsewhere";
}

function bearingOfAny(names: readonly string[], own: string): Bearing {
  if (names.length === 0 || own === "") return "unknown";
  return names.includes(own) ? "here" : "elsewhere";
}

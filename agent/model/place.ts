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

/** More different Places than a cluster has; beyond it the table starts afresh. */
const LIMIT = 5_000;
const known = new Map<string, Place>();

/** The Place of an endpoint. */
export function placeOf(endpoint: SliceEndpoint, { nodeName, zone }: NodePlace): Place {
  const place = {
    zone: endpoint.zone,
    node: bearing(endpoint.nodeName === "" ? [] : [endpoint.nodeName], nodeName),
    inZone: bearing(endpoint.zone === "" ? [] : [endpoint.zone], zone),
    forNodes: bearing(endpoint.hintedNodes, nodeName),
    forZones: bearing(endpoint.hintedZones, zone),
  };
  const text = `${place.zone} ${place.node} ${place.inZone} ${place.forNodes} ${place.forZones}`;
  const shared = known.get(text);
  if (shared !== undefined) return shared;
  if (known.size >= LIMIT) known.clear();
  const kept = { text, ...place };
  known.set(text, kept);
  return kept;
}

function bearing(names: readonly string[], own: string): Bearing {
  if (names.length === 0 || own === "") return "unknown";
  return names.includes(own) ? "here" : "elsewhere";
}

/**
 * Decides which endpoints of a Service come first on this node: those of the node, of its zone, the others.
 *
 * In: `spec.trafficDistribution`, the zone of this node, the Places of the ready endpoints. Out: a tier for each, of which a
 * later one is used only when the ones before it fail; in the kernel, which does not see failures, only the first.
 *
 * Hints are followed, as by kube-proxy, and by its rules: hints for nodes, if every endpoint has some and one names this
 * node; else hints for zones, likewise. So a control plane that hints otherwise than by where an endpoint is
 * (`service.kubernetes.io/topology-mode: Auto`, or slices of a controller of one's own) is obeyed, and a rollout of hints
 * that is half done sends nobody to the few endpoints that have theirs. Where no endpoint has any although the Service asks
 * for a distribution, those hold that Kubernetes' EndpointSlice controller would write: the endpoint's own zone, and for
 * PreferSameNode its own node. That is what manifests without a control plane need; kube-proxy uses all endpoints then.
 *
 * kube-proxy never leaves the first tier while it has a ready endpoint. Envoy goes on to the next when endpoints
 * of the first fail. As with kube-proxy a node or zone with few endpoints carries all that its own clients send: whoever asks
 * for this has to have endpoints where the clients are. A traffic policy `Local` knows no tiers.
 *
 * Source: kube-proxy's `topologyModeFromHints` and the EndpointSlice controller's `trafficdist`, v1.36; Kubernetes
 * documentation, "Traffic distribution"; KEP-3015.
 * @module
 */
import { type Bearing, bearing, bearingOfAny, type Place } from "./place.ts";
import type { Endpoint } from "./types.ts";

/** What `spec.trafficDistribution` asks for; empty: nothing. */
export type TrafficDistribution = "" | "PreferSameZone" | "PreferSameNode";

/** Reads `spec.trafficDistribution`; undefined for what is not followed. */
export function parseTrafficDistribution(text: string): TrafficDistribution | undefined {
  switch (text) {
    case "":
    case "PreferSameZone":
    case "PreferSameNode":
      return text;
    // Its former name.
    case "PreferClose":
      return "PreferSameZone";
    default:
      return undefined;
  }
}

/** By what endpoints of a Service are near. */
export interface Nearness {
  readonly distribution: TrafficDistribution;
  /** Of this node, as endpoints name theirs; empty: unknown, and then no zone is near. */
  readonly zone: string;
}

/** Whom an endpoint is for, seen from this node. */
interface Hints {
  readonly forNodes: Bearing;
  readonly forZones: Bearing;
}

/** The tier of each ready endpoint, in their order; the first is 0. */
export function tiersOf(places: readonly Place[], nearness: Nearness): readonly number[] {
  const isAnyHinted = places.some((place) => isHinted(place, nearness.zone));
  const hints = places.map((place) =>
    isAnyHinted ? hintsOf(place, nearness.zone) : hintsByPlace(place, nearness)
  );
  const byNode = isFollowed(hints.map(({ forNodes }) => forNodes));
  const byZone = isFollowed(hints.map(({ forZones }) => forZones));
  return hints.map(({ forNodes, forZones }) => {
    if (byNode && forNodes === "here") return 0;
    return Number(byNode) + Number(byZone && forZones !== "here");
  });
}

/** Whether {@linkcode tiersOf} may tell an endpoint at this Place from others, now or when others are ready. */
export function mayBeNear(place: Place, { distribution, zone }: Nearness): boolean {
  return isHinted(place, zone) || distribution !== "" && bearing(place.zone, zone) !== "unknown" ||
    distribution === "PreferSameNode" && place.node !== "unknown";
}

/** Whether it matters to {@linkcode tiersOf} in which zone this node is, where one of the endpoints is at this Place. */
export function asksForZone(place: Place, distribution: TrafficDistribution): boolean {
  return place.forZones.length > 0 || distribution !== "" && place.zone !== "";
}

/** The endpoints in order of preference. No tier is empty; several only where some are nearer than others. */
export function endpointTiers(endpoints: readonly Endpoint[]): readonly (readonly Endpoint[])[] {
  const tiers: Endpoint[][] = [];
  for (const endpoint of endpoints) (tiers[endpoint.tier ?? 0] ??= []).push(endpoint);
  return tiers.filter((tier) => tier !== undefined);
}

function isHinted({ forNodes, forZones }: Place, zone: string): boolean {
  return forNodes !== "unknown" || forZones.length > 0 && zone !== "";
}

function hintsOf({ forNodes, forZones }: Place, zone: string): Hints {
  return { forNodes, forZones: bearingOfAny(forZones, zone) };
}

/** What the EndpointSlice controller would write. */
function hintsByPlace(place: Place, { distribution, zone }: Nearness): Hints {
  return {
    forNodes: distribution === "PreferSameNode" ? place.node : "unknown",
    forZones: distribution === "" ? "unknown" : bearing(place.zone, zone),
  };
}

function isFollowed(hints: readonly Bearing[]): boolean {
  return hints.includes("here") && !hints.includes("unknown");
}

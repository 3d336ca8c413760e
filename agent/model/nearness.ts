/**
 * Decides which endpoints of a Service come first on this node.
 *
 * In: `spec.trafficDistribution`, the node's zone, usable endpoints. Out: whether the Service prefers its clients' zone; the
 * endpoints in tiers, of which a later one is used only when the ones before it fail.
 *
 * An endpoint's own zone is read, not the hints the control plane derives from it (`hints.forZones`), which say the same for
 * these values. As with kube-proxy a zone with few endpoints carries all that its own clients send: whoever asks for this
 * has to have endpoints where the clients are.
 *
 * Source: Service API reference, `trafficDistribution`; Kubernetes documentation, "Traffic distribution".
 * @module
 */
import type { Endpoint } from "./types.ts";

/** Whether a Service prefers its clients' zone; undefined for what is not followed. */
export function prefersOwnZone(trafficDistribution: string): boolean | undefined {
  switch (trafficDistribution) {
    case "":
      return false;
    case "PreferSameZone":
    // Its former name.
    case "PreferClose":
      return true;
    default:
      return undefined;
  }
}

/** The endpoints in order of preference. None is empty: two where both the preferred zone and others have some. */
export function endpointTiers(
  endpoints: readonly Endpoint[],
  preferredZone: string,
): readonly (readonly Endpoint[])[] {
  if (preferredZone === "") return endpoints.length === 0 ? [] : [endpoints];
  const preferred = endpoints.filter(({ zone }) => zone === preferredZone);
  const others = endpoints.filter(({ zone }) => zone !== preferredZone);
  return [preferred, others].filter((tier) => tier.length > 0);
}

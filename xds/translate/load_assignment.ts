/**
 * Translates the endpoints of a ServicePort into a ClusterLoadAssignment.
 *
 * In: usable endpoints of one family, sorted by zone, then address (the model's order). Out: an
 * `envoy.config.endpoint.v3.ClusterLoadAssignment`, one locality for each zone. Without locality weights Envoy
 * balances over all endpoints alike, whatever their zone, as kube-proxy does.
 *
 * Every endpoint given is usable, so every one is HEALTHY: which of them are ready, or terminating but still needed, is
 * the model's decision (`usable_endpoints.ts`). UNHEALTHY or DRAINING here would take it back.
 * @module
 */
import type { Endpoint } from "../../agent/model/mod.ts";
import { ClusterLoadAssignment, HealthStatus } from "../../protos/mod.ts";

/** The assignment of that name. Empty endpoints give an assignment that fails connections at once. */
export function translateLoadAssignment(
  clusterName: string,
  endpoints: readonly Endpoint[],
): ClusterLoadAssignment {
  const byZone = new Map<string, Endpoint[]>();
  for (const endpoint of endpoints) {
    const zone = byZone.get(endpoint.zone);
    if (zone === undefined) byZone.set(endpoint.zone, [endpoint]);
    else zone.push(endpoint);
  }
  return ClusterLoadAssignment.fromPartial({
    clusterName,
    endpoints: [...byZone].map(([zone, members]) => ({
      ...(zone === "" ? {} : { locality: { zone } }),
      lbEndpoints: members.map(({ address, port }) => ({
        endpoint: { address: { socketAddress: { address, portValue: port } } },
        healthStatus: HealthStatus.HEALTHY,
      })),
    })),
  });
}

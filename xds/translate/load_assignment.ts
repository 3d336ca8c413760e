/**
 * Translates the endpoints of a ServicePort into a ClusterLoadAssignment.
 *
 * In: usable endpoints of one family, sorted by zone, then address (the model's order), each in its tier. Out: an `envoy.config.endpoint.v3.ClusterLoadAssignment`, one locality for each zone. Without locality weights
 * Envoy balances over all endpoints alike, whatever their zone, as kube-proxy does.
 *
 * The model's tiers become priorities, and not weights: the next tier takes what the one before cannot carry, by health
 * (from less than 72 % healthy endpoints on), and what failed in one is retried in the other (`previous_priorities` in
 * cluster.ts). With weights of 98:2 and a dead endpoint 17 of 20 requests failed in spite of retries.
 *
 * Every endpoint given is usable, so every one is HEALTHY: which of them are ready, or terminating but still needed, is
 * the model's decision (`usable_endpoints.ts`). UNHEALTHY or DRAINING here would take it back.
 * @module
 */
import { type Endpoint, endpointTiers } from "../../agent/model/mod.ts";
import { ClusterLoadAssignment, HealthStatus, LocalityLbEndpoints } from "../../protos/mod.ts";

/** The assignment of that name. Empty endpoints give an assignment that fails connections at once. */
export function translateLoadAssignment(
  clusterName: string,
  endpoints: readonly Endpoint[],
): ClusterLoadAssignment {
  return ClusterLoadAssignment.fromPartial({
    clusterName,
    endpoints: endpointTiers(endpoints).flatMap(localities),
  });
}

/** One tier by zone. Envoy wants priorities without gaps from 0 on, which is what tiers are. */
function localities(endpoints: readonly Endpoint[], priority: number): LocalityLbEndpoints[] {
  const byZone = new Map<string, Endpoint[]>();
  for (const endpoint of endpoints) {
    const zone = byZone.get(endpoint.zone);
    if (zone === undefined) byZone.set(endpoint.zone, [endpoint]);
    else zone.push(endpoint);
  }
  return [...byZone].map(([zone, members]) =>
    LocalityLbEndpoints.fromPartial({
      ...(zone === "" ? {} : { locality: { zone } }),
      priority,
      lbEndpoints: members.map(({ address, port }) => ({
        endpoint: { address: { socketAddress: { address, portValue: port } } },
        healthStatus: HealthStatus.HEALTHY,
      })),
    })
  );
}

/**
 * Counts what a load balancer wants to know of this node: how many ready endpoints of a Service run here.
 *
 * In: a Service, its slices. Out: a HealthCheck, or undefined for the many that have no `healthCheckNodePort`. Pure.
 *
 * Ready ones only, so that load balancers send nothing new to a node whose last endpoint terminates, while that still serves
 * what comes (KEP-1669). An address counts once, however many ports it has.
 * Source: kube-proxy's `HealthCheckNodePorts` and `getLocalReadyEndpointIPs`, v1.36.
 * @module
 */
import type { JudgedService } from "./judge_service.ts";
import type { JudgedSlice } from "./judge_slice.ts";
import type { HealthCheck, IPFamily } from "./types.ts";
import { isLocal } from "./usable_endpoints.ts";

/** What to answer for a Service. Cost: its endpoints. */
export function healthCheckOf(
  service: JudgedService | undefined,
  slices: readonly JudgedSlice[],
): HealthCheck | undefined {
  if (service === undefined || service.trafficRules.healthCheckNodePort === 0) return undefined;
  const { namespace, name, families, trafficRules: { healthCheckNodePort: port } } = service;
  const localEndpoints = Object.fromEntries(families.map((family) => [family, countLocal(slices, family)]));
  return { namespace, name, port, localEndpoints };
}

function countLocal(slices: readonly JudgedSlice[], family: IPFamily): number {
  const addresses = new Set<string>();
  for (const slice of slices) {
    // As in kube-proxy: endpoints without a port are nobody's.
    if (slice.family !== family || slice.ports.length === 0) continue;
    for (const endpoint of slice.endpoints) {
      if (endpoint.ready && isLocal(endpoint)) addresses.add(endpoint.address);
    }
  }
  return addresses.size;
}

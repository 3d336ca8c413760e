/**
 * When two ServicePorts are the same, so that a change that changed nothing ends here.
 *
 * Compares what the data planes read; both sides are sorted by construction, so order is part of equality.
 * @module
 */
import { type Endpoint, type HealthCheck, IP_FAMILIES, type ServicePort, type VIP } from "./types.ts";

/** Whether both are equal in every field. Cost: their VIPs and endpoints. */
export function equalServicePorts(a: ServicePort, b: ServicePort): boolean {
  return a.key === b.key && a.appProtocol === b.appProtocol && a.nodePort === b.nodePort &&
    a.settings.text === b.settings.text && a.prefersNear === b.prefersNear &&
    equalLists(a.families, b.families, Object.is) && equalLists(a.vips, b.vips, equalVIPs) &&
    a.carrier === b.carrier && a.internalTrafficPolicy === b.internalTrafficPolicy &&
    a.externalTrafficPolicy === b.externalTrafficPolicy &&
    a.affinityTimeoutSeconds === b.affinityTimeoutSeconds &&
    IP_FAMILIES.every((family) =>
      equalLists(a.loadBalancerSourceRanges[family], b.loadBalancerSourceRanges[family], Object.is) &&
      equalEndpoints(a.endpoints[family], b.endpoints[family]) &&
      equalEndpoints(a.localEndpoints[family], b.localEndpoints[family]) &&
      equalEndpoints(a.terminatingEndpoints[family], b.terminatingEndpoints[family])
    );
}

/** Whether both ask the same and have the same answer, or there is neither. */
export function equalHealthChecks(a: HealthCheck | undefined, b: HealthCheck | undefined): boolean {
  return a?.port === b?.port &&
    IP_FAMILIES.every((family) => a?.localEndpoints[family] === b?.localEndpoints[family]);
}

/** Whether two lists of usable endpoints, each sorted by the model, are the same. */
export function equalEndpoints(a: readonly Endpoint[], b: readonly Endpoint[]): boolean {
  return equalLists(a, b, equalEndpoint);
}

function equalLists<T>(a: readonly T[], b: readonly T[], equal: (a: T, b: T) => boolean): boolean {
  return a === b || a.length === b.length && a.every((item, index) => equal(item, b[index] as T));
}

function equalVIPs(a: VIP, b: VIP): boolean {
  return a.address === b.address && a.family === b.family && a.port === b.port && a.kind === b.kind;
}

function equalEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.address === b.address && a.port === b.port && a.zone === b.zone && a.isLocal === b.isLocal &&
    a.nodeUnknown === b.nodeUnknown &&
    a.tier === b.tier;
}

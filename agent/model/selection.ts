/**
 * Decides which Services this Lightpath serves at all.
 *
 * In: a Service, and the value of `--service-proxy-name`. Out: yes or no. Headless, ExternalName and not yet
 * allocated Services have no VIP; those of another proxy are that proxy's; one that opts out is left to whoever else
 * serves it.
 *
 * Source: kube-proxy's `ShouldSkipService` and its label selectors; KEP-2447 (service-proxy-name).
 * @module
 */
import type { Service } from "../kube/objects.ts";
import type { IPFamily } from "./types.ts";

/** Which Services are this agent's. */
export interface ServiceSelection {
  /**
   * Value of the label `service.kubernetes.io/service-proxy-name` a Service must carry; empty: serve the Services
   * *without* that label, as kube-proxy does (Lightpath replaces it).
   */
  readonly serviceProxyName: string;
  /** Families this node serves: addresses of another one are left alone. */
  readonly families: readonly IPFamily[];
}

/** Annotation by which a Service opts out. */
export const PROXY_ANNOTATION = "lightpath.cloud/proxy";
/** Its value. */
export const PROXY_DISABLED = "disabled";
/** Annotation that says which way the Service's traffic takes. */
export const PATH_ANNOTATION = "lightpath.cloud/path";

/** Whether the Service is this agent's and has at least one ClusterIP. */
export function isServed(service: Service, selection: ServiceSelection): boolean {
  if (service.headlessLabel || service.type === "ExternalName") return false;
  if (service.proxyName !== selection.serviceProxyName) return false;
  if (service.annotations[PROXY_ANNOTATION] === PROXY_DISABLED) return false;
  return service.clusterIPs.length > 0 && service.clusterIPs[0] !== "None";
}

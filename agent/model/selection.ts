/**
 * Decides which Services this Lightpath serves at all.
 *
 * In: a Service, and the value of `--service-proxy-name`. Out: yes, or why not. Headless, ExternalName and not yet
 * allocated Services have no VIP; those of another proxy are that proxy's; one that opts out is left to whoever else
 * serves it.
 *
 * Source: kube-proxy's `ShouldSkipService` and its label selectors; KEP-2447 (service-proxy-name).
 * @module
 */
import type { Service } from "../kube/objects.ts";
import { HEADLESS_LABEL, SERVICE_PROXY_NAME_LABEL } from "../kube/parse.ts";
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
  return whyNotServed(service, selection) === undefined;
}

/** Why the Service is not served: the end of a sentence that begins with its name. Undefined when it is. */
export function whyNotServed(service: Service, { serviceProxyName }: ServiceSelection): string | undefined {
  const { proxyName } = service;
  const nowhere = whyNoVIP(service);
  if (nowhere !== undefined) return nowhere;
  if (proxyName !== serviceProxyName) {
    if (proxyName === "") {
      return `has no label ${SERVICE_PROXY_NAME_LABEL}, and this agent serves only those labelled "${serviceProxyName}"`;
    }
    const served = serviceProxyName === ""
      ? "those without that label"
      : `those labelled "${serviceProxyName}"`;
    return `is another proxy's by its label ${SERVICE_PROXY_NAME_LABEL}: ${proxyName}; this agent serves ${served}`;
  }
  if (optsOut(service)) return `opts out by its annotation ${PROXY_ANNOTATION}: ${PROXY_DISABLED}`;
  return service.clusterIPs.length === 0 ? "has no ClusterIP yet" : undefined;
}

/**
 * Why the Service has no VIP, and as it is written will never have one: the end of a sentence that begins with its name.
 * Undefined when it has one, or is about to be given one.
 */
export function whyNoVIP(
  service: Pick<Service, "type" | "headlessLabel" | "clusterIPs">,
): string | undefined {
  if (service.type === "ExternalName") return "is of type ExternalName, a name in DNS and no address";
  if (service.headlessLabel) {
    return `is headless by its label ${HEADLESS_LABEL}: clients connect to its pods themselves`;
  }
  return service.clusterIPs[0] === "None"
    ? "is headless (its clusterIP is None): clients connect to its pods themselves"
    : undefined;
}

/** Whether the Service wants to be left alone. */
export function optsOut({ annotations }: Pick<Service, "annotations">): boolean {
  return annotations[PROXY_ANNOTATION] === PROXY_DISABLED;
}

/**
 * ServicePorts with given endpoints, for tests.
 * @module
 */

import type { Endpoint, IPFamily, ServicePort, VIPKind } from "../../agent/model/mod.ts";

/** The ServicePort with its VIPs of this kind. */
export function withKind(servicePort: ServicePort, kind: VIPKind): ServicePort {
  return { ...servicePort, vips: servicePort.vips.map((vip) => ({ ...vip, kind })) };
}

/** An endpoint from `ADDRESS PORT`, or `ADDRESS PORT ZONE`. */
export function endpointAt(text: string, isLocal = false): Endpoint {
  const [address = "", port = "8080", zone = ""] = text.split(" ");
  return { address, port: Number(port), zone, isLocal };
}

function byFamily(endpoints: readonly Endpoint[]): Record<IPFamily, readonly Endpoint[]> {
  return {
    IPv4: endpoints.filter(({ address }) => !address.includes(":")),
    IPv6: endpoints.filter(({ address }) => address.includes(":")),
  };
}

/** The ServicePort with these endpoints, and these of the node, instead of its own. */
export function withEndpoints(
  servicePort: ServicePort,
  endpoints: readonly string[],
  localEndpoints: readonly string[] = [],
): ServicePort {
  const local = new Set(localEndpoints);
  return {
    ...servicePort,
    endpoints: byFamily(endpoints.map((text) => endpointAt(text, local.has(text)))),
    localEndpoints: byFamily(localEndpoints.map((text) => endpointAt(text, true))),
  };
}

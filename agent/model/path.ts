/**
 * Decides which way new connections to a destination of a ServicePort take, and which endpoints may answer there: the one
 * home of that decision, so that the kernel never sends a connection to a listener that has nothing to answer it with.
 *
 * In: a ServicePort, a family, a kind of destination. Out: a `Path`, endpoints. Pure.
 * `externalTrafficPolicy: Local` is for the outside. What pods and this node itself send to a NodePort, external or
 * load-balancer IP could as well have gone out to the load balancer, which would have chosen a node with endpoints: they are
 * given all endpoints, here at once ("inside"). The kernel balances them whatever carries the port: Envoy knows a destination by
 * one name, which stands for the endpoints the outside gets. (Nor could they be sent to the ClusterIP instead, whose own policy may
 * be Local.) Only what Envoy alone understands (redis) is served inside as outside.
 *
 * Source: Envoy carries TCP only; kube-proxy refuses at once what has no usable endpoint, drops what has none here by
 * its traffic policy, and gives the inside all endpoints (KEP-1669 and `short-circuit` in its proxiers).
 * @module
 */

import { needsEnvoy } from "./carrier.ts";
import type {
  AppProtocol,
  DestinationKind,
  Endpoint,
  IPFamily,
  Path,
  ServicePort,
  TrafficPolicy,
} from "./types.ts";

/** The listener that understands an application protocol. */
function listenerPath(appProtocol: AppProtocol): Path {
  switch (appProtocol) {
    case "tcp":
    case "redis":
      return "envoy-tcp";
    case "http":
    case "http2":
      return "envoy-http";
    default: {
      const unknown: never = appProtocol;
      throw new TypeError(`Cannot choose a path: unknown application protocol "${unknown}"`);
    }
  }
}

/** The traffic policy that holds for a kind of destination (Service API reference). */
export function trafficPolicyOf(servicePort: ServicePort, kind: DestinationKind): TrafficPolicy {
  return kind === "ClusterIP" ? servicePort.internalTrafficPolicy : servicePort.externalTrafficPolicy;
}

/** Whether endpoints are asked from this node's address there, whoever the client is (envoy_sockets.ts says why). */
export function isMasqueraded(
  { externalTrafficPolicy }: Pick<ServicePort, "externalTrafficPolicy">,
  kind: DestinationKind,
): boolean {
  return kind !== "ClusterIP" && externalTrafficPolicy === "Cluster";
}

/** What kinds of destinations a port has in a family, in the order of `VIPKind`, NodePorts last. */
export function destinationKindsOf(servicePort: ServicePort, family: IPFamily): readonly DestinationKind[] {
  const { vips, nodePort, families } = servicePort;
  const kinds = new Set<DestinationKind>(vips.filter((vip) => vip.family === family).map(({ kind }) => kind));
  if (nodePort !== 0 && families.includes(family)) kinds.add("NodePort");
  return [...kinds];
}

/** The endpoints that may answer at a kind of destination. */
export function endpointsFor(
  servicePort: ServicePort,
  family: IPFamily,
  kind: DestinationKind,
): readonly Endpoint[] {
  return trafficPolicyOf(servicePort, kind) === "Local"
    ? servicePort.localEndpoints[family]
    : servicePort.endpoints[family];
}

/** The path of a ServicePort's destinations of that kind and family. */
export function pathOf(servicePort: ServicePort, family: IPFamily, kind: DestinationKind): Path {
  if (endpointsFor(servicePort, family, kind).length === 0) {
    return servicePort.endpoints[family].length === 0 ? "reject" : "drop";
  }
  return servicePort.carrier === "kernel" ? "kernel" : listenerPath(servicePort.appProtocol);
}

/**
 * The endpoints that answer a kind of destination when pods or this node itself connect to it; undefined where they are those of
 * everybody.
 */
export function insideEndpointsFor(
  servicePort: ServicePort,
  family: IPFamily,
  kind: DestinationKind,
): readonly Endpoint[] | undefined {
  const isForOutside = kind !== "ClusterIP" && servicePort.externalTrafficPolicy === "Local";
  const endpoints = servicePort.endpoints[family];
  if (!isForOutside || endpoints.length === 0 || needsEnvoy(servicePort.appProtocol)) return undefined;
  return endpoints;
}

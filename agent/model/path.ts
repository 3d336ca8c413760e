/**
 * Decides which way new connections to a ServicePort take in one IP family: the one home of that decision, so that
 * the kernel never sends a connection to a listener that has nothing to answer it with.
 *
 * In: a ServicePort and a family. Out: a `Path`. Pure.
 * Source: Envoy carries TCP only; kube-proxy refuses at once what has no usable endpoint.
 * @module
 */

import type { AppProtocol, IPFamily, Path, ServicePort } from "./types.ts";

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

/**
 * The path of a ServicePort for VIPs and NodePorts of `family`.
 *
 * UDP and SCTP are `unserved` even without endpoints: what Lightpath would not forward it must not refuse either,
 * since kube-proxy may serve it beside us.
 */
export function pathOf(servicePort: ServicePort, family: IPFamily): Path {
  if (servicePort.name.protocol !== "TCP") return "unserved";
  if (servicePort.endpoints[family].length === 0) return "reject";
  return listenerPath(servicePort.appProtocol);
}

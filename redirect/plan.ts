/**
 * Decides which elements of the sets and maps a ServicePort, and this node's addresses, ask for.
 *
 * In: a ServicePort, or the NodeAddresses. Out: PlanElements, in stable order. Pure.
 * Invariants: the path is `pathOf`'s decision alone; every key is canonical text as `nft -j list` prints it back, so
 * that what the kernel holds can be compared with the plan as text.
 * @module
 */

import {
  IP_FAMILIES,
  type IPFamily,
  type NodeAddresses,
  type Path,
  pathOf,
  type ServicePort,
} from "../agent/model/mod.ts";
import type { ElementContainer } from "./layout.ts";

/** An element of a set or map. */
export interface PlanElement {
  readonly container: ElementContainer;
  /** nft text of the key, e.g. `10.96.0.10 . tcp . 80`. Unique within its container. */
  readonly key: string;
  /** nft text of the value, e.g. `192.0.2.10`; empty in a set. */
  readonly value: string;
}

const SUFFIX: Readonly<Record<IPFamily, "4" | "6">> = { IPv4: "4", IPv6: "6" };

/** Which sets hold the destinations of a path; undefined where no element is wanted. */
function prefixOf(path: Path): "envoy-http" | "envoy-tcp" | "no-endpoint" | undefined {
  switch (path) {
    case "envoy-tcp":
    case "envoy-http":
      return path;
    case "reject":
      return "no-endpoint";
    case "drop":
    case "kernel":
      return undefined;
    default: {
      const unknown: never = path;
      throw new TypeError(`Cannot plan path "${unknown}"`);
    }
  }
}

/**
 * The elements of one ServicePort: one per VIP, and one per family for its NodePort.
 * Empty when there is no such ServicePort (`undefined`) or nothing to do for it (UDP, SCTP).
 */
export function planServicePort(servicePort: ServicePort | undefined): PlanElement[] {
  if (servicePort === undefined) return [];
  const elements: PlanElement[] = [];
  const protocol = servicePort.name.protocol.toLowerCase();
  for (const vip of servicePort.vips) {
    const prefix = prefixOf(pathOf(servicePort, vip.family, vip.kind));
    if (prefix === undefined) continue;
    elements.push({
      container: `${prefix}-ips-${SUFFIX[vip.family]}`,
      key: `${vip.address} . ${protocol} . ${vip.port}`,
      value: "",
    });
  }
  if (servicePort.nodePort === 0) return elements;
  for (const family of servicePort.families) {
    const prefix = prefixOf(pathOf(servicePort, family, "NodePort"));
    if (prefix === undefined) continue;
    elements.push({
      container: `${prefix}-nodeports-${SUFFIX[family]}`,
      key: `${protocol} . ${servicePort.nodePort}`,
      value: "",
    });
  }
  return elements;
}

/**
 * The elements for this node's addresses: all of them answer NodePorts, and the first of each family is the one by
 * which connections are handed to Envoy (none: by the address of the interface they came in by).
 */
export function planNodeAddresses(nodeAddresses: NodeAddresses): PlanElement[] {
  const elements: PlanElement[] = [];
  for (const family of IP_FAMILIES) {
    const [first] = nodeAddresses[family];
    if (first !== undefined) {
      elements.push({ container: `envoy-address-${SUFFIX[family]}`, key: "tcp", value: first });
    }
    for (const address of new Set(nodeAddresses[family])) {
      elements.push({ container: `node-addresses-${SUFFIX[family]}`, key: address, value: "" });
    }
  }
  return elements;
}

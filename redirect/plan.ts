/**
 * Decides which elements of the sets and maps a ServicePort, and this node, ask for.
 *
 * In: a ServicePort, or what is known of this node. Out: PlanElements, in stable order. Pure.
 * Invariants: the path is `pathOf`'s decision alone, and the endpoints are the first of `endpointTiers`; every key and value is
 * canonical text as `nft -j list` prints it back, so that what the kernel holds can be compared with the plan as text.
 *
 * A destination that Envoy serves has its endpoints in the kernel as well, so that it outlives Envoy. Envoy goes on to the next
 * tier when a tier fails; the kernel knows of no failures, and has the first only.
 * @module
 */

import {
  type DestinationKind,
  type Endpoint,
  endpointsFor,
  endpointTiers,
  IP_FAMILIES,
  type IPFamily,
  type NodeAddresses,
  pathOf,
  type ServicePort,
  trafficPolicyOf,
} from "../agent/model/mod.ts";
import { balanceClass, MOST_PLACES } from "./balance.ts";
import { type DestinationSpace, type ElementContainer, SUFFIX } from "./containers.ts";
import { placed } from "./places.ts";
import { servedValue } from "./served_value.ts";

/** An element of a set or map. */
export interface PlanElement {
  readonly container: ElementContainer;
  /** nft text of the key, e.g. `10.96.0.10 . tcp . 80`. Unique within its container. */
  readonly key: string;
  /** nft text of the value, e.g. `4c51:1`; empty in a set. */
  readonly value: string;
}

/** What the kernel is to know of this node. */
export interface NodeState {
  readonly addresses: NodeAddresses;
  /** Envoy can be sent connections; otherwise the kernel balances those that are Envoy's. */
  readonly envoyReady: boolean;
}

/** A destination as the kernel keys it. */
interface Destination {
  readonly space: DestinationSpace;
  readonly family: IPFamily;
  readonly kind: DestinationKind;
  readonly key: string;
}

function* destinationsOf(servicePort: ServicePort): Generator<Destination> {
  const protocol = servicePort.name.protocol.toLowerCase();
  for (const { address, port, family, kind } of servicePort.vips) {
    yield { space: "ips", family, kind, key: `${address} . ${protocol} . ${port}` };
  }
  if (servicePort.nodePort === 0) return;
  const key = `${protocol} . ${servicePort.nodePort}`;
  for (const family of servicePort.families) yield { space: "nodeports", family, kind: "NodePort", key };
}

/** The endpoints the kernel balances among for a kind of destination, in the order of their places, as nft text. */
function placesOf(servicePort: ServicePort, family: IPFamily, kind: DestinationKind): readonly string[] {
  const [first = []] = endpointTiers(endpointsFor(servicePort, family, kind), servicePort.preferredZone);
  return placed(first.map(socketText), (socket) => socket).slice(0, MOST_PLACES);
}

function socketText({ address, port }: Endpoint): string {
  return `${address} . ${port}`;
}

/**
 * The elements of one ServicePort: for each VIP, and for each family of its NodePort, what is known of the destination, and
 * one for each endpoint. Empty when there is no such ServicePort (`undefined`).
 */
export function planServicePort(servicePort: ServicePort | undefined): PlanElement[] {
  if (servicePort === undefined) return [];
  const elements: PlanElement[] = [];
  // Most destinations of a ServicePort have the same endpoints.
  const known = new Map<string, readonly string[]>();
  for (const { space, family, kind, key } of destinationsOf(servicePort)) {
    const suffix = SUFFIX[family];
    const path = pathOf(servicePort, family, kind);
    if (path === "drop") continue;
    if (path === "reject") {
      elements.push({ container: `no-endpoint-${space}-${suffix}`, key, value: "" });
      continue;
    }
    const whose = `${family} ${trafficPolicyOf(servicePort, kind)}`;
    const places = known.get(whose) ?? placesOf(servicePort, family, kind);
    known.set(whose, places);
    const value = servedValue(path, balanceClass(places.length));
    elements.push({ container: `service-${space}-${suffix}`, key, value });
    places.forEach((socket, place) =>
      elements.push({ container: `endpoints-${space}-${suffix}`, key: `${key} . ${place}`, value: socket })
    );
  }
  return elements;
}

/**
 * The elements for this node: all its addresses answer NodePorts, and the first of each family is the one by which
 * connections are handed to Envoy (none: by the address of the interface they came in by).
 */
export function planNode({ addresses, envoyReady }: NodeState): PlanElement[] {
  const elements: PlanElement[] = [];
  if (envoyReady) elements.push({ container: "envoy-ready", key: "tcp", value: "" });
  for (const family of IP_FAMILIES) {
    const [first] = addresses[family];
    if (first !== undefined) {
      elements.push({ container: `envoy-address-${SUFFIX[family]}`, key: "tcp", value: first });
    }
    for (const address of new Set(addresses[family])) {
      elements.push({ container: `node-addresses-${SUFFIX[family]}`, key: address, value: "" });
    }
  }
  return elements;
}

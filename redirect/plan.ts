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
  insideEndpointsFor,
  IP_FAMILIES,
  type IPFamily,
  isMasqueraded,
  type NodeAddresses,
  pathOf,
  type ServicePort,
} from "../agent/model/mod.ts";
import { endpointId, timeoutValue } from "./affinity.ts";
import { balanceClass, MOST_PLACES, placeText } from "./balance.ts";
import { type DestinationSpace, type ElementContainer, type ServedSpace, SUFFIX } from "./containers.ts";
import { placed } from "./places.ts";
import { type ServedPath, servedValue } from "./served_value.ts";
import { kernelRanges } from "./source_ranges.ts";

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
  /** Ranges in which every address that no Service has is nobody's: canonical CIDRs. @default none */
  readonly serviceCIDRs?: Readonly<Record<IPFamily, readonly string[]>>;
  /** Where nobody tells Envoy of Clusters: all it can carry. Undefined: somebody does. */
  readonly envoyAloneWith?: readonly Socket[] | undefined;
}

/** A TCP destination, whoever it belongs to. */
export interface Socket {
  /** Canonical text, without brackets. */
  readonly address: string;
  readonly family: IPFamily;
  readonly port: number;
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

/** The endpoints the kernel balances among, in the order of their places. */
function placesOf(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const [first = []] = endpointTiers(endpoints);
  return placed(first, socketText).slice(0, MOST_PLACES);
}

function socketText({ address, port }: Endpoint): string {
  return `${address} . ${port}`;
}

/**
 * The elements of one ServicePort: for each VIP, and for each family of its NodePort, what is known of the destination, and
 * one for each endpoint; for endpoints some that others may ask for too (`shared_elements.ts`). Empty when
 * there is no such ServicePort (`undefined`).
 */
export function planServicePort(servicePort: ServicePort | undefined): PlanElement[] {
  if (servicePort === undefined) return [];
  const elements: PlanElement[] = [];
  // Most destinations of a ServicePort have the same endpoints.
  const known = new Map<readonly Endpoint[], readonly Endpoint[]>();
  const places = (endpoints: readonly Endpoint[]): readonly Endpoint[] => {
    const inOrder = known.get(endpoints) ?? placesOf(endpoints);
    known.set(endpoints, inOrder);
    return inOrder;
  };
  for (const destination of destinationsOf(servicePort)) {
    elements.push(...planSources(servicePort, destination));
    elements.push(...planDestination(servicePort, destination, places));
  }
  elements.push(...planClusterIPs(servicePort));
  elements.push(...planHairpins(known));
  if (servicePort.affinityTimeoutSeconds > 0) elements.push(...planEndpointIds(known));
  return elements;
}

/** How a destination is served, to whom. `places` gives endpoints their order. */
function planDestination(
  servicePort: ServicePort,
  destination: Destination,
  places: (endpoints: readonly Endpoint[]) => readonly Endpoint[],
): PlanElement[] {
  const { family, kind, space } = destination;
  const path = pathOf(servicePort, family, kind);
  const inside = insideEndpointsFor(servicePort, family, kind);
  const elements: PlanElement[] = [];
  if (inside !== undefined) {
    const served = { path: "kernel", places: places(inside), space: `inside-${space}` } as const;
    elements.push(...planServed(servicePort, { ...served, destination }));
  }
  if (path !== "reject" && path !== "drop") {
    const served = { path, places: places(endpointsFor(servicePort, family, kind)), space };
    elements.push(...planServed(servicePort, { ...served, destination }));
    if (isMasqueraded(servicePort, kind)) elements.push(flag("masquerade", destination));
    // What is there for the inside is dropped where that is found out (`service_chains.ts`).
  } else if (inside === undefined) return [unserved(path, destination)];
  return [...elements, ...planSticky(servicePort, destination)];
}

function flag(
  container: "no-endpoint" | "no-local-endpoint" | "masquerade",
  { space, family, key }: Destination,
): PlanElement {
  return { container: `${container}-${space}-${SUFFIX[family]}`, key, value: "" };
}

function unserved(path: "reject" | "drop", destination: Destination): PlanElement {
  return flag(path === "reject" ? "no-endpoint" : "no-local-endpoint", destination);
}

interface ServedDestination {
  readonly path: ServedPath;
  readonly places: readonly Endpoint[];
  readonly space: ServedSpace;
  readonly destination: Destination;
}

function planServed(
  { affinityTimeoutSeconds }: ServicePort,
  { path, places, space, destination: { family, key } }: ServedDestination,
): PlanElement[] {
  const suffix = SUFFIX[family];
  const affine = affinityTimeoutSeconds > 0;
  const value = servedValue({ path, classIndex: balanceClass(places.length), affine });
  const elements: PlanElement[] = [{ container: `service-${space}-${suffix}`, key, value }];
  places.forEach((endpoint, place) =>
    elements.push({
      container: `endpoints-${space}-${suffix}`,
      key: `${key} . ${placeText(place)}`,
      value: socketText(endpoint),
    })
  );
  if (!affine) return elements;
  for (const endpoint of places) {
    const socket = socketText(endpoint);
    elements.push({
      container: `affine-${space}-${suffix}`,
      key: `${key} . ${endpointId(socket)}`,
      value: socket,
    });
  }
  return elements;
}

/** How long clients keep their endpoints, where they do. */
function planSticky(
  { affinityTimeoutSeconds }: ServicePort,
  { space, family, key }: Destination,
): PlanElement[] {
  if (affinityTimeoutSeconds === 0) return [];
  const value = timeoutValue(affinityTimeoutSeconds);
  return [{ container: `sticky-${space}-${SUFFIX[family]}`, key, value }];
}

/** Who may connect to a LoadBalancer's address, where not everybody may. */
function planSources(servicePort: ServicePort, { family, kind, key }: Destination): PlanElement[] {
  const { IPv4, IPv6 } = servicePort.loadBalancerSourceRanges;
  // Ranges of one family shut out the other: that nobody of it was named is no reason to let everybody in.
  if (kind !== "LoadBalancerIP" || IPv4.length + IPv6.length === 0) return [];
  const suffix = SUFFIX[family];
  const ranges = kernelRanges(servicePort.loadBalancerSourceRanges[family]);
  return [
    { container: `restricted-ips-${suffix}`, key, value: "" },
    ...ranges.map((range): PlanElement => ({
      container: `allowed-sources-${suffix}`,
      key: `${key} . ${range}`,
      value: "",
    })),
  ];
}

/** What endpoints of this node send to themselves. */
function planHairpins(known: ReadonlyMap<unknown, readonly Endpoint[]>): PlanElement[] {
  const addresses = new Set<string>();
  for (const places of known.values()) {
    for (const { address, isLocal, nodeUnknown } of places) {
      if (isLocal || nodeUnknown) addresses.add(address);
    }
  }
  return [...addresses].map((address) => ({
    container: address.includes(":") ? "hairpin-6" : "hairpin-4",
    key: `${address} . ${address}`,
    value: "",
  }));
}

/** Addresses that are the cluster's alone: what none of their ports serves is refused. */
function planClusterIPs({ vips }: ServicePort): PlanElement[] {
  return vips.filter(({ kind }) => kind === "ClusterIP").map(({ address, family }) => ({
    container: `cluster-ips-${SUFFIX[family]}`,
    key: address,
    value: "",
  }));
}

/** The names of endpoints whose clients are remembered. */
function planEndpointIds(known: ReadonlyMap<unknown, readonly Endpoint[]>): PlanElement[] {
  const sockets = new Set([...known.values()].flatMap((places) => places.map(socketText)));
  return [...sockets].map((socket) => ({
    container: socket.includes(":") ? "endpoint-ids-6" : "endpoint-ids-4",
    key: socket,
    value: endpointId(socket),
  }));
}

/**
 * The elements for this node: all its addresses answer NodePorts, and the first of each family is the one by which
 * connections are handed to Envoy (none: by the address of the interface they came in by).
 */
export function planNode({ addresses, envoyReady, serviceCIDRs, envoyAloneWith }: NodeState): PlanElement[] {
  const elements: PlanElement[] = [];
  if (envoyReady) elements.push({ container: "envoy-ready", key: "tcp", value: "" });
  if (envoyAloneWith !== undefined) elements.push({ container: "envoy-alone", key: "tcp", value: "" });
  for (const { address, family, port } of envoyAloneWith ?? []) {
    elements.push({
      container: `envoy-holds-${SUFFIX[family]}`,
      key: `${address} . tcp . ${port}`,
      value: "",
    });
  }
  for (const family of IP_FAMILIES) {
    const [first] = addresses[family];
    if (first !== undefined) {
      elements.push({ container: `envoy-address-${SUFFIX[family]}`, key: "tcp", value: first });
    }
    for (const address of new Set(addresses[family])) {
      elements.push({ container: `node-addresses-${SUFFIX[family]}`, key: address, value: "" });
    }
    for (const range of kernelRanges(serviceCIDRs?.[family] ?? [])) {
      elements.push({ container: `service-cidrs-${SUFFIX[family]}`, key: range, value: "" });
    }
  }
  return elements;
}

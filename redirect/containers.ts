/**
 * The sets and maps of the nft table: what each holds, under which key, with which value.
 *
 * In: nothing. Out: names and types. What is in them is decided in `plan.ts`, what is done with it in `layout.ts`.
 * Invariant: a destination (`ips`: an address, protocol and port; `nodeports`: protocol and port, at any address of this node)
 * is one element of `service-…` where it is served, else of at most one of the `no-…` sets. One that connections from inside the
 * cluster find served otherwise is an element of `service-inside-…` as well.
 *
 * `service-…` are maps to data and not to verdicts: when an element with a `goto` is added, the kernel visits every element
 * of every such map to make sure that chains form no loop (nft_lookup_validate). At 50,000 elements that was 10.8 ms of
 * kernel time for each change (1 ms at 10,000); an element of a map to data takes 0.1 ms at any size. For the value see
 * `served_value.ts`.
 *
 * `endpoints-…` hold all protocols at once: with `typeof`, `th dport` names the port of any. The last part of their key is a
 * number that is drawn for each connection (`balance.ts`), and stands in the packet's priority when it is looked up.
 * @module
 */

import type { IPFamily } from "../agent/model/mod.ts";

/** How names tell the families apart. */
export type FamilySuffix = "4" | "6";

/** The suffix of a family. */
export const SUFFIX: Readonly<Record<IPFamily, FamilySuffix>> = { IPv4: "4", IPv6: "6" };

/** Destinations by address, protocol and port; by protocol and port on this node's addresses. */
export type DestinationSpace = "ips" | "nodeports";

/** Both, in the order in which they are asked. */
export const DESTINATION_SPACES: readonly DestinationSpace[] = ["ips", "nodeports"];

/** The same destinations as everybody finds them; as only connections from inside the cluster do. */
export type ServedSpace = DestinationSpace | `inside-${DestinationSpace}`;

/** How a destination is served: a container for each space in which it may be, and family. */
// `affine`: endpoints by name, of destinations whose clients keep theirs.
const SERVED_CONTAINERS = ["service", "endpoints", "affine"] as const;

/** What else is known of destinations: a container for each space and family. */
const DESTINATION_CONTAINERS = [
  "no-endpoint",
  "no-local-endpoint",
  "masquerade",
  // Of destinations whose clients keep their endpoints: for how long.
  "sticky",
] as const;

/** What is known of this node, and of who may connect: a container for each family. */
const FAMILY_CONTAINERS = [
  "envoy-address",
  "envoy-holds",
  "node-addresses",
  "service-cidrs",
  "cluster-ips",
  "hairpin",
  "endpoint-ids",
  "clients",
  "restricted-ips",
  "allowed-sources",
] as const;

/** Name of a set or map of the table. */
export type ElementContainer =
  | "envoy-ready"
  | "envoy-alone"
  | "envoy-gone"
  | `${typeof FAMILY_CONTAINERS[number]}-${FamilySuffix}`
  | `${typeof SERVED_CONTAINERS[number]}-${ServedSpace}-${FamilySuffix}`
  | `${typeof DESTINATION_CONTAINERS[number]}-${DestinationSpace}-${FamilySuffix}`;

/** A named set (without `valueTypes`) or map. */
export interface LayoutContainer {
  readonly name: ElementContainer;
  /** nft data types of the concatenated key, as `nft -j list` prints them. */
  readonly keyTypes: readonly string[];
  /** nft data types of the concatenated value; empty for a set. */
  readonly valueTypes: readonly string[];
  /** Whether the last part of a key may be a prefix, e.g. `10.0.0.0/8`. */
  readonly interval?: true;
  /** How many elements the kernel itself may add; they are no part of a plan. */
  readonly dynamicSize?: number;
  /** The same in expressions, where data types cannot say it: key, and value of a map. */
  readonly typeOf?: readonly [string, string];
}

interface FamilyWords {
  readonly suffix: FamilySuffix;
  /** The data type of an address. */
  readonly address: string;
  /** The expression of a packet's destination. */
  readonly daddr: string;
}

const FAMILIES: readonly FamilyWords[] = [
  { suffix: "4", address: "ipv4_addr", daddr: "ip daddr" },
  { suffix: "6", address: "ipv6_addr", daddr: "ip6 daddr" },
];

/** Clients that are remembered at a time, of all destinations of a family; others are given any endpoint each time. */
const MOST_CLIENTS = 262_144;

const PORT_TYPES = ["inet_proto", "inet_service"];

function nodeContainers({ suffix, address }: FamilyWords): LayoutContainer[] {
  return [
    // One element, keyed by `tcp`: a map is how a rule takes an address from elements.
    { name: `envoy-address-${suffix}`, keyTypes: ["inet_proto"], valueTypes: [address] },
    { name: `envoy-holds-${suffix}`, keyTypes: [address, ...PORT_TYPES], valueTypes: [] },
    { name: `node-addresses-${suffix}`, keyTypes: [address], valueTypes: [] },
    { name: `service-cidrs-${suffix}`, keyTypes: [address], valueTypes: [], interval: true },
    // Kinds of elements that several ServicePorts ask for. The address of a Service:
    { name: `cluster-ips-${suffix}`, keyTypes: [address], valueTypes: [] },
    // An endpoint that is, or may be, on this node, twice: what it sends to itself.
    { name: `hairpin-${suffix}`, keyTypes: [address, address], valueTypes: [] },
    // An endpoint's name (`affinity.ts`).
    { name: `endpoint-ids-${suffix}`, keyTypes: [address, "inet_service"], valueTypes: ["classid"] },
    // Hashes of clients and destinations, with the name of the endpoint that was given.
    {
      name: `clients-${suffix}`,
      keyTypes: ["integer"],
      valueTypes: ["classid"],
      typeOf: ["numgen random mod 65536", "meta priority"],
      dynamicSize: MOST_CLIENTS,
    },
  ];
}

function sourceContainers({ suffix, address }: FamilyWords): LayoutContainer[] {
  const keyTypes = [address, ...PORT_TYPES];
  return [
    { name: `restricted-ips-${suffix}`, keyTypes, valueTypes: [] },
    { name: `allowed-sources-${suffix}`, keyTypes: [...keyTypes, address], valueTypes: [], interval: true },
  ];
}

/** Whether destinations of a space are told apart by their address too. */
export function isByAddress(space: ServedSpace): boolean {
  return space === "ips" || space === "inside-ips";
}

function keyTypesOf(space: ServedSpace, { address }: FamilyWords): readonly string[] {
  return isByAddress(space) ? [address, ...PORT_TYPES] : PORT_TYPES;
}

function servedContainers(space: ServedSpace, words: FamilyWords): LayoutContainer[] {
  const { suffix, address, daddr } = words;
  const keyTypes = keyTypesOf(space, words);
  const key = isByAddress(space) ? `${daddr} . meta l4proto . th dport` : "meta l4proto . th dport";
  // By the number of a place, or by an endpoint's name: either stands in the packet's priority when it is looked up.
  const endpoints = {
    keyTypes: [...keyTypes, "classid"],
    valueTypes: [address, "inet_service"],
    typeOf: [`${key} . meta priority`, `${daddr} . th dport`],
  } as const;
  return [
    { name: `service-${space}-${suffix}`, keyTypes, valueTypes: ["classid"] },
    { name: `endpoints-${space}-${suffix}`, ...endpoints },
    { name: `affine-${space}-${suffix}`, ...endpoints },
  ];
}

function destinationContainers(space: DestinationSpace, words: FamilyWords): LayoutContainer[] {
  const { suffix } = words;
  const keyTypes = keyTypesOf(space, words);
  return [
    { name: `no-endpoint-${space}-${suffix}`, keyTypes, valueTypes: [] },
    { name: `no-local-endpoint-${space}-${suffix}`, keyTypes, valueTypes: [] },
    { name: `masquerade-${space}-${suffix}`, keyTypes, valueTypes: [] },
    { name: `sticky-${space}-${suffix}`, keyTypes, valueTypes: ["classid"] },
  ];
}

/** Everything that holds elements, in the order in which elements are written. */
export const CONTAINERS: readonly LayoutContainer[] = [
  // Holds `tcp` while Envoy can be sent connections.
  { name: "envoy-ready", keyTypes: ["inet_proto"], valueTypes: [] },
  // Holds `tcp` while nobody tells Envoy of Clusters: then it carries what it holds, and no more.
  { name: "envoy-alone", keyTypes: ["inet_proto"], valueTypes: [] },
  // Holds `tcp` for a while after the kernel found nobody at Envoy's ports, whoever else may know or not.
  { name: "envoy-gone", keyTypes: ["inet_proto"], valueTypes: [], dynamicSize: 16 },
  ...FAMILIES.flatMap(nodeContainers),
  ...DESTINATION_SPACES.flatMap((space) =>
    FAMILIES.flatMap((words) => [
      ...servedContainers(space, words),
      ...destinationContainers(space, words),
      ...servedContainers(`inside-${space}`, words),
    ])
  ),
  ...FAMILIES.flatMap(sourceContainers),
];

/** Whether several ServicePorts may ask for the same element of a container. */
export function isShared(container: ElementContainer): boolean {
  return /^(cluster-ips|hairpin|endpoint-ids)-/.test(container);
}

/** Their places in that order. */
export const CONTAINER_ORDER: ReadonlyMap<string, number> = new Map(
  CONTAINERS.map(({ name }, index) => [name, index]),
);

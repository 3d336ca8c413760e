/**
 * Who has which address in the lab of the cases, and which ones a scenario's Service has. Pure.
 *
 * In: the scenario's place in the table. Out: addresses and ports no other scenario has.
 * @module
 */
import type { IPFamily } from "../../agent/model/mod.ts";
import {
  type DualStack,
  NODE_ADDRESSES,
  type NodeName,
  OUTSIDE_ADDRESSES,
  podAddresses,
} from "../lab/cluster_addresses.ts";
import type { Backend, Place, Scenario } from "./case.ts";

/** A text per family. */
export type ByFamily = Readonly<Record<IPFamily, string>>;

/** The service CIDRs, as kube-apiserver is told. */
export const SERVICE_CIDRS: ByFamily = { IPv4: "10.96.0.0/16", IPv6: "fd00:96::/108" };
/** What all pods' addresses are in. */
export const CLUSTER_CIDRS: ByFamily = { IPv4: "10.244.0.0/16", IPv6: "fd00:10:244::/48" };
/** What the machine beyond the nodes sends to node-a. */
export const ROUTED_TO_NODE_A: readonly string[] = [
  ...Object.values(SERVICE_CIDRS),
  ...["198.51.100.0/24", "fd00:198::/64"],
  ...["203.0.113.0/24", "fd00:203::/64"],
];
/** In the service CIDRs, and nobody's. */
export const UNALLOCATED: ByFamily = { IPv4: "10.96.200.200", IPv6: "fd00:96::f:c8" };
/** Source ranges that let only `outside` through. */
export const OUTSIDE_RANGES: readonly string[] = ["192.168.77.1/32", "fd00:192:168:77::1/128"];
/** A source range in which nobody is. */
export const NOBODYS_RANGES: readonly string[] = ["192.0.2.0/24", "fd00:2::/64"];

/** The last part of the servers' pods' addresses. */
export const POD_HOSTS: Readonly<Record<"a1" | "a2" | "b1" | "b2", number>> = {
  a1: 11,
  a2: 12,
  b1: 11,
  b2: 12,
};
/** The same of the pods that only ask. */
export const CLIENT_HOST = 100;
/** Where all servers answer. */
export const BACKEND_PORTS: readonly number[] = [8080, 8081];

/** The zone of each node. */
export const ZONES: Readonly<Record<NodeName, string>> = { "node-a": "zone-a", "node-b": "zone-b" };

/** On which node a server is; undefined for the machine beyond. */
export function nodeOf(backend: Backend): NodeName | undefined {
  switch (backend) {
    case "a1":
    case "a2":
    case "node-a":
      return "node-a";
    case "b1":
    case "b2":
      return "node-b";
    case "outside":
      return undefined;
    default:
      throw new TypeError(`unknown backend ${backend satisfies never}`);
  }
}

/** A server's address. */
export function addressOf(backend: Backend): ByFamily {
  switch (backend) {
    case "node-a":
      return byFamily(NODE_ADDRESSES["node-a"].primary);
    case "outside":
      return byFamily(OUTSIDE_ADDRESSES);
    case "a1":
    case "a2":
      return byFamily(podAddresses("node-a", POD_HOSTS[backend]));
    case "b1":
    case "b2":
      return byFamily(podAddresses("node-b", POD_HOSTS[backend]));
    default:
      throw new TypeError(`unknown backend ${backend satisfies never}`);
  }
}

/** The addresses a machine may ask from. */
export function sourcesOf(place: Place, family: IPFamily): readonly string[] {
  switch (place) {
    case "pod-a":
      return [byFamily(podAddresses("node-a", CLIENT_HOST))[family]];
    case "pod-b":
      return [byFamily(podAddresses("node-b", CLIENT_HOST))[family]];
    case "node-a":
    case "node-b": {
      const { primary, secondary, gateway } = NODE_ADDRESSES[place];
      return [primary, secondary, gateway].map((addresses) => byFamily(addresses)[family]);
    }
    default:
      return [addressOf(place)[family]];
  }
}

/** Addresses as the lab has them. */
export function byFamily({ ipv4, ipv6 }: DualStack): ByFamily {
  return { IPv4: ipv4, IPv6: ipv6 };
}

/** What the Service of a scenario has for itself. */
export interface ServiceAddresses {
  readonly clusterIPs: ByFamily;
  readonly loadBalancerIPs: ByFamily;
  readonly externalIPs: ByFamily;
  /** The first of ten NodePorts; the last of them is for health checks. */
  readonly nodePort: number;
}

/** @param index The scenario's place in the table, below 200. */
export function serviceAddresses(
  { service: { externalIPs = "own", loadBalancerIPs = "own" } }: Scenario,
  index: number,
): ServiceAddresses {
  const host = index + 10;
  const at = (ipv4: string, ipv6: string): ByFamily => ({
    IPv4: `${ipv4}${host}`,
    IPv6: `${ipv6}${host.toString(16)}`,
  });
  const balanced = loadBalancerIPs === "own"
    ? at("198.51.100.", "fd00:198::")
    : byFamily(NODE_ADDRESSES[loadBalancerIPs].secondary);
  return {
    clusterIPs: at("10.96.1.", "fd00:96::1:"),
    loadBalancerIPs: balanced,
    externalIPs: externalIPs === "own"
      ? at("203.0.113.", "fd00:203::")
      : externalIPs === "load-balancer"
      ? balanced
      : byFamily(NODE_ADDRESSES[externalIPs].primary),
    nodePort: 30_000 + index * 10,
  };
}

/**
 * The vocabulary of chains, and what the files of chains have in common.
 * @module
 */

import type { IPFamily, Marks } from "../agent/model/mod.ts";
import { type DestinationSpace, type FamilySuffix, isByAddress, type ServedSpace } from "./containers.ts";
import { kernelRanges } from "./source_ranges.ts";

/** A rule: its nft text without the comment, and a few words of purpose for whoever lists the table. */
export interface LayoutRule {
  readonly text: string;
  readonly purpose: string;
}

/** Where a base chain hangs. The policy is always `accept`. */
export interface LayoutHook {
  readonly type: "nat" | "filter" | "route";
  readonly hook: "prerouting" | "input" | "forward" | "output" | "postrouting";
  readonly priority: number;
}

/** A chain; without `hook` it is only reached from others. */
export interface LayoutChain {
  readonly name: string;
  readonly hook: LayoutHook | undefined;
  readonly rules: readonly LayoutRule[];
}

/** How long conntrack remembers TCP connections that are given it, by `ct timeout set`, where that is not as usual. */
export interface LayoutTimeout {
  readonly name: string;
  /** The kernel wants an object for each family. */
  readonly ip: "ip" | "ip6";
  /** Seconds by state, as nft spells and orders them. */
  readonly policy: Readonly<Partial<Record<"syn_sent" | "close", number>>>;
}

/** Ports of Envoy's constant listeners on this node, 1-65535. */
export interface EnvoyPorts {
  readonly tcp: number;
  readonly http: number;
}

/** What depends on settings. */
export interface LayoutOptions {
  readonly ports: EnvoyPorts;
  /** What all pods' addresses are in, canonical; of a family without any it is not known who is a pod. */
  readonly clusterCIDRs: Readonly<Record<IPFamily, readonly string[]>>;
  /** Of the connections that Envoy makes in a client's name. */
  readonly marks: Marks;
  /** Whether the kernel takes `ct timeout` (CONFIG_NF_CONNTRACK_TIMEOUT). */
  readonly hasTimeouts: boolean;
}

/** Before every other NAT chain of the usual priority, and, for other chains, after conntrack and before NAT as such. */
export const BEFORE_DSTNAT = -110;
/** Where filtering is usual: after NAT, and after routing where that comes between. */
export const FILTER = 0;

/** A family as expressions spell it. */
export interface FamilyExpressions {
  readonly family: IPFamily;
  readonly suffix: FamilySuffix;
  readonly ip: "ip" | "ip6";
}

/** Both families. */
export const FAMILY_EXPRESSIONS: readonly FamilyExpressions[] = [
  { family: "IPv4", suffix: "4", ip: "ip" },
  { family: "IPv6", suffix: "6", ip: "ip6" },
];

/** The key of a packet's destination in a space: what the containers of that space are looked up by. */
export function destinationKey(space: ServedSpace, { ip }: FamilyExpressions): string {
  return isByAddress(space) ? `${ip} daddr . meta l4proto . th dport` : "meta l4proto . th dport";
}

/** What must hold for a packet before its destination is looked up in a space, with a blank after it. */
export function spaceCondition(space: DestinationSpace, { ip, suffix }: FamilyExpressions): string {
  return space === "ips" ? "" : `${ip} daddr @node-addresses-${suffix} `;
}

/** The same of where a connection was going before it was translated. nft must know the protocol to know the size of a port. */
export function originalKey(space: DestinationSpace, { ip, suffix }: FamilyExpressions): {
  readonly condition: string;
  readonly key: string;
} {
  const address = `ct original ${ip} daddr`;
  return space === "ips" ? { condition: "", key: `${address} . meta l4proto . ct original proto-dst` } : {
    condition: `${address} @node-addresses-${suffix} `,
    key: "meta l4proto . ct original proto-dst",
  };
}

/** That a packet comes from a pod, or from none (`not`). Undefined where it is not known who is one. */
export function fromPod(
  { family, ip }: FamilyExpressions,
  { clusterCIDRs }: Pick<LayoutOptions, "clusterCIDRs">,
  not?: "not",
): string | undefined {
  const ranges = kernelRanges(clusterCIDRs[family]);
  if (ranges.length === 0) return undefined;
  const cidrs = ranges.length === 1 ? ranges[0] : `{ ${ranges.join(", ")} }`;
  return `${ip} saddr ${not ? "!= " : ""}${cidrs}`;
}

/** What a space's elements are, for comments. */
export const SPACE_PURPOSE: Readonly<Record<DestinationSpace, string>> = {
  ips: "VIPs",
  nodeports: "NodePorts",
};

/** A chain that is reached from others only. */
export function chain(name: string, rules: readonly LayoutRule[]): LayoutChain {
  return { name, hook: undefined, rules };
}

/** A chain that hangs in a hook. */
export function baseChain(name: string, hook: LayoutHook, rules: readonly LayoutRule[]): LayoutChain {
  return { name, hook, rules };
}

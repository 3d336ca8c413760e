/**
 * The vocabulary of chains in iptables, and their names.
 *
 * Invariant: all names begin with `LIGHTPATH`; none is longer than 28 characters, which is iptables' limit.
 * @module
 */

import { createHash } from "node:crypto";
import type { FamilySuffix } from "../containers.ts";

/** A table that we have chains in. */
export type Table = "nat" | "filter";

/** Both, in the order in which they are written: what must not be translated is refused first. */
export const TABLES: readonly Table[] = ["filter", "nat"];

/** All our chains begin so. */
export const CHAIN_PREFIX = "LIGHTPATH";

/** A rule of the constant part: what stands behind `-A CHAIN`, and a few words for whoever lists it (iptables quotes an apostrophe). */
export interface LayoutRule {
  readonly text: string;
  readonly purpose: string;
}

/** A chain of ours, or one of the kernel's in front of which our rules are put. */
export interface LayoutChain {
  readonly table: Table;
  readonly name: string;
  readonly isKernels?: true;
  readonly rules: readonly LayoutRule[];
}

/** The rule as it is given to iptables: the comment comes before the target, as `iptables-save` prints it. */
export function commentedRule(chain: string, rule: LayoutRule): string {
  const [, matches = "", target = ""] = /^(.*?)(-[jg] .*)$/.exec(rule.text) ?? [];
  return `${matches}-m comment --comment "${ruleComment(chain, rule)}" ${target}`;
}

/** Tells rules apart whatever version prints them: a hash of chain and text, e.g. `VIPs #1a2b3c4d`. */
export function ruleComment(chain: string, { text, purpose }: LayoutRule): string {
  return `Lightpath: ${purpose} #${hexHash(`${chain} ${text}`, 8)}`;
}

/** Who finds a destination served so: everybody (else), or only connections from inside the cluster (`../containers.ts`). */
export type Side = "outside" | "inside";

const DESTINATION_PREFIXES: Readonly<Record<Side, string>> = { outside: "D", inside: "I" };

/** The name of the chain of a destination, by its key. */
export function destinationChainName(key: string, side: Side): string {
  return `${CHAIN_PREFIX}-${DESTINATION_PREFIXES[side]}-${hexHash(key, 16)}`;
}

/** The first hexadecimal digits of a text's SHA-256. */
export function hexHash(text: string, digits: number): string {
  return createHash("sha256").update(text).digest("hex").slice(0, digits);
}

/** What differs between the families, as iptables spells it. */
export interface FamilyWords {
  readonly suffix: FamilySuffix;
  /** What is appended to a lone address, as `iptables-save` does. */
  readonly host: "/32" | "/128";
  /** The mask of all bits. */
  readonly everyBit: string;
  readonly unreachable: "icmp-port-unreachable" | "icmp6-port-unreachable";
}

/** By family. */
export const FAMILY_WORDS: Readonly<Record<FamilySuffix, FamilyWords>> = {
  "4": { suffix: "4", host: "/32", everyBit: "255.255.255.255", unreachable: "icmp-port-unreachable" },
  "6": {
    suffix: "6",
    host: "/128",
    everyBit: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    unreachable: "icmp6-port-unreachable",
  },
};

/** An address and port as a target takes them. */
export function socketText(address: string, port: string): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

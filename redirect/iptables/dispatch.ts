/**
 * Leads a packet to the chain of its destination, without asking one rule for each destination there is.
 *
 * In: a destination. Out: the chains that lead there, and the rule of each. Pure.
 *
 * iptables asks rule after rule, and kube-proxy's list of Services is one chain. Here it is a tree of two levels: by the last
 * five bits of the address, by the five before (clusters allocate at random, so these differ), then the destination itself. For
 * NodePorts by the first five bits of the port, by the next five, then the port. Of 10,000 VIPs a new connection asks 37
 * rules on average, of 50,000 57; in a list it would be 5,000 and 25,000. Those that are served otherwise inside have a tree of their own.
 *
 * A branch exists when something is behind it, so that a change touches the chains on its way only.
 * @module
 */

import type { FamilySuffix } from "../containers.ts";
import { destinationChainName, FAMILY_WORDS, type Side } from "./chains.ts";
import { TREES } from "./layout.ts";

/** A branch or leaf of the tree: the rule by which its parent leads there. */
export interface Branch {
  readonly parent: string;
  readonly child: string;
  readonly rule: string;
}

/** The last ten bits of an address. */
function lastBits(address: string): number {
  if (!address.includes(":")) {
    const [third = 0, fourth = 0] = address.split(".").slice(2).map(Number);
    return ((third << 8) | fourth) & 0x3ff;
  }
  // Canonical text: a group that is left out is zero.
  return Number.parseInt(address.slice(address.lastIndexOf(":") + 1) || "0", 16) & 0x3ff;
}

/** A match of some of the last ten bits, as `iptables-save` prints it. */
function bitsMatch(bits: number, mask: number, suffix: FamilySuffix): string {
  const text = (value: number): string =>
    suffix === "4" ? `0.0.${value >> 8}.${value & 0xff}` : value === 0 ? "::" : `::${value.toString(16)}`;
  return `-d ${text(bits & mask)}/${text(mask)}`;
}

function vipBranches(
  { address, protocol, port }: VIPKey,
  suffix: FamilySuffix,
  root: string,
): Omit<Branch, "parent">[] {
  const bits = lastBits(address);
  const first = `${root}-${bits & 0x1f}`;
  return [
    { child: first, rule: `${bitsMatch(bits, 0x1f, suffix)} -g ${first}` },
    { child: `${first}-${bits >> 5}`, rule: `${bitsMatch(bits, 0x3e0, suffix)} -g ${first}-${bits >> 5}` },
    {
      child: "",
      rule: `-d ${address}${FAMILY_WORDS[suffix].host} -p ${protocol} -m ${protocol} --dport ${port}`,
    },
  ];
}

function nodePortBranches(protocol: string, port: number, root: string): Omit<Branch, "parent">[] {
  const ports = (shift: number): string => {
    const low = port >> shift << shift;
    return `-p ${protocol} -m ${protocol} --dport ${low}:${low + (1 << shift) - 1}`;
  };
  const first = `${root}-${protocol}-${port >> 11}`;
  const second = `${first}-${(port >> 6) & 0x1f}`;
  return [
    { child: first, rule: `${ports(11)} -g ${first}` },
    { child: second, rule: `${ports(6)} -g ${second}` },
    { child: "", rule: `-p ${protocol} -m ${protocol} --dport ${port}` },
  ];
}

interface VIPKey {
  readonly address: string;
  readonly protocol: string;
  readonly port: string;
}

/** From the root to the chain of a destination, by its key: `10.96.0.10 . tcp . 80`, or `tcp . 30080`. */
export function branchesTo(key: string, side: Side, suffix: FamilySuffix): readonly Branch[] {
  const parts = key.split(" . ");
  const isVIP = parts.length === 3;
  const [address = "", protocol = "", port = ""] = isVIP ? parts : ["", ...parts];
  const root = TREES[side][isVIP ? "ips" : "nodeports"];
  const branches = isVIP
    ? vipBranches({ address, protocol, port }, suffix, root)
    : nodePortBranches(protocol, Number(port), root);
  const chain = destinationChainName(key, side);
  let parent: string = root;
  return branches.map(({ child, rule }) => {
    const branch = child === ""
      ? { parent, child: chain, rule: `${rule} -g ${chain}` }
      : { parent, child, rule };
    parent = branch.child;
    return branch;
  });
}

/** The key of a destination, of the rule that leads to its chain; undefined when it is no such rule. */
export function parseLeaf(rule: string): string | undefined {
  const [, address, protocol, port] =
    /^(?:-d (\S+)\/(?:32|128) )?-p (tcp|udp|sctp) -m \2 --dport (\d+) -g LIGHTPATH-[DI]-/.exec(rule) ?? [];
  if (port === undefined) return undefined;
  return address === undefined ? `${protocol} . ${port}` : `${address} . ${protocol} . ${port}`;
}

/**
 * The constant part of the nft table: names, sets, maps, chains and rules. Nothing here depends on the Services.
 *
 * In: the ports of Envoy's two constant listeners. Out: a `Layout` value, and the fingerprint by which the layout
 * found in the kernel is recognised as this one.
 * Invariants: one table, `inet lightpath`, nothing outside it; every rule carries a hash of its own text in its
 * comment, so that rules can be compared by what `nft -j list` prints whatever the version that prints it.
 *
 * Packet path, and why each hook:
 * - `nat-prerouting` (from pods and from outside) and `nat-output` (from the host) look up the destination and hand
 *   the connection to Envoy. Priority -110: chains of type nat all run at the kernel's own NAT step (dstnat, -100) and
 *   the priority only orders them among each other; the first that translates wins. So a VIP of ours goes to Envoy
 *   also where kube-proxy or a CNI port mapper (both -100) runs beside us. Envoy's own connections pass untouched.
 * - `reject-prerouting` and `reject-output` are of type filter, because `reject` is refused in nat chains. Priority -110
 *   is really before the NAT step (they see the VIP, not an endpoint) and after conntrack (-200), which they need for
 *   `ct state new`: a connection that already runs is left alone when the last endpoint goes.
 * - `guard-input` refuses whoever connects to Envoy's ports without having been sent there: no open proxy.
 * - `guard-output` drops what conntrack gave up on. Such a packet would leave untranslated, with Envoy's own address
 *   and port, and the client would answer it with a reset that kills its connection (kube-proxy: issue 74839).
 *
 * To Envoy by `dnat` to an address of this node, else by `redirect`: `redirect` takes the first address of the
 * interface the packet came in by, and drops the packet when it has none, which is how Calico sets up pods.
 *
 * A set for each way, and not one verdict map for all: when an element with a `goto` is added, the kernel visits every element
 * of every such map to make sure that chains form no loop (nft_lookup_validate). At 50,000 elements that was 10.8 ms of
 * kernel time for each change (1 ms at 10,000); an element of a set takes 0.1 ms at any size. A new connection pays with a
 * lookup or two more.
 *
 * Needs kernel 5.13 or newer (`reject` in prerouting alone needs 5.9, nat in inet 5.2) and nft 1.0.1 or newer.
 * Source of hooks and priorities: kubernetes/pkg/proxy/nftables/README.md; nft(8).
 * @module
 */

import { createHash } from "node:crypto";
import { ENVOY_SOCKET_PRIORITY } from "../agent/model/mod.ts";

/** The one table, as `nft` spells it in commands. */
export const TABLE = "inet lightpath";
/** Name of that table alone, as `nft -j` prints it. */
export const TABLE_NAME = "lightpath";

/** Ports of Envoy's constant listeners on this node, 1-65535. */
export interface EnvoyPorts {
  readonly tcp: number;
  readonly http: number;
}

/** Everything that holds elements, in the order in which elements are written. */
export const ELEMENT_CONTAINERS = [
  "envoy-address-4",
  "envoy-address-6",
  "node-addresses-4",
  "node-addresses-6",
  "envoy-http-ips-4",
  "envoy-http-ips-6",
  "envoy-http-nodeports-4",
  "envoy-http-nodeports-6",
  "envoy-tcp-ips-4",
  "envoy-tcp-ips-6",
  "envoy-tcp-nodeports-4",
  "envoy-tcp-nodeports-6",
  "no-endpoint-ips-4",
  "no-endpoint-ips-6",
  "no-endpoint-nodeports-4",
  "no-endpoint-nodeports-6",
] as const;

/** Name of a set or map of the table. */
export type ElementContainer = typeof ELEMENT_CONTAINERS[number];

/** A named set (`valueType` empty) or map. */
export interface LayoutContainer {
  readonly name: ElementContainer;
  /** nft data types of the concatenated key. */
  readonly keyTypes: readonly string[];
  /** nft data type of the value; empty for a set. */
  readonly valueType: string;
}

/** A rule: its nft text without the comment, and one word of purpose for whoever lists the table. */
export interface LayoutRule {
  readonly text: string;
  readonly purpose: string;
}

/** Where a base chain hangs. The policy is always `accept`. */
export interface LayoutHook {
  readonly type: "nat" | "filter";
  readonly hook: "prerouting" | "input" | "output";
  readonly priority: number;
}

/** A chain; without `hook` it is only reached from others. */
export interface LayoutChain {
  readonly name: string;
  readonly hook: LayoutHook | undefined;
  readonly rules: readonly LayoutRule[];
}

/** The constant part. Chains come before those that refer to them. */
export interface Layout {
  readonly containers: readonly LayoutContainer[];
  readonly chains: readonly LayoutChain[];
}

/** Before every other NAT chain of the usual priority, and, for filter chains, before NAT as such. */
const BEFORE_DSTNAT = -110;

function container(name: ElementContainer): LayoutContainer {
  const addressType = name.endsWith("-4") ? "ipv4_addr" : "ipv6_addr";
  if (name.startsWith("envoy-address")) return { name, keyTypes: ["inet_proto"], valueType: addressType };
  if (name.startsWith("node-addresses")) return { name, keyTypes: [addressType], valueType: "" };
  const port = ["inet_proto", "inet_service"];
  const keyTypes = name.includes("-ips-") ? [addressType, ...port] : port;
  return { name, keyTypes, valueType: "" };
}

function envoyChain(name: string, port: number): LayoutChain {
  return {
    name,
    hook: undefined,
    rules: [
      // A lookup that finds nothing ends the rule, and the next one is tried.
      {
        text: `meta l4proto tcp dnat ip to meta l4proto map @envoy-address-4 : ${port}`,
        purpose: "to Envoy, by this node's address",
      },
      {
        text: `meta l4proto tcp dnat ip6 to meta l4proto map @envoy-address-6 : ${port}`,
        purpose: "to Envoy, by this node's address",
      },
      {
        text: `meta l4proto tcp redirect to :${port}`,
        purpose: "to Envoy, by the interface's address",
      },
    ],
  };
}

function lookupRules(prefix: "envoy-http" | "envoy-tcp" | "no-endpoint", chain: string): LayoutRule[] {
  const port = "meta l4proto . th dport";
  return [
    { text: `ip daddr . ${port} @${prefix}-ips-4 goto ${chain}`, purpose: "VIPs" },
    { text: `ip6 daddr . ${port} @${prefix}-ips-6 goto ${chain}`, purpose: "VIPs" },
    {
      text: `ip daddr @node-addresses-4 ${port} @${prefix}-nodeports-4 goto ${chain}`,
      purpose: "NodePorts",
    },
    {
      text: `ip6 daddr @node-addresses-6 ${port} @${prefix}-nodeports-6 goto ${chain}`,
      purpose: "NodePorts",
    },
  ];
}

function base(name: string, hook: LayoutHook, rules: readonly LayoutRule[]): LayoutChain {
  return { name, hook, rules };
}

/**
 * The layout for these listener ports.
 * @throws {RangeError} when a port is not an integer of 1-65535.
 */
export function createLayout(ports: EnvoyPorts): Layout {
  for (const port of [ports.tcp, ports.http]) {
    if (!Number.isInteger(port) || port < 1 || port > 65535) {
      throw new RangeError(`Cannot redirect to port ${port}: want an integer of 1-65535`);
    }
  }
  const envoyPorts = `{ ${ports.tcp}, ${ports.http} }`;
  const toServices = [{ text: "jump services", purpose: "served destinations" }];
  // Only the first packet: running connections outlive their last endpoint's removal, as with kube-proxy.
  const toNoEndpoints = [{
    text: "ct state new jump no-endpoints",
    purpose: "destinations without endpoints",
  }];
  return {
    containers: ELEMENT_CONTAINERS.map(container),
    chains: [
      envoyChain("envoy-tcp", ports.tcp),
      envoyChain("envoy-http", ports.http),
      {
        name: "reject-connection",
        hook: undefined,
        rules: [
          { text: "meta l4proto tcp reject with tcp reset", purpose: "refuse at once" },
          { text: "reject with icmpx type port-unreachable", purpose: "refuse at once" },
        ],
      },
      {
        name: "services",
        hook: undefined,
        rules: [...lookupRules("envoy-http", "envoy-http"), ...lookupRules("envoy-tcp", "envoy-tcp")],
      },
      { name: "no-endpoints", hook: undefined, rules: lookupRules("no-endpoint", "reject-connection") },
      base("nat-prerouting", { type: "nat", hook: "prerouting", priority: BEFORE_DSTNAT }, toServices),
      base("nat-output", { type: "nat", hook: "output", priority: BEFORE_DSTNAT }, [
        { text: `meta priority 0:${ENVOY_SOCKET_PRIORITY} return`, purpose: "Envoy's own connections" },
        ...toServices,
      ]),
      base(
        "reject-prerouting",
        { type: "filter", hook: "prerouting", priority: BEFORE_DSTNAT },
        toNoEndpoints,
      ),
      base("reject-output", { type: "filter", hook: "output", priority: BEFORE_DSTNAT }, toNoEndpoints),
      base("guard-input", { type: "filter", hook: "input", priority: 0 }, [
        {
          // Only the original direction: a program of this host may use such a port as its source.
          text: `tcp dport ${envoyPorts} ct direction original ct status & dnat == 0 reject with tcp reset`,
          purpose: "not sent here by us",
        },
        {
          // Without a conntrack entry there is neither direction nor status to match on.
          text: `tcp dport ${envoyPorts} ct state invalid,untracked reject with tcp reset`,
          purpose: "not sent here by us",
        },
      ]),
      base("guard-output", { type: "filter", hook: "output", priority: 0 }, [
        { text: `tcp sport ${envoyPorts} ct state invalid drop`, purpose: "would leave untranslated" },
      ]),
    ],
  };
}

/** The comment of a rule: its purpose and a hash of chain and text, e.g. `VIPs #1a2b3c4d`. */
export function ruleComment(chain: string, rule: LayoutRule): string {
  const hash = createHash("sha256").update(`${chain} ${rule.text}`).digest("hex").slice(0, 8);
  return `${rule.purpose} #${hash}`;
}

/** One line of a fingerprint per kind of object; `parse_ruleset.ts` writes the same lines from what it finds. */
export const fingerprintLine = {
  container: (name: string, keyTypes: readonly string[], valueType: string): string =>
    `${valueType === "" ? "set" : "map"} ${name} ${[keyTypes.join("."), valueType].join(":")}`,
  chain: (name: string): string => `chain ${name}`,
  baseChain: (name: string, hook: LayoutHook, policy: string): string =>
    `chain ${name} ${hook.type} ${hook.hook} ${hook.priority} ${policy}`,
  rule: (chain: string, position: number, comment: string): string => `rule ${chain} ${position} ${comment}`,
} as const;

/** What identifies the layout, one line per object, sorted. Equal lines mean an equal layout. */
export function layoutFingerprint(layout: Layout): readonly string[] {
  const lines: string[] = [];
  for (const { name, keyTypes, valueType } of layout.containers) {
    lines.push(fingerprintLine.container(name, keyTypes, valueType));
  }
  for (const { name, hook, rules } of layout.chains) {
    lines.push(hook ? fingerprintLine.baseChain(name, hook, "accept") : fingerprintLine.chain(name));
    rules.forEach((rule, position) =>
      lines.push(fingerprintLine.rule(name, position, ruleComment(name, rule)))
    );
  }
  return lines.sort();
}

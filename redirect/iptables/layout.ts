/**
 * The constant part of the rules: chains that look destinations up in sets, and hand them on.
 *
 * In: Envoy's ports, a mark, this node's address. Out: chains of one family. Pure. Nothing here depends on the Services.
 *
 * Table nat, from PREROUTING (pods, outside) and OUTPUT (this node):
 * - `LIGHTPATH` asks the sets of each path, VIPs first. Who may not connect to a LoadBalancer's address goes untranslated, and is
 *   dropped in table filter, as kube-proxy does it (a chain of nat may not drop).
 * - `LIGHTPATH-HTTP` and `-TCP` translate to Envoy, or return where it cannot be sent anything; then, and for what is the
 *   kernel's anyway, a destination's own chain draws an endpoint. `dispatch.ts` leads there.
 * - What will have to be masqueraded is marked on the way: no match of iptables looks up in a set where a connection was going.
 *   The mark is one bit, set here and taken away in POSTROUTING.
 *
 * Table filter, from INPUT, FORWARD and OUTPUT, after the translation: what was not translated and has no endpoint is refused,
 * what has none only by its traffic policy is dropped; and the guards of Envoy's ports, as `../filter_chains.ts` has them.
 * (A packet to a VIP comes that far only if there is a route for the VIP, as with kube-proxy.)
 *
 * Envoy's own connections are not told apart from the node's: no match reads their priority. So what this node sends to a VIP
 * that is somebody's endpoint goes to an endpoint of that VIP, and never to Envoy: else Envoy would send to itself for ever.
 *
 * Source: iptables-extensions(8); kubernetes/pkg/proxy/iptables/proxier.go.
 * @module
 */

import type { EnvoyPorts } from "../chains.ts";
import type { FamilySuffix } from "../containers.ts";
import { FAMILY_WORDS, type LayoutChain, type LayoutRule, socketText } from "./chains.ts";
import { type DestinationSet, familySet, nodePortSet, vipSet } from "./sets.ts";

/** What the constant part depends on. */
export interface LayoutOptions {
  readonly suffix: FamilySuffix;
  readonly ports: EnvoyPorts;
  /** A bit that nobody else uses. */
  readonly mark: number;
  /** By which connections are handed to Envoy; undefined: by the address of the interface they came in by. */
  readonly envoyAddress: string | undefined;
}

const HTTP = "LIGHTPATH-HTTP";
const TCP = "LIGHTPATH-TCP";
/** Where VIPs are led to their own chains. */
export const VIPS = "LIGHTPATH-VIPS";
/** The same for NodePorts. */
export const NODE_PORTS = "LIGHTPATH-NODEPORTS";
/** The root of the tree that leads VIPs to their own chains. */
export const VIP_TREE = "LIGHTPATH-V";
/** The root of that of NodePorts. */
export const NODE_PORT_TREE = "LIGHTPATH-P";
/** Where endpoints that are given themselves are found. */
export const HAIRPINS = "LIGHTPATH-HAIRPIN";

/** Chains that a plan fills, and that are there when it leaves them empty. */
export const ALWAYS_THERE: readonly string[] = [VIP_TREE, NODE_PORT_TREE, HAIRPINS];

const NEW = "-m conntrack --ctstate NEW";
const TRANSLATED = "-m conntrack --ctstate DNAT";
const UNTRANSLATED = "-m conntrack ! --ctstate DNAT";
const MASQUERADE = "MASQUERADE --random-fully";

function rule(text: string, purpose: string): LayoutRule {
  return { text, purpose };
}

function inVIPs(set: DestinationSet, suffix: FamilySuffix): string {
  return `-m set --match-set ${vipSet(set, suffix)} dst,dst`;
}

function inNodePorts(set: DestinationSet, suffix: FamilySuffix): string {
  return `-m set --match-set ${nodePortSet(set, suffix)} dst,dst`;
}

function shutOut(suffix: FamilySuffix): string {
  return `-m set --match-set ${familySet("restricted", suffix)} dst,dst ` +
    `-m set ! --match-set ${familySet("allowed", suffix)} dst,dst,src`;
}

function envoyChain(name: string, port: number, { suffix, envoyAddress }: LayoutOptions): LayoutChain {
  const target = envoyAddress === undefined
    ? `REDIRECT --to-ports ${port}`
    : `DNAT --to-destination ${socketText(envoyAddress, String(port))}`;
  return {
    table: "nat",
    name,
    rules: [
      rule(`-m set ! --match-set ${familySet("ready", suffix)} src -j RETURN`, "Envoy is not ready"),
      rule(`-m set --match-set ${familySet("gone", suffix)} src -j RETURN`, "nobody listened a moment ago"),
      rule(
        `-m set --match-set ${familySet("alone", suffix)} src ` +
          `-m set ! --match-set ${familySet("holds", suffix)} dst,dst -j RETURN`,
        "Envoy could not ask for it",
      ),
      rule(`-p tcp -j ${target}`, "to Envoy"),
    ],
  };
}

function natChains(options: LayoutOptions): LayoutChain[] {
  const { suffix, ports } = options;
  const bit = `0x${options.mark.toString(16)}`;
  const setMark = `-j MARK --set-xmark ${bit}/${bit}`;
  const node = `-m set --match-set ${familySet("node", suffix)} dst`;
  const toServices = [rule("-j LIGHTPATH", "Services")];
  return [
    envoyChain(HTTP, ports.http, options),
    envoyChain(TCP, ports.tcp, options),
    {
      table: "nat",
      name: VIPS,
      rules: [
        rule(`${inVIPs("masquerade", suffix)} ${setMark}`, "answers must come back this way"),
        rule(`-g ${VIP_TREE}`, "by address"),
      ],
    },
    { table: "nat", name: `${VIPS}-HTTP`, rules: handOver(HTTP, VIPS) },
    { table: "nat", name: `${VIPS}-TCP`, rules: handOver(TCP, VIPS) },
    {
      table: "nat",
      name: NODE_PORTS,
      rules: [
        rule(`${inNodePorts("masquerade", suffix)} ${setMark}`, "answers must come back this way"),
        rule(`-g ${NODE_PORT_TREE}`, "by port"),
      ],
    },
    { table: "nat", name: `${NODE_PORTS}-HTTP`, rules: handOver(HTTP, NODE_PORTS) },
    { table: "nat", name: `${NODE_PORTS}-TCP`, rules: handOver(TCP, NODE_PORTS) },
    {
      table: "nat",
      name: "LIGHTPATH-NODE",
      rules: [
        rule(`${inNodePorts("envoy-http", suffix)} -g ${NODE_PORTS}-HTTP`, "NodePorts to Envoy"),
        rule(`${inNodePorts("envoy-tcp", suffix)} -g ${NODE_PORTS}-TCP`, "NodePorts to Envoy"),
        rule(`${inNodePorts("kernel", suffix)} -g ${NODE_PORTS}`, "NodePorts to endpoints"),
      ],
    },
    {
      table: "nat",
      name: "LIGHTPATH",
      rules: [
        rule(`${shutOut(suffix)} -j ACCEPT`, "loadBalancerSourceRanges"),
        rule(`${inVIPs("envoy-http", suffix)} -g ${VIPS}-HTTP`, "VIPs to Envoy"),
        rule(`${inVIPs("envoy-tcp", suffix)} -g ${VIPS}-TCP`, "VIPs to Envoy"),
        rule(`${inVIPs("kernel", suffix)} -g ${VIPS}`, "VIPs to endpoints"),
        rule(`${node} -g LIGHTPATH-NODE`, "NodePorts"),
      ],
    },
    {
      table: "nat",
      name: "LIGHTPATH-MASQUERADE",
      rules: [
        rule(`-j MARK --set-xmark 0x0/${bit}`, "it has served"),
        rule(`-j ${MASQUERADE}`, "from outside"),
      ],
    },
    {
      table: "nat",
      name: "LIGHTPATH-SOURCE",
      rules: [
        rule(`-o lo -j MARK --set-xmark 0x0/${bit}`, "stays on this node"),
        rule("-o lo -j RETURN", "stays on this node"),
        rule(`-m mark --mark ${bit}/${bit} -j LIGHTPATH-MASQUERADE`, "from outside"),
        rule(`-j ${HAIRPINS}`, "to itself"),
      ],
    },
    { table: "nat", name: "PREROUTING", isKernels: true, rules: toServices },
    {
      table: "nat",
      name: "LIGHTPATH-OUTPUT",
      rules: [
        rule(`${shutOut(suffix)} -j ACCEPT`, "loadBalancerSourceRanges"),
        rule(`-m set --match-set ${familySet("endpoints", suffix)} dst,dst -g ${VIPS}`, "perhaps from Envoy"),
        rule("-g LIGHTPATH", "Services"),
      ],
    },
    {
      table: "nat",
      name: "OUTPUT",
      isKernels: true,
      rules: [rule("-j LIGHTPATH-OUTPUT", "Services")],
    },
    {
      table: "nat",
      name: "POSTROUTING",
      isKernels: true,
      rules: [rule(`${TRANSLATED} -j LIGHTPATH-SOURCE`, "whose source")],
    },
  ];
}

/** To Envoy, and if that cannot be to the kernel's own balancing. */
function handOver(envoys: string, kernels: string): LayoutRule[] {
  return [rule(`-j ${envoys}`, "to Envoy"), rule(`-g ${kernels}`, "to an endpoint")];
}

function filterChains({ suffix, ports }: LayoutOptions): LayoutChain[] {
  const { unreachable } = FAMILY_WORDS[suffix];
  const reset = "REJECT --reject-with tcp-reset";
  const node = `-m set --match-set ${familySet("node", suffix)} dst`;
  const envoyPorts = `${ports.tcp},${ports.http}`;
  const original = "--ctdir ORIGINAL";
  const unserved = rule(`${NEW} ${UNTRANSLATED} -j LIGHTPATH-UNSERVED`, "who and what is not served");
  return [
    {
      table: "filter",
      name: "LIGHTPATH-REJECT",
      rules: [
        rule(`-p tcp -j ${reset}`, "refuse at once"),
        rule(`-j REJECT --reject-with ${unreachable}`, "refuse at once"),
      ],
    },
    {
      table: "filter",
      name: "LIGHTPATH-UNSERVED-NODE",
      rules: [
        rule(`${inNodePorts("no-endpoint", suffix)} -g LIGHTPATH-REJECT`, "NodePorts"),
        rule(`${inNodePorts("no-local-endpoint", suffix)} -j DROP`, "NodePorts"),
      ],
    },
    {
      table: "filter",
      name: "LIGHTPATH-UNSERVED",
      rules: [
        rule(`${shutOut(suffix)} -j DROP`, "loadBalancerSourceRanges"),
        rule(`${inVIPs("no-endpoint", suffix)} -g LIGHTPATH-REJECT`, "VIPs"),
        rule(`${inVIPs("no-local-endpoint", suffix)} -j DROP`, "VIPs"),
        rule(`${node} -g LIGHTPATH-UNSERVED-NODE`, "NodePorts"),
      ],
    },
    {
      table: "filter",
      name: "LIGHTPATH-GUARD",
      rules: [
        // Only the original direction: a program of this host may use such a port as its source.
        rule(`-p tcp -m conntrack ! --ctstate DNAT ${original} -j ${reset}`, "not sent here by us"),
        rule(`-p tcp -m conntrack --ctstate INVALID,UNTRACKED -j ${reset}`, "not sent here by us"),
        rule(`-m conntrack --ctstate NEW ${original} -m socket --nowildcard -j RETURN`, "Envoy listens"),
        rule(
          `-m conntrack --ctstate NEW ${original} -j SET --add-set ${familySet("gone", suffix)} src --exist`,
          "Envoy has just gone",
        ),
        rule(`-m conntrack --ctstate NEW ${original} -j DROP`, "Envoy has just gone"),
      ],
    },
    {
      table: "filter",
      name: "INPUT",
      isKernels: true,
      rules: [
        rule(`-p tcp -m multiport --dports ${envoyPorts} -j LIGHTPATH-GUARD`, "ports of Envoy"),
        unserved,
      ],
    },
    { table: "filter", name: "FORWARD", isKernels: true, rules: [unserved] },
    {
      table: "filter",
      name: "OUTPUT",
      isKernels: true,
      rules: [
        rule(
          `-p tcp -m multiport --sports ${envoyPorts} -m conntrack --ctstate INVALID -j DROP`,
          "would leave untranslated",
        ),
        unserved,
      ],
    },
  ];
}

/** The chains of a family. */
export function createLayout(options: LayoutOptions): readonly LayoutChain[] {
  return [...filterChains(options), ...natChains(options)];
}

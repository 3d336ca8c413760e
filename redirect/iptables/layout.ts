/**
 * The constant part of the rules: chains that look destinations up in sets, and hand them on.
 *
 * In: Envoy's ports, a mark, this node's address, what pods' addresses are in. Out: chains of one family. Pure. Nothing here depends on
 * the Services.
 *
 * Table nat, from PREROUTING (pods, outside) and OUTPUT (this node):
 * - `LIGHTPATH` asks the sets of each path, VIPs first. Who may not connect to a LoadBalancer's address goes untranslated, and is
 *   dropped in table filter, as kube-proxy does it (a chain of nat may not drop).
 * - `LIGHTPATH-INSIDE` and `-INSIDE-NODE` are for destinations that pods and this node find served otherwise than everybody else: by
 *   trees of their own. They return to whom the outside is.
 * - `LIGHTPATH-HTTP` and `-TCP` translate to Envoy, or return where it cannot be sent anything; then, and for what is the
 *   kernel's anyway, a destination's own chain draws an endpoint. `dispatch.ts` leads there.
 * - What will have to be masqueraded is marked on the way: no match of iptables looks up in a set where a connection was going.
 *   The mark is one bit, set here and taken away in POSTROUTING. Who is masqueraded: `../source_chains.ts`.
 *
 * Table filter, from INPUT, FORWARD and OUTPUT, after the translation: what was not translated and has no endpoint is refused,
 * what has none only by its traffic policy is dropped, or none for the outside; and the guards of Envoy's ports, and what goes to the
 * cluster's addresses and is nobody's (`LIGHTPATH-NOBODY`), as `../filter_chains.ts` has them.
 * (A packet to a VIP comes that far only if there is a route for the VIP, as with kube-proxy.)
 *
 * Envoy's own connections are not told apart from the node's: no match reads their priority. So what this node sends to a VIP
 * that is somebody's endpoint goes to an endpoint of that VIP, and never to Envoy: else Envoy would send to itself for ever. For the same
 * reason Envoy's connections are never in a client's name here: which of them are to be masqueraded could not be told.
 *
 * Source: iptables-extensions(8); kubernetes/pkg/proxy/iptables/proxier.go.
 * @module
 */

import type { EnvoyPorts } from "../chains.ts";
import type { DestinationSpace, FamilySuffix } from "../containers.ts";
import { kernelRanges } from "../source_ranges.ts";
import { FAMILY_WORDS, type LayoutChain, type LayoutRule, type Side, socketText } from "./chains.ts";
import { type DestinationSet, familySet, nodePortSet, vipSet } from "./sets.ts";

/** What the constant part depends on. */
export interface LayoutOptions {
  readonly suffix: FamilySuffix;
  readonly ports: EnvoyPorts;
  /** A bit that nobody else uses. */
  readonly mark: number;
  /** By which connections are handed to Envoy; undefined: by the address of the interface they came in by. */
  readonly envoyAddress: string | undefined;
  /** What all pods' addresses are in; none: it is not known who is a pod. */
  readonly clusterCIDRs: readonly string[];
}

const HTTP = "LIGHTPATH-HTTP";
const TCP = "LIGHTPATH-TCP";
/** Where VIPs are led to their own chains. */
export const VIPS = "LIGHTPATH-VIPS";
/** The same for NodePorts. */
export const NODE_PORTS = "LIGHTPATH-NODEPORTS";
/** The roots of the trees that lead destinations to their own chains. */
export const TREES = {
  outside: { ips: "LIGHTPATH-V", nodeports: "LIGHTPATH-P" },
  inside: { ips: "LIGHTPATH-IV", nodeports: "LIGHTPATH-IP" },
} as const satisfies Readonly<Record<Side, Readonly<Record<DestinationSpace, string>>>>;
const CLUSTER_IPS = "LIGHTPATH-CLUSTERIP";
/** Where endpoints that are given themselves are found. */
export const HAIRPINS = "LIGHTPATH-HAIRPIN";

/** Chains that a plan fills, and that are there when it leaves them empty. */
export const ALWAYS_THERE: readonly string[] = [
  ...Object.values(TREES).flatMap((roots) => Object.values(roots)),
  HAIRPINS,
];

const NEW = "-m conntrack --ctstate NEW";
const TRANSLATED = "-m conntrack --ctstate DNAT";
const UNTRANSLATED = "-m conntrack ! --ctstate DNAT";
const MASQUERADE = "MASQUERADE --random-fully";
const FROM_THIS_NODE = "-m addrtype --src-type LOCAL";

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

/** Who is inside goes by the tree of the inside; what this node sends itself is masqueraded. Others return. */
function insideRules(tree: string, setMark: string, clusterCIDRs: readonly string[]): LayoutRule[] {
  return [
    rule(`${FROM_THIS_NODE} ${setMark}`, "answers must come back this way"),
    ...kernelRanges(clusterCIDRs).map((range) => rule(`-s ${range} -g ${tree}`, "from a pod")),
    rule(`${FROM_THIS_NODE} -g ${tree}`, "from this node"),
  ];
}

/** What came from outside to a ClusterIP. Nothing where it is not known who is outside. */
function clusterIPChains({ suffix, clusterCIDRs }: LayoutOptions, setMark: string): {
  readonly lead: LayoutRule[];
  readonly chains: LayoutChain[];
} {
  const ranges = kernelRanges(clusterCIDRs);
  if (ranges.length === 0) return { lead: [], chains: [] };
  const isClusterIP = `-m set --match-set ${familySet("cluster", suffix)} dst`;
  const rules = [
    ...ranges.map((range) => rule(`-s ${range} -j RETURN`, "from a pod")),
    rule(setMark, "from outside"),
  ];
  return {
    lead: [rule(`${isClusterIP} -j ${CLUSTER_IPS}`, "ClusterIPs from outside")],
    chains: [{ table: "nat", name: CLUSTER_IPS, rules }],
  };
}

function natChains(options: LayoutOptions): LayoutChain[] {
  const { suffix, ports, clusterCIDRs } = options;
  const bit = `0x${options.mark.toString(16)}`;
  const setMark = `-j MARK --set-xmark ${bit}/${bit}`;
  const clusterIPs = clusterIPChains(options, setMark);
  const inside = rule(`${inVIPs("inside", suffix)} -j LIGHTPATH-INSIDE`, "VIPs, from inside");
  const node = `-m set --match-set ${familySet("node", suffix)} dst`;
  const toServices = [rule("-j LIGHTPATH", "Services")];
  return [
    envoyChain(HTTP, ports.http, options),
    envoyChain(TCP, ports.tcp, options),
    ...clusterIPs.chains,
    {
      table: "nat",
      name: VIPS,
      rules: [
        rule(`${inVIPs("masquerade", suffix)} ${setMark}`, "answers must come back this way"),
        ...clusterIPs.lead,
        rule(`-g ${TREES.outside.ips}`, "by address"),
      ],
    },
    { table: "nat", name: `${VIPS}-HTTP`, rules: handOver(HTTP, VIPS) },
    { table: "nat", name: `${VIPS}-TCP`, rules: handOver(TCP, VIPS) },
    {
      table: "nat",
      name: NODE_PORTS,
      rules: [
        rule(`${inNodePorts("masquerade", suffix)} ${setMark}`, "answers must come back this way"),
        rule(`-g ${TREES.outside.nodeports}`, "by port"),
      ],
    },
    { table: "nat", name: `${NODE_PORTS}-HTTP`, rules: handOver(HTTP, NODE_PORTS) },
    { table: "nat", name: `${NODE_PORTS}-TCP`, rules: handOver(TCP, NODE_PORTS) },
    {
      table: "nat",
      name: "LIGHTPATH-INSIDE",
      rules: insideRules(TREES.inside.ips, setMark, clusterCIDRs),
    },
    {
      table: "nat",
      name: "LIGHTPATH-INSIDE-NODE",
      rules: insideRules(TREES.inside.nodeports, setMark, clusterCIDRs),
    },
    {
      table: "nat",
      name: "LIGHTPATH-NODE",
      rules: [
        rule(`${inNodePorts("inside", suffix)} -j LIGHTPATH-INSIDE-NODE`, "NodePorts, from inside"),
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
        inside,
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
        inside,
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
  // What others have translated is going elsewhere by now.
  const toNobody = rule(`${NEW} -j LIGHTPATH-NOBODY`, "to the cluster, and not translated");
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
        rule(`${inNodePorts("inside", suffix)} -j DROP`, "NodePorts, no endpoint for the outside"),
      ],
    },
    {
      table: "filter",
      name: "LIGHTPATH-UNSERVED",
      rules: [
        rule(`${shutOut(suffix)} -j DROP`, "loadBalancerSourceRanges"),
        rule(`${inVIPs("no-endpoint", suffix)} -g LIGHTPATH-REJECT`, "VIPs"),
        rule(`${inVIPs("no-local-endpoint", suffix)} -j DROP`, "VIPs"),
        rule(`${inVIPs("inside", suffix)} -j DROP`, "VIPs, no endpoint for the outside"),
        rule(`${node} -g LIGHTPATH-UNSERVED-NODE`, "NodePorts"),
      ],
    },
    {
      table: "filter",
      name: "LIGHTPATH-NOBODY",
      rules: [
        rule(
          `-m set --match-set ${familySet("cluster", suffix)} dst -g LIGHTPATH-REJECT`,
          "ports that a ClusterIP does not have",
        ),
        rule(`-m set --match-set ${familySet("cidrs", suffix)} dst -j DROP`, "no Service has it"),
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
    { table: "filter", name: "FORWARD", isKernels: true, rules: [unserved, toNobody] },
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
        toNobody,
      ],
    },
  ];
}

/** The chains of a family. */
export function createLayout(options: LayoutOptions): readonly LayoutChain[] {
  return [...filterChains(options), ...natChains(options)];
}

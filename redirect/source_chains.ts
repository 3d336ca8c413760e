/**
 * The chain that translates the source of connections: where the endpoint must answer to this node, and not to the client.
 *
 * In: what pods' addresses are in, the marks. Out: a chain of type nat, and what it jumps to. What the kernel has translated needs no marks: conntrack knows
 * where a connection was going. What Envoy makes in a client's name does, and its socket's priority says where that was going (`envoy_sockets.ts`).
 *
 * - What came to a destination outside of the cluster (NodePort, ExternalIP, LoadBalancerIP) with the policy Cluster: the
 *   endpoint may be on another node, whose answers would not come back this way.
 * - An endpoint that was given itself: it would not take an answer from its own address for one to its question.
 * - Not what this node keeps for itself (`oif lo`): connections to Envoy, and to endpoints that are the node.
 *
 * - What this node itself sent to such a destination with the policy Local, of which it is given all endpoints: its source may
 *   be that very address, where a load balancer has nodes have it.
 * - What came from outside to a ClusterIP, where it is known who is outside: somebody routes the service CIDR to this node, and
 *   the endpoint may be on another.
 *
 * Else the client's address is kept: with the policy Local, because the endpoints for the outside are on this node; from pods,
 * because they are answered wherever they are.
 *
 * Source: kubernetes/pkg/proxy/nftables/proxier.go, "masquerading".
 * @module
 */

import { ENVOY_SOCKET_PRIORITY, MASQUERADED_SOCKET_PRIORITY, renderMark } from "../agent/model/mod.ts";
import {
  baseChain,
  chain,
  FAMILY_EXPRESSIONS,
  type FamilyExpressions,
  fromPod,
  type LayoutChain,
  type LayoutOptions,
  type LayoutRule,
  originalKey,
  SPACE_PURPOSE,
} from "./chains.ts";
import { DESTINATION_SPACES, type DestinationSpace } from "./containers.ts";

/** As kube-proxy does it: a port that nobody can foretell, and that two connections at once do not both try to take. */
const MASQUERADE = "masquerade fully-random";

const SOURCE_NAT = 100;

const PROTOCOLS = "meta l4proto { tcp, udp, sctp }";

function externalRule(space: DestinationSpace, family: FamilyExpressions): LayoutRule {
  const { condition, key } = originalKey(space, family);
  return {
    text: `${PROTOCOLS} ${condition}${key} @masquerade-${space}-${family.suffix} ${MASQUERADE}`,
    purpose: `${SPACE_PURPOSE[space]} from outside`,
  };
}

/** The lookup writes into the priority, because a rule can ask a map for nothing else. */
function ownRule(space: DestinationSpace, family: FamilyExpressions): LayoutRule {
  const { condition, key } = originalKey(space, family);
  return {
    text: `${PROTOCOLS} ${condition}meta priority set ${key} map @service-inside-${space}-${family.suffix} ` +
      `meta priority set 0 ${MASQUERADE}`,
    purpose: `${SPACE_PURPOSE[space]} from this node`,
  };
}

/** Nothing where it is not known who is outside. */
function clusterIPRule(
  family: FamilyExpressions,
  options: Pick<LayoutOptions, "clusterCIDRs">,
): LayoutRule[] {
  const fromOutside = fromPod(family, options, "not");
  if (fromOutside === undefined) return [];
  const { ip, suffix } = family;
  return [{
    text: `${fromOutside} ct original ${ip} daddr @cluster-ips-${suffix} ${MASQUERADE}`,
    purpose: "ClusterIPs from outside",
  }];
}

/**
 * The same of Envoy's, by what is left to know: where the policy is Local the endpoint is on this node, else the destination was a
 * ClusterIP. (Endpoints of this node answer to it in either case.)
 */
function envoyClusterIPRule(family: FamilyExpressions, envoys: string, options: LayoutOptions): LayoutRule[] {
  const fromOutside = fromPod(family, options, "not");
  if (fromOutside === undefined) return [];
  const { ip, suffix } = family;
  return [{
    text: `${envoys} meta priority 0:${ENVOY_SOCKET_PRIORITY} ${fromOutside} ` +
      `${ip} daddr . ${ip} daddr != @hairpin-${suffix} ${MASQUERADE}`,
    purpose: "Envoy's, ClusterIPs from outside",
  }];
}

function forEachDestination(
  rule: (space: DestinationSpace, family: FamilyExpressions) => LayoutRule,
): LayoutRule[] {
  return DESTINATION_SPACES.flatMap((space) => FAMILY_EXPRESSIONS.map((family) => rule(space, family)));
}

/** The chains. */
export function sourceChains(options: LayoutOptions): LayoutChain[] {
  const { mask, envoy } = options.marks;
  const envoysBits = `meta mark & ${renderMark(mask)}`;
  const envoys = `${envoysBits} == ${renderMark(envoy)}`;
  return [
    chain("own-connections", forEachDestination(ownRule)),
    baseChain("nat-postrouting", { type: "nat", hook: "postrouting", priority: SOURCE_NAT }, [
      {
        text: `ct status & dnat == 0 ${envoysBits} != ${renderMark(envoy)} return`,
        purpose: "neither sent elsewhere nor Envoy's",
      },
      { text: "oif lo return", purpose: "stays on this node" },
      ...FAMILY_EXPRESSIONS.map(({ ip, suffix }) => ({
        text: `${ip} saddr . ${ip} daddr @hairpin-${suffix} ${MASQUERADE}`,
        purpose: "to itself",
      })),
      {
        text: `${envoys} meta priority 0:${MASQUERADED_SOCKET_PRIORITY} ${MASQUERADE}`,
        purpose: "Envoy's, from outside",
      },
      ...FAMILY_EXPRESSIONS.flatMap((family) => envoyClusterIPRule(family, envoys, options)),
      { text: "ct status & dnat == 0 return", purpose: "Envoy's, to an endpoint" },
      ...forEachDestination(externalRule),
      ...FAMILY_EXPRESSIONS.flatMap((family) => clusterIPRule(family, options)),
      { text: "fib saddr type local jump own-connections", purpose: "from this node" },
    ]),
  ];
}

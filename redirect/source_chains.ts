/**
 * The chain that translates the source of connections: where the endpoint must answer to this node, and not to the client.
 *
 * In: the marks. Out: a chain of type nat. What the kernel has translated needs no marks: conntrack knows where a connection was
 * going. What Envoy makes in a client's name does, and its socket's priority says where that was going (`envoy_sockets.ts`).
 *
 * - What came to a destination outside of the cluster (NodePort, ExternalIP, LoadBalancerIP) with the policy Cluster: the
 *   endpoint may be on another node, whose answers would not come back this way.
 * - An endpoint that was given itself: it would not take an answer from its own address for one to its question.
 * - Not what this node keeps for itself (`oif lo`): connections to Envoy, and to endpoints that are the node.
 *
 * With the policy Local the client's address is kept: its endpoints are on this node. (Connections that this node itself, or
 * a pod, makes to such a destination are given only endpoints of this node as well; kube-proxy gives them all. To do the same
 * would take a second map of endpoints, looked up first for sources of the cluster, and masqueraded here.)
 *
 * Source: kubernetes/pkg/proxy/nftables/proxier.go, "masquerading".
 * @module
 */

import { type Marks, MASQUERADED_SOCKET_PRIORITY, renderMark } from "../agent/model/mod.ts";
import {
  baseChain,
  FAMILY_EXPRESSIONS,
  type FamilyExpressions,
  type LayoutChain,
  type LayoutRule,
  SPACE_PURPOSE,
} from "./chains.ts";
import { DESTINATION_SPACES, type DestinationSpace } from "./containers.ts";

/** As kube-proxy does it: a port that nobody can foretell, and that two connections at once do not both try to take. */
const MASQUERADE = "masquerade fully-random";

const SOURCE_NAT = 100;

function externalRule(space: DestinationSpace, { ip, suffix }: FamilyExpressions): LayoutRule {
  const address = `ct original ${ip} daddr`;
  const condition = space === "ips" ? "" : `${address} @node-addresses-${suffix} `;
  const key = `${space === "ips" ? `${address} . ` : ""}meta l4proto . ct original proto-dst`;
  return {
    // nft knows the size of `proto-dst` only where it knows the protocol.
    text: `meta l4proto { tcp, udp, sctp } ${condition}${key} @masquerade-${space}-${suffix} ${MASQUERADE}`,
    purpose: `${SPACE_PURPOSE[space]} from outside`,
  };
}

/** The chain. */
export function sourceChains({ mask, envoy }: Marks): LayoutChain[] {
  const envoys = `meta mark & ${renderMark(mask)}`;
  return [
    baseChain("nat-postrouting", { type: "nat", hook: "postrouting", priority: SOURCE_NAT }, [
      {
        text: `ct status & dnat == 0 ${envoys} != ${renderMark(envoy)} return`,
        purpose: "neither sent elsewhere nor Envoy's",
      },
      { text: "oif lo return", purpose: "stays on this node" },
      ...FAMILY_EXPRESSIONS.map(({ ip, suffix }) => ({
        text: `${ip} saddr . ${ip} daddr @hairpin-${suffix} ${MASQUERADE}`,
        purpose: "to itself",
      })),
      {
        text: `${envoys} == ${
          renderMark(envoy)
        } meta priority 0:${MASQUERADED_SOCKET_PRIORITY} ${MASQUERADE}`,
        purpose: "Envoy's, from outside",
      },
      { text: "ct status & dnat == 0 return", purpose: "Envoy's, to an endpoint" },
      ...DESTINATION_SPACES.flatMap((space) =>
        FAMILY_EXPRESSIONS.map((family) => externalRule(space, family))
      ),
    ]),
  ];
}

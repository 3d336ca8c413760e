/**
 * The chains beside the translation: what is refused before it, what is tidied up after it, what guards Envoy's ports.
 *
 * In: Envoy's ports. Out: chains of type filter and what they jump to.
 *
 * - `reject-prerouting` and `reject-output` are of type filter, because `reject` is refused in nat chains. Priority -110
 *   is really before the NAT step (they see the VIP, not an endpoint) and after conntrack (-200), which they need for
 *   `ct state new`: a connection that already runs is left alone when the last endpoint goes. First, whoever is not among
 *   those a LoadBalancer's address is for is dropped, as kube-proxy does it; then what has no endpoint at all is refused, and
 *   what has none only by its traffic policy dropped.
 * - `tidy-prerouting` and `tidy-output` set the priority back to what it was before the translation used it.
 * - `nobody` is for what the translation has left alone although it is going to the cluster's addresses: a port that a
 *   ClusterIP does not have is refused, an address of the service CIDR that no Service has is dropped. Only what would leave this
 *   node or is made on it (`guard-forward`, `guard-output`), as with kube-proxy: somebody may have such an address here, a
 *   DNS cache for instance. Another proxy's ClusterIPs have been translated when it is asked.
 * - `guard-input` refuses whoever connects to Envoy's ports without having been sent there: no open proxy. Who was sent there
 *   while nobody listens, because Envoy died and the kernel was not told, is dropped and not refused: such a client
 *   tries again after a second, and is then sent to an endpoint, as is everybody else at once: the kernel notes that nobody was there
 *   (`envoy-gone`), and needs no agent for it. (A program of the node itself is sent to Envoy again: conntrack
 *   confirms a connection when it leaves, before it comes in by `lo`. It waits until Envoy is back.)
 * - `guard-output` drops what conntrack gave up on. Such a packet would leave untranslated, with Envoy's own address
 *   and port, and the client would answer it with a reset that kills its connection (kube-proxy: issue 74839).
 * @module
 */

import {
  AFTER_DSTNAT,
  baseChain,
  BEFORE_DSTNAT,
  chain,
  destinationKey,
  type EnvoyPorts,
  FAMILY_EXPRESSIONS,
  type LayoutChain,
  type LayoutRule,
  SPACE_PURPOSE,
  spaceCondition,
} from "./chains.ts";
import { DESTINATION_SPACES } from "./containers.ts";
import { WRITTEN_PRIORITIES } from "./served_value.ts";

function lookups(container: "no-endpoint" | "no-local-endpoint", verdict: string): LayoutRule[] {
  return DESTINATION_SPACES.flatMap((space) =>
    FAMILY_EXPRESSIONS.map((family) => ({
      text: `${spaceCondition(space, family)}${destinationKey(space, family)} ` +
        `@${container}-${space}-${family.suffix} ${verdict}`,
      purpose: SPACE_PURPOSE[space],
    }))
  );
}

function sourceRules(): LayoutRule[] {
  return FAMILY_EXPRESSIONS.map((family) => {
    const { ip, suffix } = family;
    const key = destinationKey("ips", family);
    return {
      text: `${key} @restricted-ips-${suffix} ${key} . ${ip} saddr != @allowed-sources-${suffix} drop`,
      purpose: "loadBalancerSourceRanges",
    };
  });
}

function unserved(): LayoutChain[] {
  // Only the first packet: running connections outlive their last endpoint's removal, as with kube-proxy.
  const rules = [{ text: "ct state new jump unserved", purpose: "who and what is not served" }];
  return [
    chain("reject-connection", [
      { text: "meta l4proto tcp reject with tcp reset", purpose: "refuse at once" },
      { text: "reject with icmpx type port-unreachable", purpose: "refuse at once" },
    ]),
    chain("unserved", [
      ...sourceRules(),
      ...lookups("no-endpoint", "goto reject-connection"),
      ...lookups("no-local-endpoint", "drop"),
    ]),
    baseChain("reject-prerouting", { type: "filter", hook: "prerouting", priority: BEFORE_DSTNAT }, rules),
    baseChain("reject-output", { type: "filter", hook: "output", priority: BEFORE_DSTNAT }, rules),
  ];
}

function tidying(): LayoutChain[] {
  const rules = [{
    text: `meta priority ${WRITTEN_PRIORITIES} meta priority set 0`,
    purpose: "what services wrote there",
  }];
  return [
    baseChain("tidy-prerouting", { type: "filter", hook: "prerouting", priority: AFTER_DSTNAT }, rules),
    baseChain("tidy-output", { type: "filter", hook: "output", priority: AFTER_DSTNAT }, rules),
  ];
}

/** How long nobody is sent to Envoy's ports after somebody found nobody there; then the next one tries. */
const GONE_SECONDS = 30;

/**
 * The first packet of a connection. Not `ct state new`: a client may use a port again of which conntrack still knows a connection
 * that the client had closed (for two minutes; the client's own kernel for one). Such a packet is sent where that one went, and
 * would be refused by the kernel itself. It is tried again instead, until Envoy is back or conntrack has forgotten.
 */
const CONNECTS = "tcp flags & (fin | syn | rst | ack) == syn";

function guards(ports: EnvoyPorts): LayoutChain[] {
  const envoyPorts = `{ ${ports.tcp}, ${ports.http} }`;
  const toNobody = { text: "ct state new jump nobody", purpose: "the cluster's, and not translated" };
  return [
    chain("nobody", [
      ...FAMILY_EXPRESSIONS.map(({ ip, suffix }) => ({
        text: `${ip} daddr @cluster-ips-${suffix} goto reject-connection`,
        purpose: "ports that a ClusterIP does not have",
      })),
      ...FAMILY_EXPRESSIONS.map(({ ip, suffix }) => ({
        text: `${ip} daddr @service-cidrs-${suffix} drop`,
        purpose: "no Service's",
      })),
    ]),
    baseChain("guard-forward", { type: "filter", hook: "forward", priority: 0 }, [toNobody]),
    baseChain("guard-input", { type: "filter", hook: "input", priority: 0 }, [
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
      {
        // Both values there are: any socket. Not `socket wildcard`, which finds none where the client's port is that of a
        // connection that Envoy closed a moment ago (TIME_WAIT).
        text: `tcp dport ${envoyPorts} ct direction original ${CONNECTS} socket transparent { 0, 1 } return`,
        purpose: "Envoy listens",
      },
      {
        text: `tcp dport ${envoyPorts} ct direction original ${CONNECTS} ` +
          `add @envoy-gone { meta l4proto timeout ${GONE_SECONDS}s } drop`,
        purpose: "Envoy has just gone",
      },
    ]),
    baseChain("guard-output", { type: "filter", hook: "output", priority: 0 }, [
      { text: `tcp sport ${envoyPorts} ct state invalid drop`, purpose: "would leave untranslated" },
      toNobody,
    ]),
  ];
}

/** The chains, each before those that refer to it. */
export function filterChains(ports: EnvoyPorts): LayoutChain[] {
  return [...unserved(), ...tidying(), ...guards(ports)];
}

/**
 * The chains beside the translation: what is marked and refused before it, what is remembered and tidied up after it, what guards
 * Envoy's ports.
 *
 * In: Envoy's ports, the marks. Out: chains of type filter and route, and what they jump to.
 *
 * Every packet of every connection on the node passes these hooks, whether it is ours or not: so a packet that goes on to a pod meets
 * two of them, as with kube-proxy, and each ends after one or two comparisons unless the connection is new. (Five hooks cost 4 % of
 * a request of one packet each way.)
 *
 * - `before-prerouting` and `before-output`, priority -110, which is really before the NAT step (they see the VIP, not an endpoint)
 *   and after conntrack (-200), which they need for `ct state new`: a connection that already runs is left alone when the
 *   last endpoint goes. Not of type nat, where `reject` is refused. First the marks (`answer_rules.ts`). Then, whoever is not
 *   among those a LoadBalancer's address is for is dropped, as kube-proxy does it; then what has no endpoint at all is refused, and
 *   what has none only by its traffic policy dropped. Unless it is served after all: an external IP may be this node's, and its port
 *   another Service's NodePort. Then the one that has endpoints answers, as with kube-proxy, which refuses after the translation.
 * - `after-forward`, `after-input` and `after-output` come after NAT and routing. `translated` has clients remembered, and sets the priority back to what it
 *   was before the translation used it. Of related connections as well: helpers' expectations pass the NAT step too.
 * - `nobody` is for what the translation has left alone although it is going to the cluster's addresses: a port that a
 *   ClusterIP does not have is refused, an address of the service CIDR that no Service has is dropped. Only what would leave this
 *   node or is made on it, as with kube-proxy: somebody may have such an address here, a
 *   DNS cache for instance. Another proxy's ClusterIPs have been translated when it is asked.
 * - `to-envoy` refuses whoever connects to Envoy's ports without having been sent there: no open proxy. Who was sent there
 *   while nobody listens, because Envoy died and the kernel was not told, is dropped and not refused: such a client
 *   tries again after a second, and is then sent to an endpoint, as is everybody else at once: the kernel notes that nobody was there
 *   (`envoy-gone`), and needs no agent for it. (A program of the node itself is sent to Envoy as long as conntrack remembers its first
 *   packet, which it confirms when that leaves, before it comes in by `lo`: for a second, see `ENVOY_TIMEOUTS`.)
 * - `after-output` drops what conntrack gave up on. Such a packet would leave untranslated, with Envoy's own address
 *   and port, and the client would answer it with a reset that kills its connection (kube-proxy: issue 74839).
 * @module
 */

import type { Marks } from "../agent/model/mod.ts";
import { REMEMBER } from "./affinity_chains.ts";
import { answersMadeHere, answersThatArrive } from "./answer_rules.ts";
import {
  baseChain,
  BEFORE_DSTNAT,
  chain,
  destinationKey,
  type EnvoyPorts,
  FAMILY_EXPRESSIONS,
  type FamilyExpressions,
  FILTER,
  type LayoutChain,
  type LayoutOptions,
  type LayoutRule,
  SPACE_PURPOSE,
  spaceCondition,
} from "./chains.ts";
import { DESTINATION_SPACES } from "./containers.ts";
import { WRITTEN_PRIORITIES } from "./served_value.ts";

function lookups(container: "no-endpoint" | "no-local-endpoint", to: "refuse" | "ignore"): LayoutRule[] {
  return DESTINATION_SPACES.flatMap((space) =>
    FAMILY_EXPRESSIONS.map((family) => ({
      text: `${spaceCondition(space, family)}${destinationKey(space, family)} ` +
        `@${container}-${space}-${family.suffix} goto ${to}-${family.suffix}`,
      purpose: SPACE_PURPOSE[space],
    }))
  );
}

/** What is done with a destination that is not served. The lookup writes into the priority, because a rule can ask a map for nothing else. */
function unservedChains(family: FamilyExpressions): LayoutChain[] {
  const { suffix } = family;
  const spaces = DESTINATION_SPACES.flatMap((space) => [[space, space], [space, `inside-${space}`]] as const);
  return [
    chain(
      `served-elsewhere-${suffix}`,
      spaces.map(([space, served]) => ({
        text: `${spaceCondition(space, family)}meta priority set ${destinationKey(space, family)} ` +
          `map @service-${served}-${suffix} meta priority set 0 accept`,
        purpose: `${SPACE_PURPOSE[space]} of another Service`,
      })),
    ),
    chain(`refuse-${suffix}`, [
      { text: `jump served-elsewhere-${suffix}`, purpose: "unless it is served after all" },
      { text: "goto reject-connection", purpose: "no endpoint" },
    ]),
    chain(`ignore-${suffix}`, [
      { text: `jump served-elsewhere-${suffix}`, purpose: "unless it is served after all" },
      { text: "drop", purpose: "no endpoint by its traffic policy" },
    ]),
  ];
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

/** What is done with a packet before the translation. */
function beforeChains(marks: Marks): LayoutChain[] {
  // Only the first packet: running connections outlive their last endpoint's removal, as with kube-proxy.
  const toUnserved = { text: "ct state new jump unserved", purpose: "who and what is not served" };
  return [
    chain("reject-connection", [
      { text: "meta l4proto tcp reject with tcp reset", purpose: "refuse at once" },
      { text: "reject with icmpx type port-unreachable", purpose: "refuse at once" },
    ]),
    ...FAMILY_EXPRESSIONS.flatMap(unservedChains),
    chain("unserved", [
      ...sourceRules(),
      ...lookups("no-endpoint", "refuse"),
      ...lookups("no-local-endpoint", "ignore"),
    ]),
    baseChain("before-prerouting", { type: "filter", hook: "prerouting", priority: BEFORE_DSTNAT }, [
      ...answersThatArrive(marks),
      toUnserved,
    ]),
    baseChain("before-output", { type: "route", hook: "output", priority: BEFORE_DSTNAT }, [
      ...answersMadeHere(marks),
      toUnserved,
    ]),
  ];
}

/** How long nobody is sent to Envoy's ports after somebody found nobody there; then the next one tries. */
const GONE_SECONDS = 30;

/**
 * What is not the first packet of a connection. Not `ct state new`: a client may use a port again of which conntrack still knows a connection
 * that the client had closed (for two minutes; the client's own kernel for one). Such a packet is sent where that one went, and
 * would be refused by the kernel itself. It is tried again instead, until Envoy is back or conntrack has forgotten.
 */
const GOES_ON = "tcp flags & (fin | syn | rst | ack) != syn";

/** What guards Envoy's ports. */
function guardChain(): LayoutChain {
  return chain("to-envoy", [
    // A program of this host may use such a port as its source.
    { text: "ct direction reply return", purpose: "not to Envoy" },
    // Without a conntrack entry there is neither direction nor status to match on.
    { text: "ct state invalid,untracked reject with tcp reset", purpose: "not sent here by us" },
    { text: "ct status & dnat == 0 reject with tcp reset", purpose: "not sent here by us" },
    { text: `${GOES_ON} return`, purpose: "under way" },
    {
      // Both values there are: any socket. Not `socket wildcard`, which finds none where the client's port is that of a
      // connection that Envoy closed a moment ago (TIME_WAIT).
      text: "socket transparent { 0, 1 } return",
      purpose: "Envoy listens",
    },
    {
      text: `add @envoy-gone { meta l4proto timeout ${GONE_SECONDS}s } drop`,
      purpose: "Envoy has just gone",
    },
  ]);
}

/** What is done with a packet after the translation. */
function afterChains(ports: EnvoyPorts): LayoutChain[] {
  const envoyPorts = `{ ${ports.tcp}, ${ports.http} }`;
  const begins = "ct state new,related";
  const toNobody = { text: `${begins} jump nobody`, purpose: "the first of a connection" };
  return [
    chain("translated", [
      REMEMBER,
      {
        text: `meta priority ${WRITTEN_PRIORITIES} meta priority set 0`,
        purpose: "what services wrote there",
      },
    ]),
    chain("nobody", [
      ...FAMILY_EXPRESSIONS.map(({ ip, suffix }) => ({
        text: `${ip} daddr @cluster-ips-${suffix} ct state new goto reject-connection`,
        purpose: "ports that a ClusterIP does not have",
      })),
      ...FAMILY_EXPRESSIONS.map(({ ip, suffix }) => ({
        text: `${ip} daddr @service-cidrs-${suffix} ct state new drop`,
        purpose: "no Service's",
      })),
      { text: "goto translated", purpose: "all others" },
    ]),
    guardChain(),
    baseChain("after-forward", { type: "filter", hook: "forward", priority: FILTER }, [toNobody]),
    baseChain("after-input", { type: "filter", hook: "input", priority: FILTER }, [
      { text: `${begins} jump translated`, purpose: "the first of a connection" },
      { text: `tcp dport ${envoyPorts} jump to-envoy`, purpose: "Envoy's ports" },
    ]),
    baseChain("after-output", { type: "filter", hook: "output", priority: FILTER }, [
      { text: `ct state invalid tcp sport ${envoyPorts} drop`, purpose: "would leave untranslated" },
      toNobody,
    ]),
  ];
}

/** The chains, each before those that refer to it. */
export function filterChains({ ports, marks }: Pick<LayoutOptions, "ports" | "marks">): LayoutChain[] {
  return [...beforeChains(marks), ...afterChains(ports)];
}

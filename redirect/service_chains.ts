/**
 * The chains that translate the destination of new connections: to Envoy, or to an endpoint.
 *
 * In: Envoy's ports. Out: chains of type nat and what they jump to.
 *
 * - `nat-prerouting` (from pods and from outside) and `nat-output` (from the host) look up the destination. Priority -110: chains
 *   of type nat all run at the kernel's own NAT step (dstnat, -100) and the priority only orders them among each other; the
 *   first that translates wins. So a VIP of ours is ours also where kube-proxy or a CNI port mapper (both -100) runs
 *   beside us. Envoy's own connections pass untouched,
 *   but for those in a client's name that lead to a destination of a Service: of these the kernel chooses the endpoint, as if Envoy
 *   were away (`sessionAffinity` is kept so).
 * - `services` loads what is known of the destination into the packet's priority (`served_value.ts`). A lookup that finds
 *   nothing ends the rule, and the next one is tried: so it goes on to `served-…` only where something was found.
 * - `served-…` goes to Envoy first, where that is the path, and to the kernel's own balancing if Envoy cannot be sent anything.
 *   So every destination has its endpoints in the kernel, and to do without Envoy is to remove one element.
 * - `draw-…` goes to the `balance-…` of the destination's class, which draws an endpoint (`balance.ts`).
 *
 * The whole layout has to fit into one message to the kernel, which outside of the first user namespace is limited to 212,960
 * bytes: hence as few rules as there are.
 *
 * To Envoy by `dnat` to an address of this node, else by `redirect`: `redirect` takes the first address of the
 * interface the packet came in by, and drops the packet when it has none, which is how Calico sets up pods.
 * @module
 */

import {
  BALANCED_SOCKET_PRIORITY,
  ENVOY_SOCKET_PRIORITY,
  type Marks,
  MASQUERADED_SOCKET_PRIORITY,
  renderMark,
} from "../agent/model/mod.ts";
import { affineChain } from "./affinity_chains.ts";
import { BALANCE_CLASSES, DRAWS } from "./balance.ts";
import {
  baseChain,
  BEFORE_DSTNAT,
  chain,
  destinationKey,
  type EnvoyPorts,
  FAMILY_EXPRESSIONS,
  type FamilyExpressions,
  type LayoutChain,
  type LayoutRule,
  SPACE_PURPOSE,
  spaceCondition,
} from "./chains.ts";
import { DESTINATION_SPACES, type DestinationSpace, type FamilySuffix } from "./containers.ts";
import { AFFINE, AFFINE_BIT, CLASS_BITS, classPart, PATH_BITS, pathPart } from "./served_value.ts";

function envoyChain(name: string, port: number, envoys: string): LayoutChain {
  return chain(name, [
    { text: `${envoys} return`, purpose: "Envoy's, in a client's name" },
    { text: "meta l4proto != @envoy-ready return", purpose: "the kernel's turn" },
    { text: "meta l4proto @envoy-gone return", purpose: "nobody listened a moment ago" },
    ...FAMILY_EXPRESSIONS.map((family) => ({
      text: `meta l4proto @envoy-alone ${
        destinationKey("ips", family)
      } != @envoy-holds-${family.suffix} return`,
      purpose: "Envoy could not ask for it",
    })),
    {
      text: `meta l4proto tcp dnat ip to meta l4proto map @envoy-address-4 : ${port}`,
      purpose: "to Envoy, by this node's address",
    },
    {
      text: `meta l4proto tcp dnat ip6 to meta l4proto map @envoy-address-6 : ${port}`,
      purpose: "to Envoy, by this node's address",
    },
    { text: `meta l4proto tcp redirect to :${port}`, purpose: "to Envoy, by the interface's address" },
  ]);
}

function balanceChainName(places: number, space: DestinationSpace, suffix: FamilySuffix): string {
  return `balance-${places}-${space}-${suffix}`;
}

function balanceChains(space: DestinationSpace, family: FamilyExpressions): LayoutChain[] {
  const { ip, suffix } = family;
  const balancing = BALANCE_CLASSES.map((places) =>
    chain(balanceChainName(places, space, suffix), [{
      // nft takes a port for a new destination only where it knows that there are ports.
      text: `meta l4proto { tcp, udp, sctp } dnat ${ip} to ${destinationKey(space, family)} . ` +
        `numgen random mod ${places} map @endpoints-${space}-${suffix}`,
      purpose: "an endpoint",
    }])
  );
  const draw = chain(`draw-${space}-${suffix}`, [classRule(0, space, suffix)]);
  return [...balancing, draw];
}

/** To the balancing of a class, or of the one `before` it. */
function classRule(before: 0 | 1, space: DestinationSpace, suffix: FamilySuffix): LayoutRule {
  const entries = BALANCE_CLASSES.flatMap((_, classIndex) => {
    const places = BALANCE_CLASSES[classIndex - before];
    if (places === undefined) return [];
    return [`${classPart(classIndex)} : jump ${balanceChainName(places, space, suffix)}`];
  });
  return { text: `meta priority and ${CLASS_BITS} vmap { ${entries.join(", ")} }`, purpose: "by class" };
}

function servedChain(space: DestinationSpace, { suffix }: FamilyExpressions): LayoutChain {
  const paths = (["envoy-http", "envoy-tcp"] as const).map((path) => `${pathPart(path)} : jump ${path}`);
  return chain(`served-${space}-${suffix}`, [
    { text: `meta priority and ${PATH_BITS} vmap { ${paths.join(", ")} }`, purpose: "Envoy's" },
    {
      text: `meta priority and ${AFFINE_BIT} vmap { ${AFFINE} : jump affine-${space}-${suffix} }`,
      purpose: "the client's",
    },
    // Each comes back if it has drawn a place without endpoint.
    ...Array<LayoutRule>(DRAWS).fill({ text: `jump draw-${space}-${suffix}`, purpose: "the kernel's" }),
    classRule(1, space, suffix),
    // A packet that meets the class of one transaction and the endpoints of the next. To let it go untranslated would
    // make a UDP client's connection one without translation for as long as it goes on.
    { text: "drop", purpose: "between two changes" },
  ]);
}

function lookup(space: DestinationSpace, family: FamilyExpressions): LayoutRule {
  const { suffix } = family;
  return {
    text: `${spaceCondition(space, family)}meta priority set ${destinationKey(space, family)} ` +
      `map @service-${space}-${suffix} goto served-${space}-${suffix}`,
    purpose: SPACE_PURPOSE[space],
  };
}

/** The chains, each before those that refer to it. */
export function serviceChains(ports: EnvoyPorts, { mask, envoy }: Marks): LayoutChain[] {
  const envoys = `meta mark & ${renderMark(mask)} == ${renderMark(envoy)}`;
  const ownPriorities = [BALANCED_SOCKET_PRIORITY, MASQUERADED_SOCKET_PRIORITY, ENVOY_SOCKET_PRIORITY];
  const toServices = [{ text: "jump services", purpose: "served destinations" }];
  return [
    envoyChain("envoy-tcp", ports.tcp, envoys),
    envoyChain("envoy-http", ports.http, envoys),
    ...DESTINATION_SPACES.flatMap((space) =>
      FAMILY_EXPRESSIONS.flatMap((family) => [
        ...balanceChains(space, family),
        affineChain(space, family),
        servedChain(space, family),
      ])
    ),
    chain(
      "services",
      DESTINATION_SPACES.flatMap((space) => FAMILY_EXPRESSIONS.map((family) => lookup(space, family))),
    ),
    baseChain("nat-prerouting", { type: "nat", hook: "prerouting", priority: BEFORE_DSTNAT }, toServices),
    baseChain("nat-output", { type: "nat", hook: "output", priority: BEFORE_DSTNAT }, [
      {
        text: `meta priority 0:${BALANCED_SOCKET_PRIORITY} ${envoys} goto services`,
        purpose: "in a client's name",
      },
      {
        text: `meta priority { ${ownPriorities.map((priority) => `0:${priority}`).join(", ")} } return`,
        purpose: "Envoy's own connections",
      },
      ...toServices,
    ]),
  ];
}

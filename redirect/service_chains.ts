/**
 * The chains that translate the destination of new connections: to Envoy, or to an endpoint.
 *
 * In: Envoy's ports, what pods' addresses are in. Out: chains of type nat and what they jump to.
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
 * - `inside-…` asks who is there, at destinations that pods and this node itself find served otherwise than everybody else:
 *   `pathInside` (agent/model/path.ts) says why. What it does not serve to the outside is dropped here, and not in the
 *   filter chains before, which would have to ask the same once more.
 * - `draw-…` has a place drawn (`place-…`, of the destination's class, see `balance.ts`) and goes to the endpoint there. The
 *   number is drawn apart from the lookup, and passes through the packet's priority: a rule that did both at once would be needed
 *   for each class, family and kind of destination.
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
  MASQUERADED_SOCKET_PRIORITY,
  renderMark,
} from "../agent/model/mod.ts";
import { affineChain } from "./affinity_chains.ts";
import { BALANCE_CLASSES, DRAWS, FIRST_PLACE } from "./balance.ts";
import {
  baseChain,
  BEFORE_DSTNAT,
  chain,
  destinationKey,
  FAMILY_EXPRESSIONS,
  type FamilyExpressions,
  fromPod,
  type LayoutChain,
  type LayoutOptions,
  type LayoutRule,
  type LayoutTimeout,
  SPACE_PURPOSE,
  spaceCondition,
} from "./chains.ts";
import { DESTINATION_SPACES, type DestinationSpace, type ServedSpace } from "./containers.ts";
import { AFFINE, AFFINE_BIT, CLASS_BITS, classPart, PATH_BITS, pathPart } from "./served_value.ts";

/**
 * Envoy's connections are forgotten a second after they were reset. Usually that takes ten, and for as long conntrack sends a client that
 * uses the port again to where the old connection went, and prolongs it with each attempt: where Envoy was killed, to nobody.
 * (A reset by the client makes room for a new connection at once, one by the server does not: nf_conntrack_tcp_packet().) Envoy's node is
 * this one, so nothing that belongs to such a connection is still under way after a second; and its answer to the first packet comes at once,
 * so a first packet that was not answered within a second is forgotten too, before it is sent again.
 */
export const ENVOY_TIMEOUTS: readonly LayoutTimeout[] = FAMILY_EXPRESSIONS.map(({ suffix, ip }) => ({
  name: `envoy-${suffix}`,
  ip,
  policy: { syn_sent: 1, close: 1 },
}));

function envoyChain(
  name: string,
  port: number,
  { envoys, hasTimeouts }: { readonly envoys: string; readonly hasTimeouts: boolean },
): LayoutChain {
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
    ...(hasTimeouts ? ENVOY_TIMEOUTS : []).map((timeout) => ({
      text: `meta nfproto ${timeout.ip === "ip" ? "ipv4" : "ipv6"} ct timeout set "${timeout.name}"`,
      purpose: "soon forgotten once it is reset",
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

/** A chain that draws a place of a class; `space` and family do not matter to it. */
function placeChainName(places: number): string {
  return `place-${places}`;
}

/** Chains that write the number of a drawn place into the priority: of one class; of the class that stands there; of the one before that. */
function placeChains(): LayoutChain[] {
  return [
    ...BALANCE_CLASSES.map((places) =>
      chain(placeChainName(places), [{
        text: `meta priority set numgen random mod ${places} offset ${FIRST_PLACE}`,
        purpose: "a place",
      }])
    ),
    chain("place", [classRule(0)]),
    chain("place-before", [classRule(1)]),
  ];
}

/** To the drawing of a class, or of the one `before` it. */
function classRule(before: 0 | 1): LayoutRule {
  const entries = BALANCE_CLASSES.flatMap((_, classIndex) => {
    const places = BALANCE_CLASSES[classIndex - before];
    return places === undefined ? [] : [`${classPart(classIndex)} : goto ${placeChainName(places)}`];
  });
  return { text: `meta priority and ${CLASS_BITS} vmap { ${entries.join(", ")} }`, purpose: "by class" };
}

/** Chains that go to the endpoint of a place that is drawn, and come back, with the class again, if there is none. */
function drawChains(space: ServedSpace, family: FamilyExpressions): LayoutChain[] {
  const { ip, suffix } = family;
  const key = destinationKey(space, family);
  const endpoint: LayoutRule = {
    // nft takes a port for a new destination only where it knows that there are ports.
    text: `meta l4proto { tcp, udp, sctp } dnat ${ip} to ${key} . meta priority ` +
      `map @endpoints-${space}-${suffix}`,
    purpose: "an endpoint",
  };
  return [
    chain(`draw-${space}-${suffix}`, [
      { text: "jump place", purpose: "among the class's" },
      endpoint,
      { text: `meta priority set ${key} map @service-${space}-${suffix}`, purpose: "the class again" },
    ]),
    chain(`draw-before-${space}-${suffix}`, [
      { text: "jump place-before", purpose: "among those that are taken" },
      endpoint,
    ]),
  ];
}

const ENVOY_PATHS = (["envoy-http", "envoy-tcp"] as const).map((path) => `${pathPart(path)} : jump ${path}`);
const TO_ENVOY: LayoutRule = {
  text: `meta priority and ${PATH_BITS} vmap { ${ENVOY_PATHS.join(", ")} }`,
  purpose: "Envoy's",
};

function servedChain(space: ServedSpace, { suffix }: FamilyExpressions): LayoutChain {
  return chain(`served-${space}-${suffix}`, [
    // What only the inside finds is the kernel's.
    ...(isDestinationSpace(space) ? [TO_ENVOY] : []),
    {
      text: `meta priority and ${AFFINE_BIT} vmap { ${AFFINE} : jump affine-${space}-${suffix} }`,
      purpose: "the client's",
    },
    // Each comes back if it has drawn a place without endpoint.
    ...Array<LayoutRule>(DRAWS).fill({ text: `jump draw-${space}-${suffix}`, purpose: "the kernel's" }),
    { text: `jump draw-before-${space}-${suffix}`, purpose: "the kernel's" },
    // A packet that meets the class of one transaction and the endpoints of the next. To let it go untranslated would
    // make a UDP client's connection one without translation for as long as it goes on.
    { text: "drop", purpose: "between two changes" },
  ]);
}

function isDestinationSpace(space: ServedSpace): space is DestinationSpace {
  return space === "ips" || space === "nodeports";
}

function lookups(space: DestinationSpace, family: FamilyExpressions): LayoutRule[] {
  const { suffix } = family;
  const load = `${spaceCondition(space, family)}meta priority set ${destinationKey(space, family)}`;
  const purpose = SPACE_PURPOSE[space];
  return [
    { text: `${load} map @service-inside-${space}-${suffix} goto inside-${space}-${suffix}`, purpose },
    { text: `${load} map @service-${space}-${suffix} goto served-${space}-${suffix}`, purpose },
  ];
}

function insideChain(
  space: DestinationSpace,
  family: FamilyExpressions,
  options: LayoutOptions,
): LayoutChain {
  const { suffix } = family;
  const pod = fromPod(family, options);
  const served = `goto served-inside-${space}-${suffix}`;
  return chain(`inside-${space}-${suffix}`, [
    ...(pod === undefined ? [] : [{ text: `${pod} ${served}`, purpose: "from a pod" }]),
    { text: `fib saddr type local ${served}`, purpose: "from this node" },
    {
      text: `meta priority set ${destinationKey(space, family)} ` +
        `map @service-${space}-${suffix} goto served-${space}-${suffix}`,
      purpose: "from outside",
    },
    { text: "drop", purpose: "no endpoint for the outside" },
  ]);
}

function servingChains(space: ServedSpace, family: FamilyExpressions): LayoutChain[] {
  return [...drawChains(space, family), affineChain(space, family), servedChain(space, family)];
}

/** The chains, each before those that refer to it. */
export function serviceChains(options: LayoutOptions): LayoutChain[] {
  const { ports, marks: { mask, envoy }, hasTimeouts } = options;
  const envoys = `meta mark & ${renderMark(mask)} == ${renderMark(envoy)}`;
  const ownPriorities = [BALANCED_SOCKET_PRIORITY, MASQUERADED_SOCKET_PRIORITY, ENVOY_SOCKET_PRIORITY];
  const toServices = [{ text: "jump services", purpose: "served destinations" }];
  return [
    envoyChain("envoy-tcp", ports.tcp, { envoys, hasTimeouts }),
    envoyChain("envoy-http", ports.http, { envoys, hasTimeouts }),
    ...placeChains(),
    ...DESTINATION_SPACES.flatMap((space) =>
      FAMILY_EXPRESSIONS.flatMap((family) => [
        ...servingChains(space, family),
        ...servingChains(`inside-${space}`, family),
        insideChain(space, family, options),
      ])
    ),
    chain(
      "services",
      DESTINATION_SPACES.flatMap((space) => FAMILY_EXPRESSIONS.flatMap((family) => lookups(space, family))),
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

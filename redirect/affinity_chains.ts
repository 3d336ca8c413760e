/**
 * The chains that keep a client (its source address) with the endpoint it was given, for destinations that ask for it.
 *
 * Out: chains that `served-…` goes through before an endpoint is drawn, and one that remembers what was drawn.
 *
 * - `affine-…`: if the client is remembered and its endpoint is still one of the destination's, that is where it goes.
 *   Otherwise what is remembered is deleted: the kernel prolongs what it holds of a client, but does not replace it.
 * - `remember-…`, after the translation: conntrack knows where the client was going, and the packet where it was sent. A
 *   connection that went to Envoy was sent to no endpoint, and is not remembered; the one that Envoy then makes in the client's
 *   name is.
 *
 * A client and its destination, address included, are remembered as a hash: nft 1.0.6 dies of a rule that adds to a map under a key of more than 16
 * bytes. Clients that share a hash (of 100,000 remembered ones a new one does once in 40,000 times) share an endpoint, or where
 * they ask different destinations are not remembered.
 *
 * The packet's priority serves as scratch register here as well, so the class of the destination is loaded anew afterwards.
 * @module
 */

import { AFFINITY_TIMEOUTS, timeoutValue } from "./affinity.ts";
import {
  chain,
  destinationKey,
  FAMILY_EXPRESSIONS,
  type FamilyExpressions,
  type LayoutChain,
  type LayoutRule,
  originalKey,
} from "./chains.ts";
import { DESTINATION_SPACES, type DestinationSpace, type ServedSpace } from "./containers.ts";

const PROTOCOLS = "meta l4proto { tcp, udp, sctp }";

/** A client of a destination, as a number. `original`: after the translation. */
function clientOf({ ip }: FamilyExpressions, original?: "original"): string {
  const destination = original
    ? `ct original ${ip} daddr . meta l4proto . ct original proto-dst`
    : `${ip} daddr . meta l4proto . th dport`;
  return `jhash ${ip} saddr . ${destination} mod 4294967295 seed 0x4c50`;
}

/** The chain that looks for the endpoint of a client that is remembered. */
export function affineChain(space: ServedSpace, family: FamilyExpressions): LayoutChain {
  const { ip, suffix } = family;
  const destination = destinationKey(space, family);
  const client = clientOf(family);
  const load = `${PROTOCOLS} meta priority set ${client} map @clients-${suffix}`;
  return chain(`affine-${space}-${suffix}`, [
    {
      text: `${load} dnat ${ip} to ${destination} . meta priority map @affine-${space}-${suffix}`,
      purpose: "the client's endpoint",
    },
    { text: `${load} delete @clients-${suffix} { ${client} : meta priority }`, purpose: "which is gone" },
    {
      text: `meta priority set ${destination} map @service-${space}-${suffix}`,
      purpose: "the class again",
    },
  ]);
}

function rememberChain(family: FamilyExpressions): LayoutChain {
  const { ip, suffix } = family;
  return chain(
    `remember-${suffix}`,
    AFFINITY_TIMEOUTS.map((seconds) => ({
      text: `meta priority ${timeoutValue(seconds)} ${PROTOCOLS} ` +
        `meta priority set ${ip} daddr . th dport map @endpoint-ids-${suffix} ` +
        `update @clients-${suffix} { ${clientOf(family, "original")} timeout ${seconds}s : meta priority }`,
      purpose: `for ${seconds} s`,
    })),
  );
}

function rememberRule(space: DestinationSpace, family: FamilyExpressions): LayoutRule {
  const { condition, key } = originalKey(space, family);
  const { suffix } = family;
  return {
    text: `${PROTOCOLS} ${condition}meta priority set ${key} ` +
      `map @sticky-${space}-${suffix} goto remember-${suffix}`,
    purpose: "clients to remember",
  };
}

/** Goes there, after the translation. */
export const REMEMBER: LayoutRule = {
  text: "ct state new ct status & dnat != 0 jump remember",
  purpose: "sent to an endpoint",
};

/** The chains that remember. */
export function affinityChains(): LayoutChain[] {
  return [
    ...FAMILY_EXPRESSIONS.map(rememberChain),
    chain(
      "remember",
      DESTINATION_SPACES.flatMap((space) => FAMILY_EXPRESSIONS.map((family) => rememberRule(space, family))),
    ),
  ];
}

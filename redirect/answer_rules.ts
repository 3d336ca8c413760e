/**
 * The rules that bring answers to Envoy where it asks an endpoint in its client's name.
 *
 * In: the marks. Out: rules for packets that come in and for those that are made here, of the chains before the translation.
 *
 * Envoy marks such packets (SO_MARK), and `before-output` notes it of their connections. The answer is addressed to the client: the
 * routes would lead it to him. So it gets a mark, by which a policy route takes it in (`policy_routes.ts`). Not before conntrack
 * knows whose it is, and not before those have had the packet that check where it came from by its mark (Calico does at -300).
 *
 * Of a chain of type route the kernel looks up the route again where the mark has changed. Answers that are made here have a mark of
 * their own; `policy_routes.ts` says why.
 *
 * An answer is also what a router says of such a packet, that it was too big say (ICMP, which conntrack relates to the connection, as of its
 * reply's direction): sent on to the client, it would be lost on Envoy, which would send the same packet again until it gives up.
 *
 * Other bits of marks stay as they are, and so does what is not about TCP.
 * @module
 */

import { type Marks, renderMark } from "../agent/model/mod.ts";
import type { LayoutRule } from "./chains.ts";

/** All that Envoy sends. Others, WireGuard say, mark packets with whole numbers, in which any bit may be set. */
const TCP = "meta l4proto tcp";
/** All that is about a connection of TCP, ICMP errors too. */
const ABOUT_TCP = "ct original protocol tcp";

/** For packets that come in. */
export function answersThatArrive(marks: Marks): LayoutRule[] {
  return [answerRule(marks, marks.answer)];
}

/** For packets that are made here: Envoy's, and answers to them. In a chain of type route. */
export function answersMadeHere(marks: Marks): LayoutRule[] {
  return [
    {
      text: `${TCP} ${has("meta", marks)} ${set("ct", marks, marks.envoy)}`,
      purpose: "in a client's name",
    },
    answerRule(marks, marks.answerHere),
  ];
}

/** The direction first: it settles the matter for half of all packets. */
function answerRule(marks: Marks, mark: number): LayoutRule {
  return {
    text: `ct direction reply ${ABOUT_TCP} ${has("ct", marks)} ${set("meta", marks, mark)}`,
    purpose: "the answer to that",
  };
}

function has(of: "meta" | "ct", { mask, envoy }: Marks): string {
  return `${of} mark & ${renderMark(mask)} == ${renderMark(envoy)}`;
}

function set(of: "meta" | "ct", { mask }: Marks, mark: number): string {
  return `${of} mark set ${of} mark & ${renderMark((~mask) >>> 0)} | ${renderMark(mark)}`;
}

/**
 * Reads what the kernel answers to a batch.
 *
 * In: messages as they were received. Out: whether the transaction was made, and what was refused. Pure. What answers something
 * else is passed over.
 *
 * A batch was performed if its last change is acknowledged and nothing is refused: all answers are sent when all is done. A
 * refusal of the begin is one of the batch as a whole.
 * Source: netlink(7), NETLINK_EXT_ACK; linux/netlink.h, nlmsgerr_attrs; the kernel's netlink_ack(), nfnetlink_rcv_batch().
 * @module
 */

import type { PlanElement } from "../plan.ts";
import type { Batch, BatchMessage } from "./encode_batch.ts";
import { align, attributeOf, attributesOf, cString, messagesOf } from "./frames.ts";
import {
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLMSG_ERROR,
  NLMSG_HDRLEN,
  NLMSGERR_ATTR_MSG,
  NLMSGERR_ATTR_OFFS,
} from "./protocol.ts";

/** What became of one message. */
export interface Answer {
  /** Of the message that is answered. */
  readonly sequence: number;
  /** 0: it was done. */
  readonly errno: number;
  /** What the kernel says of it in words; mostly nothing. */
  readonly words: string;
  /** Where in the message the fault lies, in bytes from its begin. */
  readonly offset?: number;
}

/** What became of a batch. */
export type Outcome =
  | { readonly kind: "done" }
  | {
    readonly kind: "refused";
    readonly errno: number;
    readonly words: string;
    /** What was refused, where that is known, and of it the first element that is to blame. */
    readonly message?: BatchMessage;
    readonly element?: PlanElement;
  }
  /** Not all answers came, so that it may have been made or not. */
  | { readonly kind: "unknown" };

/** A buffer for any answer: an error, the header it is about, and a sentence of the kernel's. */
export const LONGEST_ANSWER = 8_192;

/** Where an error's echo of the message begins that it is about. */
const ECHO = NLMSG_HDRLEN + 4;

/** Reads what was received at a time; messages of other kinds are none of ours. */
export function parseAnswers(received: Uint8Array): Answer[] {
  return messagesOf(received)
    .filter(({ type, view }) => type === NLMSG_ERROR && view.byteLength >= ECHO + NLMSG_HDRLEN)
    .map(({ view }) => parseAnswer(view));
}

function parseAnswer(message: DataView): Answer {
  const flags = message.getUint16(6, true);
  const echoLength = flags & NLM_F_CAPPED ? NLMSG_HDRLEN : message.getUint32(ECHO, true);
  const attributes = flags & NLM_F_ACK_TLVS ? attributesOf(message, ECHO + align(echoLength)) : [];
  const words = attributeOf(attributes, NLMSGERR_ATTR_MSG);
  const offset = attributeOf(attributes, NLMSGERR_ATTR_OFFS);
  return {
    sequence: message.getUint32(8, true),
    errno: 0 - message.getInt32(NLMSG_HDRLEN, true),
    words: words === undefined ? "" : cString(words),
    ...(offset?.byteLength === 4 ? { offset: offset.getUint32(0, true) } : {}),
  };
}

/** What became of a batch that was sent and answered like this. */
export function outcomeOf({ firstSequence, messages }: Batch, answers: readonly Answer[]): Outcome {
  // Counted from the begin, whose place is 0, also where the numbers begin anew.
  const placed = answers.map((answer) => ({ ...answer, place: (answer.sequence - firstSequence) >>> 0 }))
    .filter(({ place }) => place <= messages.length + 1);
  const refusal = placed.find(({ errno }) => errno !== 0);
  if (refusal !== undefined) {
    const { place, errno, words, offset } = refusal;
    return { kind: "refused", errno, words, ...blamed(messages[place - 1], offset) };
  }
  return { kind: placed.some(({ place }) => place === messages.length) ? "done" : "unknown" };
}

function blamed(
  message: BatchMessage | undefined,
  offset: number | undefined,
): { readonly message?: BatchMessage; readonly element?: PlanElement } {
  if (message === undefined) return {};
  // One that is alone is to blame also where the kernel does not say.
  const index = offset === undefined
    ? (message.elements.length === 1 ? 0 : -1)
    : message.starts.findLastIndex((start) => start <= offset);
  const element = message.elements[index];
  return { message, ...(element === undefined ? {} : { element }) };
}

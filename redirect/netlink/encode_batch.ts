/**
 * Encodes changes of elements as one batch: what the kernel makes one transaction of.
 *
 * In: a PlanDelta, a number to count messages from. Out: a Batch. Pure; same input, same bytes.
 * Invariants: deletions come before additions, so that the kernel takes the same key again with another value; of the
 * messages the last that changes something is acknowledged, and the others are answered where they are refused.
 * Source: linux/netfilter/nfnetlink.h; the kernel's nfnetlink_rcv_batch(), which answers when all is done.
 * @module
 */

import type { ElementContainer } from "../containers.ts";
import { emptiedBy, type PlanDelta } from "../diff.ts";
import { TABLE_NAME } from "../layout.ts";
import type { PlanElement } from "../plan.ts";
import { Bytes } from "./bytes.ts";
import { writeElement } from "./encode_element.ts";
import {
  beginMessage,
  beginNested,
  endAttribute,
  endMessage,
  type MessageHeader,
  writeName,
} from "./message.ts";
import {
  NFNL_MSG_BATCH_BEGIN,
  NFNL_MSG_BATCH_END,
  NFNL_SUBSYS_NFTABLES,
  NFPROTO_INET,
  NFPROTO_UNSPEC,
  NFT_MSG_DELSETELEM,
  NFT_MSG_NEWSETELEM,
  NFTA_SET_ELEM_LIST_ELEMENTS,
  NFTA_SET_ELEM_LIST_SET,
  NFTA_SET_ELEM_LIST_TABLE,
  NLM_F_ACK,
  NLM_F_CREATE,
} from "./protocol.ts";

/** What one message does. */
export interface BatchChange {
  readonly verb: "add" | "delete" | "empty";
  readonly container: ElementContainer;
  /** At most `MOST_ELEMENTS`. */
  readonly elements: readonly PlanElement[];
}

/** See the module's comment. */
export interface Batch {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The number of the batch's begin; the others are numbered on from there. */
  readonly firstSequence: number;
  /** One for each message between begin and end. */
  readonly messages: readonly BatchMessage[];
}

/** A message of a batch. */
export interface BatchMessage extends BatchChange {
  /** Where each element begins, in bytes from the message's begin. */
  readonly starts: readonly number[];
}

/** An element that cannot be put into a message: the kernel would not take it either. */
export class UnencodableElement extends Error {
  override readonly name = "UnencodableElement";
  readonly element: PlanElement;

  constructor(element: PlanElement, cause: RangeError) {
    super(cause.message, { cause });
    this.element = element;
  }
}

/** A list of elements can have 64 KB; an element has up to 80 bytes. */
const MOST_ELEMENTS = 500;

/** About how much room is needed. */
const MESSAGE_BYTES = 512;
const ELEMENT_BYTES = 48;

/** The changes in the order in which they are made. Each list of the delta must be sorted by container. */
export function batchChanges(delta: PlanDelta): BatchChange[] {
  return [
    ...changesOf("delete", delta.delete),
    ...changesOf("add", delta.add),
    ...emptiedBy(delta).map((container): BatchChange => ({ verb: "empty", container, elements: [] })),
  ];
}

function* changesOf(verb: "add" | "delete", elements: readonly PlanElement[]): Generator<BatchChange> {
  let start = 0;
  for (let end = 1; end <= elements.length; end++) {
    const container = elements[start]?.container;
    if (container === undefined) return;
    if (elements[end]?.container === container && end - start < MOST_ELEMENTS) continue;
    yield { verb, container, elements: elements.slice(start, end) };
    start = end;
  }
}

/**
 * Encodes a change of elements, which must not be empty.
 * @param firstSequence An integer of 32 bits.
 * @throws {UnencodableElement}
 */
export function encodeBatch(delta: PlanDelta, firstSequence: number): Batch {
  const bytes = new Bytes(MESSAGE_BYTES + (delta.delete.length + delta.add.length) * ELEMENT_BYTES);
  const changes = batchChanges(delta);
  const sequenceAt = (place: number): number => (firstSequence + place) >>> 0;
  writeEdge(bytes, NFNL_MSG_BATCH_BEGIN, sequenceAt(0));
  const messages = changes.map((change, index): BatchMessage => {
    const flags = index === changes.length - 1 ? NLM_F_ACK : 0;
    return { ...change, starts: writeChange(bytes, change, { flags, sequence: sequenceAt(index + 1) }) };
  });
  writeEdge(bytes, NFNL_MSG_BATCH_END, sequenceAt(changes.length + 1));
  return { bytes: bytes.written(), firstSequence, messages };
}

/** The begin or end of a batch. */
function writeEdge(bytes: Bytes, type: number, sequence: number): void {
  const resource = NFNL_SUBSYS_NFTABLES;
  endMessage(bytes, beginMessage(bytes, { type, flags: 0, sequence, family: NFPROTO_UNSPEC, resource }));
}

const TYPES: Readonly<Record<BatchChange["verb"], number>> = {
  add: NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM,
  delete: NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELSETELEM,
  // A deletion without a list means all.
  empty: NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELSETELEM,
};

/** Writes a message and tells where each element of it begins. */
function writeChange(
  bytes: Bytes,
  { verb, container, elements }: BatchChange,
  header: Pick<MessageHeader, "flags" | "sequence">,
): number[] {
  const flags = header.flags | (verb === "add" ? NLM_F_CREATE : 0);
  const start = beginMessage(bytes, { ...header, type: TYPES[verb], flags, family: NFPROTO_INET });
  writeName(bytes, NFTA_SET_ELEM_LIST_TABLE, TABLE_NAME);
  writeName(bytes, NFTA_SET_ELEM_LIST_SET, container);
  const starts: number[] = [];
  if (verb !== "empty") {
    const list = beginNested(bytes, NFTA_SET_ELEM_LIST_ELEMENTS);
    for (const element of elements) {
      starts.push(bytes.length - start);
      encodeElement(bytes, verb, element);
    }
    endAttribute(bytes, list);
  }
  endMessage(bytes, start);
  return starts;
}

function encodeElement(bytes: Bytes, verb: "add" | "delete", element: PlanElement): void {
  try {
    writeElement(bytes, element, { withValue: verb === "add" });
  } catch (error) {
    throw error instanceof RangeError ? new UnencodableElement(element, error) : error;
  }
}

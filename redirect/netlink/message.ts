/**
 * The frames of netlink: messages, and attributes within them.
 *
 * In: their heads; their contents are written between begin and end. Out: bytes. A length is filled in at the end.
 * Source: netlink(7); linux/netfilter/nfnetlink.h.
 * @module
 */

import type { Bytes } from "./bytes.ts";
import { NFNETLINK_V0, NLA_F_NESTED, NLM_F_REQUEST } from "./protocol.ts";

/** Its length is told in 16 bits. */
const LONGEST_ATTRIBUTE = 0xffff;

/** What a message says of itself. */
export interface MessageHeader {
  readonly type: number;
  /** Beside NLM_F_REQUEST. */
  readonly flags: number;
  readonly sequence: number;
  readonly family: number;
  /** Of a batch's begin and end: which subsystem it is for. */
  readonly resource?: number;
}

/** Begins a message of netfilter. Returns what `endMessage` takes. */
export function beginMessage(bytes: Bytes, header: MessageHeader): number {
  const start = bytes.length;
  bytes.u32(0);
  bytes.u16(header.type);
  bytes.u16(NLM_F_REQUEST | header.flags);
  bytes.u32(header.sequence);
  // The sender, 0 for the kernel to fill in.
  bytes.u32(0);
  bytes.u8(header.family);
  bytes.u8(NFNETLINK_V0);
  bytes.u16be(header.resource ?? 0);
  return start;
}

export function endMessage(bytes: Bytes, start: number): void {
  bytes.putU32(start, bytes.length - start);
}

/** Begins an attribute. Returns what `endAttribute` takes. */
export function beginAttribute(bytes: Bytes, type: number): number {
  const start = bytes.length;
  bytes.u16(0);
  bytes.u16(type);
  return start;
}

/** Begins an attribute that consists of attributes. */
export function beginNested(bytes: Bytes, type: number): number {
  return beginAttribute(bytes, type | NLA_F_NESTED);
}

/** Ends an attribute; the next begins at a multiple of four. */
export function endAttribute(bytes: Bytes, start: number): void {
  const length = bytes.length - start;
  if (length > LONGEST_ATTRIBUTE) {
    throw new TypeError(`An attribute of ${length} bytes is longer than one can be`);
  }
  bytes.putU16(start, length);
  bytes.align();
}

/** Writes an attribute that is a name. */
export function writeName(bytes: Bytes, type: number, name: string): void {
  const start = beginAttribute(bytes, type);
  bytes.cString(name);
  endAttribute(bytes, start);
}

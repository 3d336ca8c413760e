/**
 * Takes apart what was received: messages, and the attributes in them.
 *
 * In: bytes. Out: views of them, nothing is copied. Pure. What is cut off is passed over.
 * Source: netlink(7), with its macros NLMSG_NEXT and NLA_ALIGN.
 * @module
 */

import { NLA_HDRLEN, NLA_TYPE_MASK, NLMSG_HDRLEN } from "./protocol.ts";

/** A message, with its header. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly view: DataView;
}

/** An attribute's content. */
export interface Attribute {
  readonly type: number;
  readonly content: DataView;
}

/** What was received at a time. */
export function messagesOf(received: Uint8Array): Message[] {
  const view = new DataView(received.buffer, received.byteOffset, received.byteLength);
  return frames(view, 0, NLMSG_HDRLEN, (at) => view.getUint32(at, true)).map((message) => ({
    type: message.getUint16(4, true),
    flags: message.getUint16(6, true),
    view: message,
  }));
}

/** The attributes of a message, from where its own headers end. */
export function attributesOf(message: DataView, start: number): Attribute[] {
  return frames(message, start, NLA_HDRLEN, (at) => message.getUint16(at, true)).map((attribute) => ({
    type: attribute.getUint16(2, true) & NLA_TYPE_MASK,
    content: new DataView(
      attribute.buffer,
      attribute.byteOffset + NLA_HDRLEN,
      attribute.byteLength - NLA_HDRLEN,
    ),
  }));
}

/** The first of a type. */
export function attributeOf(attributes: readonly Attribute[], type: number): DataView | undefined {
  return attributes.find((attribute) => attribute.type === type)?.content;
}

/** A text that ends with its first zero, or where its place ends. */
export function cString(view: DataView): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end === -1 ? bytes : bytes.subarray(0, end));
}

/** The next multiple of four, where the next of them begins. */
export function align(length: number): number {
  return (length + 3) & ~3;
}

/** Messages, or attributes of one: each tells its length. */
function frames(
  view: DataView,
  start: number,
  headerLength: number,
  lengthAt: (at: number) => number,
): DataView[] {
  const found: DataView[] = [];
  for (let at = start; at + headerLength <= view.byteLength;) {
    const length = lengthAt(at);
    if (length < headerLength || at + length > view.byteLength) break;
    found.push(new DataView(view.buffer, view.byteOffset + at, length));
    at += align(length);
  }
  return found;
}

/**
 * Writes the parts of an element's key or value as the kernel keeps them.
 *
 * In: nft text of one part, canonical as `plan.ts` writes it, and its data type. Out: bytes; a RangeError for what is none.
 * Addresses and ports are in the network's order, since they are compared with what packets carry; what rules load as a number
 * is in the host's: a priority (`classid`), a number that is drawn (`integer`).
 * Source: the byte order of each type in nft's src/datatype.c, and what nft 1.0.6 sends.
 * @module
 */

import type { Bytes } from "./bytes.ts";

const PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** Writes one part, as many bytes as its type has. @throws {RangeError} when the text is none of this type */
export function writePart(bytes: Bytes, type: string, text: string): void {
  switch (type) {
    case "ipv4_addr":
      return writeIPv4(bytes, text);
    case "ipv6_addr":
      return writeIPv6(bytes, text);
    case "inet_proto":
      return bytes.u8(PROTOCOLS[text] ?? none(type, text));
    case "inet_service":
      return bytes.u16be(decimal(text, 0xffff) ?? none(type, text));
    case "integer":
      return bytes.u32(decimal(text, 0xffff_ffff) ?? none(type, text));
    case "classid":
      return writeClassid(bytes, text);
    default:
      throw new TypeError(`No element of the table has a part of the type ${type}`);
  }
}

/** A range that one part of a key may be: `10.0.0.0/8`, or an address alone. */
export interface Range {
  readonly address: string;
  /** How many bits an address has. */
  readonly bits: number;
  /** How many bits of the address are the same in all of it. */
  readonly prefix: number;
}

/** @throws {RangeError} when the text is no range of this type */
export function parseRange(type: string, text: string): Range {
  const bits = type === "ipv4_addr" ? 32 : 128;
  const [address = "", length] = text.split("/");
  return { address, bits, prefix: length === undefined ? bits : decimal(length, bits) ?? none(type, text) };
}

function writeIPv4(bytes: Bytes, text: string): void {
  // Every second element has one: no list is made of it.
  let octet = -1;
  let octets = 0;
  for (let index = 0; index <= text.length; index++) {
    const digit = text.charCodeAt(index) - ZERO;
    if (digit >= 0 && digit <= 9) octet = Math.max(octet, 0) * 10 + digit;
    else {
      const ends = index === text.length ? octets === 3 : octets < 3 && text[index] === ".";
      if (!ends || octet < 0 || octet > 255) none("ipv4_addr", text);
      bytes.u8(octet);
      octets++;
      octet = -1;
    }
  }
}

const ZERO = 0x30;

function writeIPv6(bytes: Bytes, text: string): void {
  const [head = "", tail, ...more] = text.split("::");
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const missing = 8 - before.length - after.length;
  const valid = more.length === 0 && (tail === undefined ? missing === 0 : missing > 0);
  if (!valid || [...before, ...after].includes(NaN)) none("ipv6_addr", text);
  for (const group of before) bytes.u16be(group);
  bytes.zeros(missing * 2);
  for (const group of after) bytes.u16be(group);
}

function groups(text: string): number[] {
  if (text === "") return [];
  return text.split(":").map((group) => digits(group, 16, 0xffff) ?? NaN);
}

function writeClassid(bytes: Bytes, text: string): void {
  const colon = text.indexOf(":");
  const major = digits(text.slice(0, Math.max(0, colon)), 16, 0xffff) ?? none("classid", text);
  const minor = digits(text.slice(colon + 1), 16, 0xffff) ?? none("classid", text);
  bytes.u32(major * 0x10000 + minor);
}

function decimal(text: string, largest: number): number | undefined {
  return digits(text, 10, largest);
}

/** A number of lower-case digits and no more than it needs. */
function digits(text: string, radix: 10 | 16, largest: number): number | undefined {
  const value = parseInt(text, radix);
  // Written anew, because `parseInt` reads as far as it can.
  return value >= 0 && value <= largest && value.toString(radix) === text ? value : undefined;
}

function none(type: string, text: string): never {
  throw new RangeError(`"${text}" is no ${type}`);
}

/**
 * Encodes an element as the kernel takes it: its key, for a range the last key of it too, and in a map its value.
 *
 * In: a PlanElement. Out: an attribute of a list of elements. Pure, but for the buffer it writes into.
 *
 * A concatenation is its parts, each filled up to four bytes with zeros; what stands alone is not filled up. An element of a
 * set with ranges always has both keys, which differ in the range's last bits only.
 * Source: linux/netfilter/nf_tables.h, nft_set_elem_attributes; nft's src/netlink.c, and what nft 1.0.6 sends.
 * @module
 */

import { CONTAINERS, type ElementContainer, type LayoutContainer } from "../containers.ts";
import type { PlanElement } from "../plan.ts";
import type { Bytes } from "./bytes.ts";
import { beginAttribute, beginNested, endAttribute } from "./message.ts";
import { parseRange, writePart } from "./parts.ts";
import {
  NFTA_DATA_VALUE,
  NFTA_LIST_ELEM,
  NFTA_SET_ELEM_DATA,
  NFTA_SET_ELEM_KEY,
  NFTA_SET_ELEM_KEY_END,
} from "./protocol.ts";

const CONTAINER_BY_NAME: ReadonlyMap<string, LayoutContainer> = new Map(
  CONTAINERS.map((container) => [container.name, container]),
);

/**
 * Whether elements of a container can be encoded. Ranges that are a whole key cannot: the kernel keeps each of those as two
 * elements, of which neighbours may share one (nft's src/segtree.c), and they change too rarely to do that here as well.
 */
export function isEncodable(container: ElementContainer): boolean {
  const { interval, keyTypes } = containerOf(container);
  return !interval || keyTypes.length > 1;
}

function containerOf(name: ElementContainer): LayoutContainer {
  const container = CONTAINER_BY_NAME.get(name);
  if (container === undefined) throw new TypeError(`The table has no ${name}`);
  return container;
}

/**
 * Writes an element of a container whose elements can be encoded; without its value where it is to be deleted.
 * @throws {RangeError} when key or value are not of the container's types
 */
export function writeElement(
  bytes: Bytes,
  element: PlanElement,
  { withValue }: { withValue: boolean },
): void {
  if (!isEncodable(element.container)) {
    throw new TypeError(`Elements of ${element.container} are nft's to write`);
  }
  const { keyTypes, valueTypes, interval } = containerOf(element.container);
  const start = beginNested(bytes, NFTA_LIST_ELEM);
  if (interval) writeRange(bytes, keyTypes, element.key);
  else writeData(bytes, NFTA_SET_ELEM_KEY, keyTypes, element.key);
  if (withValue && valueTypes.length > 0) writeData(bytes, NFTA_SET_ELEM_DATA, valueTypes, element.value);
  endAttribute(bytes, start);
}

/** The last part of the key is a range: written are the key with its first address, and the key with its last. */
function writeRange(bytes: Bytes, types: readonly string[], key: string): void {
  const [type = ""] = types.slice(-1);
  const rangeAt = key.lastIndexOf(" ") + 1;
  const { address, bits, prefix } = parseRange(type, key.slice(rangeAt));
  const first = key.slice(0, rangeAt) + address;
  writeData(bytes, NFTA_SET_ELEM_KEY, types, first);
  writeData(bytes, NFTA_SET_ELEM_KEY_END, types, first);
  // Addresses have no need of filling up.
  setBitsAfter(prefix, bytes.written().subarray(-bits / 8));
}

/** Sets all bits of an address that are not the prefix's. */
function setBitsAfter(prefix: number, address: Uint8Array): void {
  for (let bit = prefix; bit < address.length * 8; bit = (bit | 7) + 1) {
    address[bit >> 3] = (address[bit >> 3] ?? 0) | 0xff >> (bit & 7);
  }
}

function writeData(bytes: Bytes, attribute: number, types: readonly string[], text: string): void {
  const start = beginNested(bytes, attribute);
  const value = beginAttribute(bytes, NFTA_DATA_VALUE);
  writeParts(bytes, types, text);
  endAttribute(bytes, value);
  endAttribute(bytes, start);
}

function writeParts(bytes: Bytes, types: readonly string[], text: string): void {
  if (types.length === 1) return writePart(bytes, types[0] ?? "", text);
  const parts = text.split(" . ");
  if (parts.length !== types.length) throw new RangeError(`"${text}" is no ${types.join(" . ")}`);
  for (let index = 0; index < types.length; index++) {
    writePart(bytes, types[index] ?? "", parts[index] ?? "");
    // The content of an attribute begins at a multiple of four.
    bytes.align();
  }
}

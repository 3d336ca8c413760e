/**
 * Reads what the kernel answers to questions about our table.
 *
 * In: what was received, of one question. Out: what is asked for; undefined where the answer does not say it. Pure.
 * Source: the kernel's nf_tables_fill_gen_info(), nf_tables_fill_table_info(), nf_tables_fill_rule_info(), netlink_dump(); of comments,
 * which nft keeps as it likes, libnftnl's udata.h.
 * @module
 */

import { fingerprintLine } from "../layout.ts";
import { type Attribute, attributeOf, attributesOf, cString, type Message, messagesOf } from "./frames.ts";
import {
  NFGENMSG_LEN,
  NFNL_SUBSYS_NFTABLES,
  NFT_MSG_NEWGEN,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWTABLE,
  NFTA_GEN_ID,
  NFTA_RULE_CHAIN,
  NFTA_RULE_USERDATA,
  NFTA_TABLE_HANDLE,
  NFTNL_UDATA_RULE_COMMENT,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_HDRLEN,
} from "./protocol.ts";

/** The number of the last transaction. */
export function parseGeneration(received: readonly Uint8Array[]): number | undefined {
  return firstOf(received, NFT_MSG_NEWGEN, NFTA_GEN_ID)?.getUint32(0);
}

/** The number of the table: another one of the same name has another. */
export function parseTableHandle(received: readonly Uint8Array[]): bigint | undefined {
  return firstOf(received, NFT_MSG_NEWTABLE, NFTA_TABLE_HANDLE)?.getBigUint64(0);
}

/** All rules, as lines of `layoutFingerprint`; undefined where the table was changed meanwhile. */
export function parseRules(received: readonly Uint8Array[]): readonly string[] | undefined {
  const messages = received.flatMap(messagesOf);
  const isWhole = messages.at(-1)?.type === NLMSG_DONE &&
    messages.every(({ flags }) => (flags & NLM_F_DUMP_INTR) === 0);
  if (!isWhole) return undefined;
  const positions = new Map<string, number>();
  return messages.filter((message) => isOf(message, NFT_MSG_NEWRULE)).map((message) => {
    const attributes = contentOf(message);
    const name = attributeOf(attributes, NFTA_RULE_CHAIN);
    const chain = name === undefined ? "" : cString(name);
    const position = positions.get(chain) ?? 0;
    positions.set(chain, position + 1);
    return fingerprintLine.rule(chain, position, commentOf(attributeOf(attributes, NFTA_RULE_USERDATA)));
  });
}

function firstOf(
  received: readonly Uint8Array[],
  type: number,
  attribute: number,
): DataView | undefined {
  const message = received.flatMap(messagesOf).find((message) => isOf(message, type));
  return message && attributeOf(contentOf(message), attribute);
}

function isOf({ type }: Message, wanted: number): boolean {
  return type === (NFNL_SUBSYS_NFTABLES << 8 | wanted);
}

function contentOf({ view }: Message): Attribute[] {
  return attributesOf(view, NLMSG_HDRLEN + NFGENMSG_LEN);
}

/** Each thing that nft keeps is a type, a length and so many bytes. */
function commentOf(userdata: DataView | undefined): string {
  if (userdata === undefined) return "";
  for (let at = 0; at + 2 <= userdata.byteLength;) {
    const length = userdata.getUint8(at + 1);
    if (at + 2 + length > userdata.byteLength) break;
    if (userdata.getUint8(at) === NFTNL_UDATA_RULE_COMMENT) {
      return cString(new DataView(userdata.buffer, userdata.byteOffset + at + 2, length));
    }
    at += 2 + length;
  }
  return "";
}

/**
 * Encodes questions to the kernel, which change nothing.
 *
 * Out: one message each. Pure. Who may not make changes is not answered either, but refused.
 * Source: the kernel's nf_tables_getgen(), nf_tables_gettable(), nf_tables_dump_rules().
 * @module
 */

import { TABLE_NAME } from "../layout.ts";
import { Bytes } from "./bytes.ts";
import { beginMessage, endMessage, type MessageHeader, writeName } from "./message.ts";
import {
  NFNL_SUBSYS_NFTABLES,
  NFPROTO_INET,
  NFPROTO_UNSPEC,
  NFT_MSG_GETGEN,
  NFT_MSG_GETRULE,
  NFT_MSG_GETTABLE,
  NFTA_RULE_TABLE,
  NFTA_TABLE_NAME,
  NLM_F_ACK,
  NLM_F_DUMP,
} from "./protocol.ts";

const QUESTION_BYTES = 64;

/** For the number of the last transaction in this network namespace, whoever made it. */
export function generationQuestion(sequence: number): Uint8Array<ArrayBuffer> {
  return question({ type: NFT_MSG_GETGEN, flags: NLM_F_ACK, sequence, family: NFPROTO_UNSPEC });
}

/** For our table, without what is in it. */
export function tableQuestion(sequence: number): Uint8Array<ArrayBuffer> {
  return question(
    { type: NFT_MSG_GETTABLE, flags: NLM_F_ACK, sequence, family: NFPROTO_INET },
    NFTA_TABLE_NAME,
  );
}

/** For all rules of our table, chain by chain; none where there is no table. */
export function rulesQuestion(sequence: number): Uint8Array<ArrayBuffer> {
  return question(
    { type: NFT_MSG_GETRULE, flags: NLM_F_DUMP, sequence, family: NFPROTO_INET },
    NFTA_RULE_TABLE,
  );
}

/** @param tableAttribute By which the table is named, if it is. */
function question(header: MessageHeader, tableAttribute?: number): Uint8Array<ArrayBuffer> {
  const bytes = new Bytes(QUESTION_BYTES);
  const start = beginMessage(bytes, { ...header, type: NFNL_SUBSYS_NFTABLES << 8 | header.type });
  if (tableAttribute !== undefined) writeName(bytes, tableAttribute, TABLE_NAME);
  endMessage(bytes, start);
  return bytes.written();
}

/**
 * Looks at our table over netlink: at what does not depend on Services.
 *
 * In: questions, one after the other. Out: what the kernel answers, or a `RedirectError`.
 * @module
 */

import { RedirectError } from "../redirect_error.ts";
import type { TableSense } from "../table_watch.ts";
import { generationQuestion, rulesQuestion, tableQuestion } from "./encode_question.ts";
import { NetlinkError, type NetlinkSocket } from "./netlink_socket.ts";
import { parseGeneration, parseRules, parseTableHandle } from "./parse_table.ts";

/** See the module's comment. */
export class NetlinkTable implements TableSense {
  readonly #socket: NetlinkSocket;
  #sequence = 0;

  /** Asks over this socket, which remains the caller's. */
  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  async generation(): Promise<number> {
    const generation = parseGeneration(await this.#ask(generationQuestion));
    if (generation === undefined) {
      throw new RedirectError("the kernel does not tell the number of its last transaction", {
        kind: "other",
      });
    }
    return generation;
  }

  async handle(): Promise<bigint | undefined> {
    return parseTableHandle(await this.#ask(tableQuestion));
  }

  async rules(): Promise<readonly string[] | undefined> {
    return parseRules(await this.#ask(rulesQuestion));
  }

  async #ask(question: (sequence: number) => Uint8Array<ArrayBuffer>): Promise<Uint8Array[]> {
    this.#sequence = (this.#sequence + 1) >>> 0;
    try {
      return await this.#socket.exchange(question(this.#sequence));
    } catch (cause) {
      if (!(cause instanceof NetlinkError)) throw cause;
      throw new RedirectError(cause.message, { kind: cause.kind, cause });
    }
  }
}

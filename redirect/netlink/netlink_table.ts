/**
 * Looks at our table over netlink: at what does not depend on Services.
 *
 * In: questions, one after the other. Out: what the kernel answers, or a `RedirectError`.
 * @module
 */

import { Libc } from "../../agent/libc.ts";
import { RedirectError } from "../redirect_error.ts";
import type { TableSense } from "../table_watch.ts";
import { generationQuestion, rulesQuestion, tableQuestion } from "./encode_question.ts";
import { NetlinkError, NetlinkSocket } from "./netlink_socket.ts";
import { parseGeneration, parseRules, parseTableHandle } from "./parse_table.ts";

/** See the module's comment. */
export class NetlinkTable implements TableSense, Disposable {
  readonly #socket: NetlinkSocket;
  readonly #owned: Disposable;
  #sequence = 0;

  /** Asks over this socket, which nobody else uses; disposes in the end of what it owns. */
  constructor(socket: NetlinkSocket, owned: Disposable) {
    this.#socket = socket;
    this.#owned = owned;
  }

  /** Opens a socket in the network namespace of this process. @throws {LibcUnavailable | NetlinkError} */
  static open(): NetlinkTable {
    using opened = new DisposableStack();
    const socket = opened.use(NetlinkSocket.open(opened.use(Libc.open())));
    return new NetlinkTable(socket, opened.move());
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

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}

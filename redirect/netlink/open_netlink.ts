/**
 * What goes to the kernel over netlink rather than through nft, where that is possible.
 *
 * Out: both that there is, or nothing, with the reason logged: nothing is lost then but time.
 * @module
 */

import { Libc, LibcUnavailable } from "../../agent/libc.ts";
import type { Logger } from "../../agent/log.ts";
import { parseAnswers } from "./answers.ts";
import { generationQuestion } from "./encode_question.ts";
import { NetlinkElements } from "./netlink_elements.ts";
import { NetlinkError, NetlinkSocket } from "./netlink_socket.ts";
import { NetlinkTable } from "./netlink_table.ts";

/** Both over one socket: one exchange at a time, as a backend is called. */
export interface Netlink extends Disposable {
  readonly elements: NetlinkElements;
  readonly table: NetlinkTable;
}

/** Both over this socket. Disposes in the end of what it owns. */
export function netlinkOver(socket: NetlinkSocket, owned: Disposable): Netlink {
  return {
    elements: new NetlinkElements(socket),
    table: new NetlinkTable(socket),
    [Symbol.dispose]: () => owned[Symbol.dispose](),
  };
}

/** Opens it in the network namespace of this process, and asks the kernel something, which changes nothing. */
export async function openNetlink(logger: Logger): Promise<Netlink | undefined> {
  using opened = new DisposableStack();
  try {
    const socket = opened.use(NetlinkSocket.open(opened.use(Libc.open())));
    const answers = (await socket.exchange(generationQuestion(0))).flatMap(parseAnswers);
    const refusal = answers.find(({ errno }) => errno !== 0);
    if (refusal !== undefined) {
      throw new NetlinkError("the kernel answers no questions about nftables", refusal.errno);
    }
    return netlinkOver(socket, opened.move());
  } catch (error) {
    if (!(error instanceof LibcUnavailable) && !(error instanceof NetlinkError)) throw error;
    // What the kernel has not, or does not let us do, nft is told as well, in one sentence.
    const isFatal = error instanceof NetlinkError && ["permission", "unsupported"].includes(error.kind);
    if (!isFatal) {
      logger.warn(
        "nft writes all changes, which takes longer than over netlink, and what others do to the table is found at --resync-interval only",
        { reason: error.message },
      );
    }
    return undefined;
  }
}

/**
 * What goes to the kernel over netlink rather than through nft, where that is possible.
 *
 * Out: both that there is, or nothing, with the reason logged: nothing is lost then but time.
 * @module
 */

import { LibcUnavailable } from "../../agent/libc.ts";
import type { Logger } from "../../agent/log.ts";
import { NetlinkElements } from "./netlink_elements.ts";
import { NetlinkError } from "./netlink_socket.ts";
import { NetlinkTable } from "./netlink_table.ts";

/** Each with a socket of its own. */
export interface Netlink extends Disposable {
  readonly elements: NetlinkElements;
  readonly table: NetlinkTable;
}

/** Opens both in the network namespace of this process. */
export async function openNetlink(logger: Logger): Promise<Netlink | undefined> {
  using opened = new DisposableStack();
  try {
    const elements = opened.use(await NetlinkElements.open());
    const table = opened.use(NetlinkTable.open());
    const owned = opened.move();
    return { elements, table, [Symbol.dispose]: () => owned.dispose() };
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

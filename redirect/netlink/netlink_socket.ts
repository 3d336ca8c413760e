/**
 * A socket to the netfilter side of the kernel.
 *
 * In: messages. Out: what the kernel said to them. A socket belongs to the network namespace it was opened in, and messages
 * need CAP_NET_ADMIN there.
 * Invariants: one exchange at a time. The kernel has performed what it was sent before `send` returns, and its answers are there
 * then: none is ever waited for. When `send` fails, nothing was performed. It waits only while somebody else's transaction is
 * performed: the kernel makes one at a time.
 * Source: netlink(7); the kernel's netlink_sendmsg(), nfnetlink_rcv().
 * @module
 */

import type { RedirectErrorKind } from "../redirect_error.ts";
import { LONGEST_ANSWER } from "./answers.ts";
import { errnoMeaning } from "./errno.ts";
import type { Libc } from "../../agent/libc.ts";
import {
  AF_NETLINK,
  ENOBUFS,
  MSG_DONTWAIT,
  MSG_TRUNC,
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_NETFILTER,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_RAW,
  SOL_NETLINK,
  SOL_SOCKET,
} from "./protocol.ts";

/** The kernel gives no socket, or did not take what was sent. */
export class NetlinkError extends Error {
  override readonly name = "NetlinkError";
  readonly kind: RedirectErrorKind;

  /** @param errno Undefined where it cannot be known. */
  constructor(message: string, errno: number | undefined) {
    const { name, kind } = errnoMeaning(errno);
    super(`${message}: ${name}`);
    this.kind = kind;
  }
}

/** Room for any plan: 50,000 Services take 10 MB. It is a limit; memory is taken for what is sent only. */
const SEND_BUFFER = 64 << 20;
/** What the kernel keeps of that for itself. */
const SEND_BUFFER_RESERVE = 32;
/** Longer messages take the kernel more than a millisecond and are sent by another thread. */
const LONGEST_ON_THIS_THREAD = 64 << 10;

/** See the module's comment. */
export class NetlinkSocket implements Disposable {
  /** In bytes; less than it could be outside of the first user namespace. */
  readonly longestMessage: number;
  readonly #libc: Libc;
  readonly #descriptor: number;
  readonly #buffer = new Uint8Array(LONGEST_ANSWER);

  /**
   * Takes a socket over, and closes it in the end.
   * @param sendBuffer In bytes, of which the kernel keeps twice as many.
   */
  constructor(libc: Libc, descriptor: number, sendBuffer = SEND_BUFFER) {
    this.#libc = libc;
    this.#descriptor = descriptor;
    if (!libc.setOption(descriptor, [SOL_SOCKET, SO_SNDBUFFORCE], sendBuffer)) {
      libc.setOption(descriptor, [SOL_SOCKET, SO_SNDBUF], sendBuffer);
    }
    this.longestMessage = (libc.getOption(descriptor, [SOL_SOCKET, SO_SNDBUF]) ?? 0) - SEND_BUFFER_RESERVE;
    // Without the first an error repeats its whole message, without the second it does not say where the fault lies.
    libc.setOption(descriptor, [SOL_NETLINK, NETLINK_CAP_ACK], 1);
    libc.setOption(descriptor, [SOL_NETLINK, NETLINK_EXT_ACK], 1);
  }

  /** Opens a socket in the network namespace of this process. @throws {NetlinkError} */
  static open(libc: Libc): NetlinkSocket {
    const descriptor = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    if (descriptor < 0) throw new NetlinkError("the kernel gives no netlink socket", libc.errno);
    return new NetlinkSocket(libc, descriptor);
  }

  /**
   * Sends messages and returns what the kernel said to them, or as much of it as there was room for.
   * @throws {NetlinkError} when nothing was performed
   */
  async exchange(messages: Uint8Array<ArrayBuffer>): Promise<Uint8Array[]> {
    if (messages.byteLength <= LONGEST_ON_THIS_THREAD) {
      if (this.#libc.send(this.#descriptor, messages, 0) < 0) throw notSent(this.#libc.errno);
    } else if (await this.#libc.sendInBackground(this.#descriptor, messages, 0) < 0) throw notSent(undefined);
    return [...this.#received()];
  }

  *#received(): Generator<Uint8Array> {
    for (;;) {
      const length = this.#libc.receive(this.#descriptor, this.#buffer, MSG_DONTWAIT | MSG_TRUNC);
      if (length < 0) {
        // There were more than there is room for. That is told once, and those that are here come after it.
        if (this.#libc.errno === ENOBUFS) continue;
        return;
      }
      yield this.#buffer.slice(0, Math.min(length, this.#buffer.byteLength));
    }
  }

  [Symbol.dispose](): void {
    this.#libc.close(this.#descriptor);
  }
}

function notSent(errno: number | undefined): NetlinkError {
  return new NetlinkError("the kernel did not take a message over netlink", errno);
}

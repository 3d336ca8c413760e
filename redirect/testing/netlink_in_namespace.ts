/**
 * Netlink in another network namespace, for tests: the program itself has it in its own.
 *
 * A socket belongs to the namespace in which it was opened, whoever holds it. So a process inside opens one, and it is taken over from there.
 * Source: pidfd_open(2), pidfd_getfd(2); the numbers of new system calls are the same on all architectures.
 * @module
 */

import type { Namespace } from "../../scripts/lab/mod.ts";
import { Libc } from "../../agent/libc.ts";
import { NetlinkSocket } from "../netlink/netlink_socket.ts";
import { type Netlink, netlinkOver } from "../netlink/open_netlink.ts";
import { SO_RCVBUF, SOL_SOCKET } from "../netlink/protocol.ts";

const SYS_PIDFD_OPEN = 434n;
const SYS_PIDFD_GETFD = 438n;

/** Opens a socket of family AF_NETLINK for NETLINK_NETFILTER, and waits to be killed. */
const OPEN = `import signal, socket
opened = socket.socket(16, socket.SOCK_RAW, 12)
print("socket", opened.fileno(), flush=True)
signal.pause()`;

/** The socket's room in bytes, where it is to be less than usual. */
export interface NetlinkBuffers {
  readonly send?: number;
  readonly receive?: number;
}

/** What an agent in that namespace does over netlink. */
export async function openNetlinkIn(
  namespace: Namespace,
  { send, receive }: NetlinkBuffers = {},
): Promise<Netlink> {
  using opened = new DisposableStack();
  const libc = opened.use(Libc.open());
  const descriptor = await socketFrom(namespace);
  const socket = opened.use(new NetlinkSocket(libc, descriptor, send));
  if (receive !== undefined) libc.setOption(descriptor, [SOL_SOCKET, SO_RCVBUF], receive);
  return netlinkOver(socket, opened.move());
}

async function socketFrom(namespace: Namespace): Promise<number> {
  const holder = namespace.spawn(["python3", "-c", OPEN]);
  try {
    const [, theirs = ""] = /^socket (\d+)$/.exec(await holder.waitForLine(/^socket /)) ?? [];
    return takeOver(await holder.pid(), Number(theirs));
  } finally {
    await holder.kill("SIGKILL");
    await holder.closed;
  }
}

function takeOver(pid: number, theirs: number): number {
  const libc = Deno.dlopen("libc.so.6", {
    syscall: { parameters: ["i64", "i64", "i64", "i64"], result: "i64" },
    close: { parameters: ["i32"], result: "i32" },
  });
  try {
    const { syscall, close } = libc.symbols;
    const process = syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n, 0n);
    const ours = syscall(SYS_PIDFD_GETFD, process, BigInt(theirs), 0n);
    close(Number(process));
    if (ours < 0n) throw new Error(`the socket of process ${pid} cannot be taken over`);
    return Number(ours);
  } finally {
    libc.close();
  }
}

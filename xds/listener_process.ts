/**
 * Which process listens on a Unix socket.
 *
 * In: the socket's path. Out: the process's id as it is seen from here. The kernel tells whoever connects, also where processes of other
 * users, or their open files, are not to be seen.
 * Invariant: nothing waits: a listener whose queue is full is taken for none.
 * Source: SO_PEERCRED in unix(7): the credentials of the process that called listen(2); pid 0 is one of another PID namespace.
 * @module
 */
import { Libc, LibcUnavailable } from "../agent/libc.ts";

const AF_UNIX = 1;
const [SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC] = [1, 0x800, 0x80000];
const [SOL_SOCKET, SO_PEERCRED] = [1, 17];
/** `struct ucred`: process, user, group. */
const UCRED_INTS = 3;

/** Undefined when nobody listens there, or somebody who cannot be seen from here, or the kernel cannot be asked. */
export function listenerProcess(path: string): number | undefined {
  let library: Libc;
  try {
    library = Libc.open();
  } catch (error) {
    if (error instanceof LibcUnavailable) return undefined;
    throw error;
  }
  using libc = library;
  const socket = libc.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) return undefined;
  try {
    if (libc.connect(socket, socketAddress(path)) < 0) return undefined;
    const pid = libc.getOption(socket, [SOL_SOCKET, SO_PEERCRED], UCRED_INTS);
    return pid === 0 ? undefined : pid;
  } finally {
    libc.close(socket);
  }
}

/** `struct sockaddr_un`: the family, of two bytes in the machine's order, and the path with its final zero. */
function socketAddress(path: string): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(`${path}\0`);
  const address = new Uint8Array(2 + text.length);
  new Uint16Array(address.buffer, 0, 1)[0] = AF_UNIX;
  address.set(text, 2);
  return address;
}

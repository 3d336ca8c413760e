/**
 * Files that the kernel makes up: those under /proc, which Deno gives nobody but a program that may do everything.
 *
 * In: paths. Out: texts. Read and written by way of the C library, so that the agent does with the permissions that it needs.
 * Invariants: nothing waits: the kernel makes these files when they are read.
 * Source: Deno, "Security and permissions": /proc, /sys and /dev want all permissions, whatever `--allow-read` says; proc(5).
 * @module
 */
import { Libc, LibcUnavailable } from "./libc.ts";

const [ENOENT, ESRCH] = [2, 3];
const [O_RDONLY, O_WRONLY, O_CLOEXEC] = [0, 1, 0x80000];
const CHUNK = 16 << 10;

/**
 * The text of a file; undefined when there is none, or when the process that it tells of has ended.
 * @throws {LibcUnavailable} @throws {Error} with the system's reason
 */
export function readSystemFile(path: string): string | undefined {
  using libc = openLibc(path);
  using file = openFile(libc, path, O_RDONLY);
  if (file === undefined) return undefined;
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(CHUNK);
  let text = "";
  for (;;) {
    const length = libc.read(file.descriptor, chunk);
    if (length === 0) return text + decoder.decode();
    if (length < 0) {
      const { errno } = libc;
      if (errno === ESRCH) return undefined;
      throw fault(libc, path, errno);
    }
    text += decoder.decode(chunk.subarray(0, length), { stream: true });
  }
}

/**
 * Writes a file that is there, in one piece.
 * @throws {LibcUnavailable} @throws {Error} with the system's reason
 */
export function writeSystemFile(path: string, text: string): void {
  using libc = openLibc(path);
  using file = openFile(libc, path, O_WRONLY);
  if (file === undefined) throw fault(libc, path, ENOENT);
  if (libc.write(file.descriptor, new TextEncoder().encode(text)) < 0) throw fault(libc, path, libc.errno);
}

/** How many descriptors this process has open; undefined where that is not to be seen. */
export function countOpenFiles(): number | undefined {
  const path = "/proc/self/fd";
  using libc = openLibc(path);
  const count = libc.countEntries(path);
  // Neither `.` and `..` nor the descriptor by which they were counted.
  return count === undefined ? undefined : count - 3;
}

interface OpenFile extends Disposable {
  readonly descriptor: number;
}

/** Undefined when there is no such file. */
function openFile(libc: Libc, path: string, flags: number): OpenFile | undefined {
  const descriptor = libc.open(path, flags | O_CLOEXEC);
  if (descriptor >= 0) return { descriptor, [Symbol.dispose]: () => libc.close(descriptor) };
  const { errno } = libc;
  if (errno === ENOENT || errno === ESRCH) return undefined;
  throw fault(libc, path, errno);
}

/** @throws {LibcUnavailable} */
function openLibc(path: string): Libc {
  try {
    return Libc.open();
  } catch (error) {
    if (!(error instanceof LibcUnavailable)) throw error;
    throw new LibcUnavailable(`${path} cannot be opened: ${error.message}`, { cause: error });
  }
}

function fault(libc: Libc, path: string, errno: number): Error {
  return new Error(`${libc.describe(errno)} (os error ${errno}): "${path}"`);
}

/**
 * The functions of the C library that are called: those a netlink socket takes, and those that reach what Deno keeps from a program
 * without `--allow-all` (`system_files.ts`). The only file that calls foreign code.
 *
 * Invariants: a buffer is handed over together with its own length, a text with its final zero. Each call returns before its buffer
 * can be collected, but for `sendInBackground`, which keeps it as long.
 * Source: socket(2), connect(2), setsockopt(2), send(2), recv(2), open(2), read(2), write(2), close(2), opendir(3), errno(3),
 * strerror(3), memcpy(3), strncpy(3), in the ABI of Linux on x86-64 and arm64 (where the optional third argument of open() is passed as any other).
 * @module
 */

/**
 * Where distributions have the library: Debian and its kin on both architectures, Fedora and its kin, Arch. Deno takes a name that
 * the system's loader looks up only where all of `--allow-ffi` is granted; a permission for one file wants its path.
 */
export const LIBC_PATHS: readonly string[] = [
  "/lib/x86_64-linux-gnu/libc.so.6",
  "/lib/aarch64-linux-gnu/libc.so.6",
  "/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
];

const SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  sendInBackground: {
    name: "send",
    parameters: ["i32", "buffer", "usize", "i32"],
    result: "isize",
    nonblocking: true,
  },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
  opendir: { parameters: ["buffer"], result: "pointer" },
  readdir: { parameters: ["pointer"], result: "pointer" },
  closedir: { parameters: ["pointer"], result: "i32" },
  strerror: { parameters: ["i32"], result: "pointer" },
  memcpy: { parameters: ["buffer", "pointer", "usize"], result: "pointer" },
  strncpy: { parameters: ["buffer", "pointer", "usize"], result: "pointer" },
  __errno_location: { parameters: [], result: "pointer" },
} as const;

/** The library cannot be called; the message says why, for an operator. */
export class LibcUnavailable extends Error {
  override readonly name = "LibcUnavailable";
}

/** See the module's comment. Failures are told as in C, by -1 and `errno`. */
export class Libc implements Disposable {
  readonly #library: Deno.DynamicLibrary<typeof SYMBOLS>;
  /** What another thread is reading. */
  readonly #sending = new Set<Uint8Array>();

  private constructor(library: Deno.DynamicLibrary<typeof SYMBOLS>) {
    this.#library = library;
  }

  /** @throws {LibcUnavailable} */
  static open(): Libc {
    const [library, ...others] = permittedLibraries();
    if (library === undefined) throw new LibcUnavailable("Deno was started without --allow-ffi");
    try {
      return new Libc(Deno.dlopen(library, SYMBOLS));
    } catch (cause) {
      for (const other of others) {
        try {
          return new Libc(Deno.dlopen(other, SYMBOLS));
        } catch {
          // Another distribution's, or another architecture's: the first one says why there is none.
        }
      }
      throw new LibcUnavailable(`the C library cannot be called (${String(cause)})`, { cause });
    }
  }

  /** Why the last call failed, if it did. */
  get errno(): number {
    const { __errno_location: location, memcpy } = this.#library.symbols;
    const value = new Int32Array(1);
    // Deno itself reads what a pointer leads to only where all of `--allow-ffi` is granted.
    memcpy(value, location(), BigInt(value.byteLength));
    return value[0] ?? 0;
  }

  /** What an `errno` means, in words. */
  describe(errno: number): string {
    const { strerror, strncpy } = this.#library.symbols;
    const text = new Uint8Array(128);
    strncpy(text, strerror(errno), BigInt(text.length));
    return new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
  }

  socket(domain: number, type: number, protocol: number): number {
    return this.#library.symbols.socket(domain, type, protocol);
  }

  /** Whether the option, which is an int, is set. */
  setOption(socket: number, [level, name]: SocketOption, value: number): boolean {
    const bytes = new Int32Array([value]);
    return this.#library.symbols.setsockopt(socket, level, name, bytes, bytes.byteLength) === 0;
  }

  /** The value of an option that is an int, or begins with one; undefined when it cannot be had. */
  getOption(socket: number, [level, name]: SocketOption, ints = 1): number | undefined {
    const value = new Int32Array(ints);
    const length = new Uint32Array([value.byteLength]);
    return this.#library.symbols.getsockopt(socket, level, name, value, length) === 0 ? value[0] : undefined;
  }

  connect(socket: number, address: Uint8Array<ArrayBuffer>): number {
    return this.#library.symbols.connect(socket, address, address.byteLength);
  }

  send(socket: number, bytes: Uint8Array<ArrayBuffer>, flags: number): number {
    return Number(this.#library.symbols.send(socket, bytes, BigInt(bytes.byteLength), flags));
  }

  /** The same on another thread, which takes no time from this one; `errno` does not tell why it failed. */
  async sendInBackground(socket: number, bytes: Uint8Array<ArrayBuffer>, flags: number): Promise<number> {
    this.#sending.add(bytes);
    try {
      const { sendInBackground } = this.#library.symbols;
      return Number(await sendInBackground(socket, bytes, BigInt(bytes.byteLength), flags));
    } finally {
      this.#sending.delete(bytes);
    }
  }

  receive(socket: number, buffer: Uint8Array<ArrayBuffer>, flags: number): number {
    return Number(this.#library.symbols.recv(socket, buffer, BigInt(buffer.byteLength), flags));
  }

  open(path: string, flags: number): number {
    return this.#library.symbols.open(cString(path), flags);
  }

  read(descriptor: number, buffer: Uint8Array<ArrayBuffer>): number {
    return Number(this.#library.symbols.read(descriptor, buffer, BigInt(buffer.byteLength)));
  }

  write(descriptor: number, bytes: Uint8Array<ArrayBuffer>): number {
    return Number(this.#library.symbols.write(descriptor, bytes, BigInt(bytes.byteLength)));
  }

  close(descriptor: number): void {
    this.#library.symbols.close(descriptor);
  }

  /** How many entries a folder has, `.` and `..` among them; undefined when it cannot be opened. */
  countEntries(path: string): number | undefined {
    const { opendir, readdir, closedir } = this.#library.symbols;
    const folder = opendir(cString(path));
    if (folder === null) return undefined;
    let count = 0;
    while (readdir(folder) !== null) count++;
    closedir(folder);
    return count;
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }
}

/** Level and name. */
export type SocketOption = readonly [level: number, name: number];

/** The names under which this program may open the library; the best first. */
function permittedLibraries(): readonly string[] {
  // Asked, and not tried: nobody is to be asked at a terminal.
  const granted = (path?: string): boolean =>
    Deno.permissions.querySync({ name: "ffi", ...(path === undefined ? {} : { path }) }).state === "granted";
  return granted() ? ["libc.so.6"] : LIBC_PATHS.filter((path) => granted(path));
}

function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}

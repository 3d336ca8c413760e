/**
 * The functions of the C library that a netlink socket takes; the only file that calls foreign code.
 *
 * Invariants: a buffer is handed over together with its own length. Each call returns before its buffer can be
 * collected, but for `sendInBackground`, which keeps it as long.
 * Source: socket(2), setsockopt(2), send(2), recv(2), close(2), errno(3), in the ABI of Linux on x86-64 and arm64.
 * @module
 */

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
  close: { parameters: ["i32"], result: "i32" },
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
    // Not to be asked for at a terminal.
    if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") {
      throw new LibcUnavailable("Deno was started without --allow-ffi");
    }
    try {
      return new Libc(Deno.dlopen("libc.so.6", SYMBOLS));
    } catch (cause) {
      throw new LibcUnavailable(`the C library cannot be called (${String(cause)})`, { cause });
    }
  }

  /** Why the last call failed, if it did. */
  get errno(): number {
    const location = this.#library.symbols.__errno_location();
    return location === null ? 0 : new Deno.UnsafePointerView(location).getInt32();
  }

  socket(domain: number, type: number, protocol: number): number {
    return this.#library.symbols.socket(domain, type, protocol);
  }

  /** Whether the option, which is an int, is set. */
  setOption(socket: number, [level, name]: SocketOption, value: number): boolean {
    const bytes = new Int32Array([value]);
    return this.#library.symbols.setsockopt(socket, level, name, bytes, bytes.byteLength) === 0;
  }

  /** The value of an option that is an int; undefined when it cannot be had. */
  getOption(socket: number, [level, name]: SocketOption): number | undefined {
    const value = new Int32Array(1);
    const length = new Uint32Array([value.byteLength]);
    return this.#library.symbols.getsockopt(socket, level, name, value, length) === 0 ? value[0] : undefined;
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

  close(socket: number): void {
    this.#library.symbols.close(socket);
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }
}

/** Level and name. */
export type SocketOption = readonly [level: number, name: number];

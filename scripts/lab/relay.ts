/**
 * Makes a port of this machine's loopback interface reachable inside of namespaces, at the same address or at one of theirs.
 *
 * In: the port, namespaces, a folder for a Unix socket, which works across network namespaces.
 * Out: a relay; disposing it closes what goes through it. Its ends in the namespaces end with those.
 * @module
 */
import { join } from "@std/path/join";
import { fromFileUrl } from "@std/path/from-file-url";
import type { Namespace } from "./namespace.ts";

const PROGRAM = fromFileUrl(new URL("./relay.py", import.meta.url));

/** See the module's comment. */
export class Relay implements AsyncDisposable {
  readonly #port: number;
  readonly #path: string;
  readonly #listener: Deno.UnixListener;
  readonly #connections = new Set<Disposable>();
  readonly #accepting: Promise<void>;

  private constructor(port: number, path: string) {
    this.#port = port;
    this.#path = path;
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#accepting = this.#accept();
  }

  /** @param options `dir` is an existing folder. */
  static create({ port, dir }: { readonly port: number; readonly dir: string }): Relay {
    return new Relay(port, join(dir, `relay-${port}.sock`));
  }

  /** From now on the port answers in there. @param address One of the namespace's; @default 127.0.0.1 */
  async enter(namespace: Namespace, address = "127.0.0.1"): Promise<void> {
    const relay = namespace.spawn(["python3", PROGRAM, address, String(this.#port), this.#path]);
    await relay.waitForLine(/^listening$/);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#connections) connection[Symbol.dispose]();
    await this.#accepting;
  }

  async #accept(): Promise<void> {
    const running = new Set<Promise<void>>();
    for await (const inside of this.#listener) {
      const served: Promise<void> = this.#serve(inside).finally(() => running.delete(served));
      running.add(served);
    }
    await Promise.all(running);
  }

  async #serve(inside: Deno.UnixConn): Promise<void> {
    this.#connections.add(inside);
    try {
      using outside = await Deno.connect({ hostname: "127.0.0.1", port: this.#port });
      this.#connections.add(outside);
      // Whichever way ends first ends the other: nobody here uses half-closed connections.
      await Promise.race([copy(inside, outside), copy(outside, inside)]);
      this.#connections.delete(outside);
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
      // The server is not there (yet); whoever connected is told by the end of the connection.
    } finally {
      this.#connections.delete(inside);
      inside[Symbol.dispose]();
    }
  }
}

async function copy(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(65_536);
  try {
    for (let size = await from.read(buffer); size !== null; size = await from.read(buffer)) {
      const bytes = buffer.subarray(0, size);
      for (let written = 0; written < size;) written += await to.write(bytes.subarray(written));
    }
  } catch (error) {
    // Closed by either side, or because the relay ends.
    const ended = [
      Deno.errors.BadResource,
      Deno.errors.Interrupted,
      Deno.errors.ConnectionReset,
      Deno.errors.BrokenPipe,
    ];
    if (!ended.some((kind) => error instanceof kind)) throw error;
  }
}

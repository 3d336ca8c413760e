/**
 * A TCP proxy on loopback that a test can cut: connections that are open break, new ones are refused.
 * @module
 */

/** Forwards to a port on 127.0.0.1. Dispose of it with `await using`. */
export class CuttableProxy implements AsyncDisposable {
  readonly #target: number;
  readonly #listener: Deno.TcpListener;
  readonly #connections = new Set<Deno.TcpConn>();
  readonly #running = new Set<Promise<unknown>>();
  /** While true nothing passes. */
  #isCut = false;

  constructor(targetPort: number) {
    this.#target = targetPort;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#track(this.#accept());
  }

  /** Where it listens. */
  get port(): number {
    return this.#listener.addr.port;
  }

  /** Breaks all connections and refuses new ones. */
  cut(): void {
    this.#isCut = true;
    for (const connection of this.#connections) close(connection);
    this.#connections.clear();
  }

  /** Lets new connections pass. */
  mend(): void {
    this.#isCut = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#listener.close();
    await Promise.all(this.#running);
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) {
      if (this.#isCut) client.close();
      else this.#track(this.#forward(client));
    }
  }

  async #forward(client: Deno.TcpConn): Promise<void> {
    this.#connections.add(client);
    let server: Deno.TcpConn;
    try {
      server = await Deno.connect({ hostname: "127.0.0.1", port: this.#target });
    } catch {
      // The server is not there: the client sees its connection end.
      if (this.#connections.delete(client)) close(client);
      return;
    }
    if (this.#isCut) return server.close();
    this.#connections.add(server);
    // A pipe that breaks is what this proxy is for.
    await Promise.allSettled([
      client.readable.pipeTo(server.writable),
      server.readable.pipeTo(client.writable),
    ]);
    this.#connections.delete(client);
    this.#connections.delete(server);
  }

  #track(work: Promise<void>): void {
    const tracked = work.finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }
}

/** A pipe that has just ended has closed its connection already, and is forgotten only in a later turn. */
function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

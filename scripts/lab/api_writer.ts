/**
 * Writes many objects to an API server.
 *
 * In: requests. Out: nothing, or the server's words. Invariant: at most {@linkcode PARALLEL} requests at a time.
 * @module
 */
import type { ApiAccess } from "./service_account.ts";

const PARALLEL = 48;

/** A request that changes something. */
export interface ApiWrite {
  readonly method: "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
}

/** Sends writes over connections that are kept, unlike `ControlPlane.call`. */
export class ApiWriter implements Disposable {
  readonly #client: Deno.HttpClient;
  readonly #origin: string;
  readonly #token: string;

  constructor({ host, port, token, ca }: ApiAccess) {
    // Over HTTP/2, Deno 2.9 sends a body in pieces that wait for the server's delayed ACK: 40 ms for each slice.
    this.#client = Deno.createHttpClient({ caCerts: [ca], http2: false });
    this.#origin = `https://${host}:${port}`;
    this.#token = token;
  }

  /** Each list in its order, the lists side by side. @throws {Error} With the server's words at the first refusal. */
  async all(lists: readonly (readonly ApiWrite[])[]): Promise<void> {
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < lists.length) {
        for (const write of lists[next++]!) await this.#send(write);
      }
    };
    await Promise.all(Array.from({ length: Math.min(PARALLEL, lists.length) }, worker));
  }

  async #send({ method, path, body }: ApiWrite): Promise<void> {
    const response = await fetch(`${this.#origin}${path}`, {
      client: this.#client,
      method,
      headers: { Authorization: `Bearer ${this.#token}`, "Content-Type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(60_000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

/**
 * HTTP/1.1 byte by byte, for tests that look at what is on the wire: an endpoint that shows what arrived, and an exchange with it
 * through Envoy.
 * @module
 */
import type { Backend } from "./backends.ts";
import { slicesFor } from "./backends.ts";
import { EnvoyFixture } from "./envoy_fixture.ts";

/** What the endpoint says, and when: as soon as what has arrived of the request, from its beginning, is enough. */
export interface Step {
  readonly isEnough: (request: string) => boolean;
  readonly say: string;
}

/** Answers one request on each connection, and shows what arrived last. */
export class PlainEndpoint implements Backend {
  readonly name = "plain";
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #serving: Promise<void>;
  received = "";

  constructor(steps: readonly Step[]) {
    this.#serving = this.#serve(steps);
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async #serve(steps: readonly Step[]): Promise<void> {
    for await (using connection of this.#listener) {
      this.received = "";
      for (const { isEnough, say } of steps) {
        this.received = await read(connection, isEnough, this.received);
        await write(connection, say);
      }
      await connection.closeWrite();
      // Envoy ends the connection; until then the answer may still be on its way.
      await read(connection, () => false);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#serving;
  }
}

/** Reads on until the text is enough or the other side ends. */
export async function read(
  connection: Deno.TcpConn,
  isEnough: (text: string) => boolean,
  before = "",
): Promise<string> {
  const buffer = new Uint8Array(64 * 1024);
  let text = before;
  while (!isEnough(text)) {
    const length = await connection.read(buffer);
    if (length === null) break;
    text += new TextDecoder().decode(buffer.subarray(0, length));
  }
  return text;
}

/** Writes all of it. */
export async function write(connection: Deno.TcpConn, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let written = 0; written < bytes.length;) written += await connection.write(bytes.subarray(written));
}

export const endsHeaders = (text: string): boolean => text.endsWith("\r\n\r\n");

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

/** What passed. */
export interface Exchanged {
  /** What the endpoint received; empty when the request did not come so far. */
  readonly received: string;
  /** What the client got back. */
  readonly response: string;
}

/** Sends a request (its lines, and after a blank one its body) through Envoy to one endpoint; it has to ask for the connection's end. */
export async function exchange(
  request: readonly string[],
  { answer = OK, isComplete = endsHeaders } = {},
): Promise<Exchanged> {
  await using endpoint = new PlainEndpoint([{ isEnough: isComplete, say: answer }]);
  await using fixture = await serveEndpoint(endpoint);
  using connection = await Deno.connect({ hostname: "127.0.0.11", port: fixture.httpPort });
  await write(connection, request.join("\r\n"));
  const response = await read(connection, () => false);
  return { received: endpoint.received, response };
}

/** Envoy with this endpoint behind 127.0.0.11. */
export async function serveEndpoint(endpoint: Backend): Promise<EnvoyFixture> {
  const fixture = await EnvoyFixture.start([]);
  fixture.apply(fixture.service("one", 11));
  // Envoy shall know the Cluster: its on-demand filter does not hold back a request that has trailers (503 at once).
  const cold = await fetch(`http://127.0.0.11:${fixture.httpPort}/`);
  await cold.body?.cancel();
  fixture.apply(...slicesFor("one", "http", [endpoint]));
  await fixture.settled();
  return fixture;
}

/**
 * What a fault of one request over HTTP/2 costs the others on its connection, through a real Envoy: nothing. A client's connection
 * has many calls, and an endpoint's those of many clients.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { type Backend, httpBackend, slicesFor } from "./testing/backends.ts";
import { envoyTest } from "./testing/envoy_case.ts";
import { EnvoyFixture, until } from "./testing/envoy_fixture.ts";
import {
  CLIENT_PREFACE,
  type Field,
  type Frame,
  framesOf,
  FrameType,
  headersFrame,
  SERVER_PREFACE,
  SETTINGS_ACK,
} from "./testing/http2_frames.ts";

/** Faults that a peer's HTTP/2 has to refuse: a name in upper case, a field of HTTP/1.1. */
const MALFORMED: readonly Field[] = [["X-Upper", "1"], ["connection", "close"]];

/** Serves an h2c port at 127.0.0.11. */
async function serve(backend: Backend): Promise<EnvoyFixture> {
  const fixture = await EnvoyFixture.start([]);
  fixture.apply(fixture.service("one", 11, { kind: "h2c" }), ...slicesFor("one", "h2c", [backend]));
  return fixture;
}

/** Answers `/held` when it is let go, and all else at once. */
class HoldingBackend implements Backend {
  readonly name = "holding";
  readonly asked: string[] = [];
  readonly #held = Promise.withResolvers<void>();
  readonly #backend = httpBackend(this.name, async ({ url }) => {
    const { pathname } = new URL(url);
    this.asked.push(pathname);
    if (pathname === "/held") await this.#held.promise;
    return new Response(pathname);
  });

  get port(): number {
    return this.#backend.port;
  }

  letGo(): void {
    this.#held.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.letGo();
    await this.#backend[Symbol.asyncDispose]();
  }
}

function request(stream: number, path: string, ...more: readonly Field[]): Uint8Array {
  return headersFrame(stream, [
    [":method", "GET"],
    [":scheme", "http"],
    [":authority", "a"],
    [":path", path],
    ...more,
  ]);
}

envoyTest("a malformed request is the end of its stream, and of no other", async () => {
  for (const field of MALFORMED) {
    await using backend = new HoldingBackend();
    await using fixture = await serve(backend);
    using connection = await Deno.connect({ hostname: "127.0.0.11", port: fixture.httpPort });
    const frames = framesOf(connection);
    const next = async (type: number, stream: number): Promise<Frame | undefined> => {
      while (true) {
        const { value, done } = await frames.next();
        if (done === true || (value.type === type && value.stream === stream)) return value ?? undefined;
      }
    };
    await connection.write(CLIENT_PREFACE);
    await connection.write(request(1, "/held"));
    await until("the endpoint is asked", () => backend.asked.length === 1);
    await connection.write(request(3, "/malformed", field));
    assertEquals((await next(FrameType.RST_STREAM, 3))?.stream, 3, field.join(": "));
    backend.letGo();
    assertEquals((await next(FrameType.DATA, 1))?.text, "/held");
    assertEquals(backend.asked, ["/held"]);
  }
});

/** Answers the first request when it is let go, and each after it with a malformed response. */
class MalformedEndpoint implements Backend {
  readonly name = "malformed";
  requests = 0;
  connections = 0;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #serving: Promise<void>;
  #letGo: () => Promise<unknown> = () => Promise.reject(new Error("nobody has asked"));

  constructor(field: Field) {
    this.#serving = this.#serve(field);
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async letGo(): Promise<void> {
    await this.#letGo();
  }

  async #serve(field: Field): Promise<void> {
    const served: Promise<void>[] = [];
    for await (const connection of this.#listener) {
      this.connections++;
      served.push(this.#serveConnection(connection, field));
    }
    await Promise.all(served);
  }

  async #serveConnection(connection: Deno.TcpConn, field: Field): Promise<void> {
    using _ = connection;
    await connection.write(SERVER_PREFACE);
    const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".length;
    for await (const { type, stream, isAck } of framesOf(connection, { skip: preface })) {
      if (type === FrameType.SETTINGS && !isAck) await connection.write(SETTINGS_ACK);
      if (type !== FrameType.HEADERS) continue;
      const answer = (...fields: Field[]): Promise<unknown> =>
        connection.write(headersFrame(stream, [[":status", "200"], ...fields]));
      if (this.requests++ === 0) this.#letGo = () => answer();
      else await answer(field);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#serving;
  }
}

envoyTest("a malformed response is the end of its request, and of no other client's", async () => {
  for (const field of MALFORMED) {
    await using endpoint = new MalformedEndpoint(field);
    await using fixture = await serve(endpoint);
    const url = `http://127.0.0.11:${fixture.httpPort}/`;
    const held = fetch(url, { method: "POST" });
    await until("the endpoint is asked", () => endpoint.requests === 1);
    const bad = await fetch(url, { method: "POST" });
    assertEquals(bad.status, 502);
    assertStringIncludes(await bad.text(), "protocol error");
    await endpoint.letGo();
    const good = await held;
    await good.body?.cancel();
    assertEquals([good.status, endpoint.connections], [200, 1], field.join(": "));
    // The endpoint serves until Envoy ends its connection.
    await fixture.stopEnvoy();
  }
});

/** Makes calls over one connection of its own. */
class Caller implements AsyncDisposable {
  readonly #session: ClientHttp2Session;
  readonly #ended: Promise<unknown>;

  constructor({ httpPort }: EnvoyFixture) {
    this.#session = connect(`http://127.0.0.11:${httpPort}`);
    this.#ended = once(this.#session, "close");
  }

  begin(path: string): ClientHttp2Stream {
    return this.#session.request({ ":path": path });
  }

  /** The body of the answer. */
  async call(path: string): Promise<string> {
    let body = "";
    for await (const chunk of this.begin(path).setEncoding("utf8")) body += chunk;
    return body;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#session.close();
    await this.#ended;
  }
}

/** CANCEL (RFC 9113, 7). */
const CANCEL = 8;

envoyTest(
  "a client that gives up on hundreds of calls keeps its connection, and its other calls",
  async () => {
    await using backend = new HoldingBackend();
    await using fixture = await serve(backend);
    await using caller = new Caller(fixture);
    const first = caller.call("/held");
    // As many as a short deadline meets while endpoints are slow.
    const given = Array.from({ length: 400 }, () => caller.begin("/held"));
    await until("the endpoint has them all", () => backend.asked.length === given.length + 1);
    await Promise.all(given.map(async (stream) => {
      const closed = once(stream, "close");
      stream.close(CANCEL);
      await closed;
    }));
    assertEquals(await caller.call("/next"), "/next");
    backend.letGo();
    assertEquals(await first, "/held");
  },
);

envoyTest("more calls at once than an endpoint takes on a connection are all answered", async () => {
  // As Kestrel and Apache have it; nginx takes 128, hyper 200, Go 250.
  const server = createServer({ settings: { maxConcurrentStreams: 100 } }, (_request, response) => {
    response.end("ok");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const closed = once(server, "close");
  const backend = { name: "narrow", port, [Symbol.asyncDispose]: () => Promise.resolve() };
  await using fixture = await serve(backend);
  await using caller = new Caller(fixture);
  const answers = await Promise.all(Array.from({ length: 400 }, () => caller.call("/")));
  assertEquals([...new Set(answers)], ["ok"]);
  await fixture.stopEnvoy();
  server.close();
  await closed;
});

/**
 * What the HTTP listener leaves as it came, against a real Envoy: kube-proxy changes nothing, so what Envoy would change or
 * refuse by default has to be switched off one by one (bootstrap.ts, translate/cluster.ts).
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { UNLOGGED_HEADER, VIP_HEADER } from "./routes.ts";
import { type Backend, slicesFor } from "./testing/backends.ts";
import { EnvoyFixture, envoyTool } from "./testing/envoy_fixture.ts";

/** An endpoint that speaks HTTP/1.1 byte by byte: answers one request, and shows what arrived. */
class PlainEndpoint implements Backend {
  readonly name = "plain";
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #serving: Promise<void>;
  received = "";

  constructor(answer: string, isComplete: (request: string) => boolean) {
    this.#serving = this.#serve(answer, isComplete);
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async #serve(answer: string, isComplete: (request: string) => boolean): Promise<void> {
    for await (using connection of this.#listener) {
      this.received = await read(connection, isComplete);
      await connection.write(new TextEncoder().encode(answer));
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

/** Reads until the text is complete or the other side ends. */
async function read(connection: Deno.TcpConn, isComplete: (text: string) => boolean): Promise<string> {
  const buffer = new Uint8Array(64 * 1024);
  let text = "";
  while (!isComplete(text)) {
    const length = await connection.read(buffer);
    if (length === null) break;
    text += new TextDecoder().decode(buffer.subarray(0, length));
  }
  return text;
}

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
const endsHeaders = (request: string): boolean => request.endsWith("\r\n\r\n");
const endsChunks = (request: string): boolean => request.includes("\r\n0\r\n") && endsHeaders(request);

/** Sends a request through Envoy to one endpoint; gives what the endpoint received and what the client got back. */
async function exchange(
  request: readonly string[],
  { answer = OK, isComplete = endsHeaders } = {},
): Promise<{ readonly received: string; readonly response: string }> {
  await using endpoint = new PlainEndpoint(answer, isComplete);
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(fixture.service("one", 11));
  // Envoy shall know the Cluster: its on-demand filter does not hold back a request that has trailers (503 at once).
  const cold = await fetch(`http://127.0.0.11:${fixture.httpPort}/`);
  await cold.body?.cancel();
  fixture.apply(...slicesFor("one", "http", [endpoint]));
  await fixture.settled();
  using connection = await Deno.connect({ hostname: "127.0.0.11", port: fixture.httpPort });
  await connection.write(new TextEncoder().encode(request.join("\r\n")));
  // Envoy closes after the answer, because the request asked for it.
  const response = await read(connection, () => false);
  return { received: endpoint.received, response };
}

function envoyTest(name: string, run: () => Promise<void>): void {
  const reason = envoyTool.unavailable;
  if (reason === undefined) Deno.test(`Envoy: ${name}`, run);
  else Deno.test({ name: `Envoy: ${name} (skipped: ${reason})`, ignore: true, fn: run });
}

envoyTest("what a proxy in front says of its client reaches the endpoint", async () => {
  const { received } = await exchange([
    "GET / HTTP/1.1",
    "host: shop.example",
    "connection: close",
    "x-forwarded-proto: https",
    "x-forwarded-host: shop.example",
    "x-forwarded-for: 192.0.2.9",
    "x-forwarded-client-cert: Hash=abc",
    "x-request-id: mine",
    "",
    "",
  ]);
  assertStringIncludes(received, "x-forwarded-proto: https\r\n");
  assertStringIncludes(received, "x-forwarded-host: shop.example\r\n");
  assertMatch(received, /\r\nx-forwarded-for: 192\.0\.2\.9,[\d.]+\r\n/);
  assertStringIncludes(received, "x-forwarded-client-cert: Hash=abc\r\n");
  assertStringIncludes(received, "x-request-id: mine\r\n");
});

envoyTest("a client steers nothing in Envoy by its headers", async () => {
  const { received, response } = await exchange([
    "GET / HTTP/1.1",
    "host: shop.example",
    "connection: close",
    "x-envoy-internal: true",
    "x-envoy-retry-on: 5xx",
    "x-envoy-max-retries: 99",
    "x-envoy-retriable-status-codes: 200",
    "x-envoy-upstream-rq-timeout-ms: 1",
    "x-envoy-upstream-rq-per-try-timeout-ms: 1",
    "x-envoy-upstream-stream-duration-ms: 1",
    "x-envoy-expected-rq-timeout-ms: 1",
    `${VIP_HEADER}: 127.0.0.12:1`,
    `${UNLOGGED_HEADER}: true`,
    // Each value would be statistics of its own, for ever.
    "x-envoy-upstream-alt-stat-name: mine",
    "",
    "",
  ]);
  assertMatch(response, /^HTTP\/1\.1 200 /);
  // What Envoy itself says: how long it waits.
  assertEquals(received.match(/x-(?:envoy|lightpath)-(?!external-address).*/g), [
    "x-envoy-expected-rq-timeout-ms: 5000",
  ]);
});

envoyTest("trailers pass both ways", async () => {
  const { received, response } = await exchange(
    [
      "POST / HTTP/1.1",
      "host: a",
      "connection: close",
      "te: trailers",
      "transfer-encoding: chunked",
      "",
      "2",
      "hi",
      "0",
      "x-up: 1",
      "",
      "",
    ],
    {
      answer: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n" +
        "2\r\nok\r\n0\r\nx-down: 1\r\n\r\n",
      isComplete: endsChunks,
    },
  );
  assertStringIncludes(received, "\r\nx-up: 1\r\n");
  assertStringIncludes(response, "\r\nx-down: 1\r\n");
});

envoyTest("the endpoint decides whether it wants a body", async () => {
  const { received, response } = await exchange(
    [
      "POST / HTTP/1.1",
      "host: a",
      "connection: close",
      "content-length: 5",
      "expect: 100-continue",
      "",
      "",
    ],
    { answer: "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" },
  );
  assertStringIncludes(received, "expect: 100-continue\r\n");
  // No "100 Continue" of Envoy's own before it.
  assertMatch(response, /^HTTP\/1\.1 401 /);
});

envoyTest("a response may have many headers", async () => {
  const cookies = Array.from({ length: 200 }, (_, index) => `set-cookie: c${index}=1\r\n`).join("");
  const { response } = await exchange(["GET / HTTP/1.1", "host: a", "connection: close", "", ""], {
    answer: `HTTP/1.1 200 OK\r\n${cookies}content-length: 0\r\nconnection: close\r\n\r\n`,
  });
  assertEquals(response.match(/set-cookie/g)?.length, 200);
});

/**
 * What the HTTP listener leaves as it came, against a real Envoy: kube-proxy changes nothing, so what Envoy would change or
 * refuse by default has to be switched off one by one (bootstrap.ts, translate/cluster.ts).
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { envoyTest } from "./testing/envoy_case.ts";
import { endsHeaders, exchange, PlainEndpoint, read, serveEndpoint, write } from "./testing/plain_http.ts";

const endsChunks = (request: string): boolean => request.includes("\r\n0\r\n") && endsHeaders(request);

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

envoyTest("an endpoint that wants the body says so, and gets it then", async () => {
  await using endpoint = new PlainEndpoint([
    { isEnough: endsHeaders, say: "HTTP/1.1 100 Continue\r\n\r\n" },
    {
      isEnough: (request) => request.endsWith("hello"),
      say: "HTTP/1.1 201 Created\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    },
  ]);
  await using fixture = await serveEndpoint(endpoint);
  using connection = await Deno.connect({ hostname: "127.0.0.11", port: fixture.httpPort });
  const head = [
    "PUT / HTTP/1.1",
    "host: a",
    "connection: close",
    "content-length: 5",
    "expect: 100-continue",
  ];
  await write(connection, [...head, "", ""].join("\r\n"));
  // The body is held back until it is wanted.
  assertEquals(await read(connection, endsHeaders), "HTTP/1.1 100 Continue\r\n\r\n");
  assertEquals(endpoint.received.endsWith("\r\n\r\n"), true);
  await write(connection, "hello");
  assertMatch(await read(connection, () => false), /^HTTP\/1\.1 201 /);
});

envoyTest("a client of HTTP/1.0 needs no host, and is answered in its version, without chunks", async () => {
  const { received, response } = await exchange(["GET /old HTTP/1.0", "", ""], {
    answer: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n" +
      "4\r\nsome\r\n5\r\n text\r\n0\r\n\r\n",
  });
  assertMatch(received, /^GET \/old HTTP\/1\.1\r\nhost: service\r\n/);
  assertMatch(response, /^HTTP\/1\.0 200 OK\r\n[^]*\r\n\r\nsome text$/);
  const named = await exchange(["GET / HTTP/1.0", "host: shop.example", "", ""]);
  assertMatch(named.received, /\r\nhost: shop\.example\r\n/);
});

envoyTest("a client of HTTP/1.0 that asks for it keeps its connection", async () => {
  const request = "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n";
  await using endpoint = new PlainEndpoint([{
    isEnough: endsHeaders,
    say: "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
  }]);
  await using fixture = await serveEndpoint(endpoint);
  using connection = await Deno.connect({ hostname: "127.0.0.11", port: fixture.httpPort });
  for (let count = 0; count < 2; count++) {
    await write(connection, request);
    assertMatch(
      await read(connection, (text) => text.endsWith("ok")),
      /^HTTP\/1\.0 200 [^]*connection: keep-alive/,
    );
  }
});

envoyTest("a response may have many headers", async () => {
  const cookies = Array.from({ length: 200 }, (_, index) => `set-cookie: c${index}=1\r\n`).join("");
  const { response } = await exchange(["GET / HTTP/1.1", "host: a", "connection: close", "", ""], {
    answer: `HTTP/1.1 200 OK\r\n${cookies}content-length: 0\r\nconnection: close\r\n\r\n`,
  });
  assertEquals(response.match(/set-cookie/g)?.length, 200);
});

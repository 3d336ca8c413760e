/**
 * What the HTTP listener leaves as it came, against a real Envoy: kube-proxy changes nothing, so what Envoy would change or
 * refuse by default has to be switched off one by one (listeners.ts, translate/cluster.ts).
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { httpBackend } from "./testing/backends.ts";
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

envoyTest("the target of a request passes as it was written", async () => {
  for (const target of ["//a/../b%2f/./%2e%2e/c?x=//..&y=%zz", "/a\\b", '/a|b{}"<>^`[]~%00%2', "/?"]) {
    const { received } = await exchange([`GET ${target} HTTP/1.1`, "host: a", "connection: close", "", ""]);
    assertEquals(received.split("\r\n", 1), [`GET ${target} HTTP/1.1`]);
  }
});

envoyTest("an offer to change the protocol, which an endpoint may ignore, is ignored", async () => {
  for (const offer of ["TLS/1.2", "TLS/1.3, TLS/1.2", "HTTP/2.0", "h2c"]) {
    const { received, response } = await exchange([
      "POST / HTTP/1.1",
      "host: a",
      "connection: upgrade, close",
      `upgrade: ${offer}`,
      "content-length: 0",
      "",
      "",
    ]);
    assertMatch(response, /^HTTP\/1\.1 200 [^]*\r\n\r\nok$/, offer);
    assertMatch(received, /^POST \/ /);
    assertEquals(received.includes("upgrade"), false);
  }
  // What a client cannot do without is refused: the endpoint would answer something else.
  const refused = await exchange([
    "POST /attach HTTP/1.1",
    "host: a",
    "connection: upgrade",
    "upgrade: tcp",
    "",
    "",
  ]);
  assertMatch(refused.response, /^HTTP\/1\.1 403 /);
});

envoyTest("who the endpoint is, and what time it has there, is what it says", async () => {
  const request = ["GET / HTTP/1.1", "host: a", "connection: close", "", ""];
  const answer = (...headers: readonly string[]): string =>
    ["HTTP/1.1 200 OK", ...headers, "content-length: 0", "connection: close", "", ""].join("\r\n");
  const date = "Tue, 01 Jan 2019 00:00:00 GMT";
  const said = await exchange(request, { answer: answer("server: nginx", `date: ${date}`) });
  assertEquals(said.response.match(/^(?:server|date): .*(?=\r)/gm), ["server: nginx", `date: ${date}`]);
  const silent = await exchange(request, { answer: answer() });
  assertEquals(silent.response.match(/^server: /m), null);
});

envoyTest("hints that come before the response pass, and its status, whatever it is", async () => {
  const { response } = await exchange(["GET / HTTP/1.1", "host: a", "connection: close", "", ""], {
    answer: "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n" +
      "HTTP/1.1 299 Odd\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
  });
  assertMatch(response, /^HTTP\/1\.1 103 .*\r\nlink: <\/style\.css>\r\n\r\nHTTP\/1\.1 299 /);
});

envoyTest("a response without a body keeps the length it speaks of", async () => {
  const answers = { "HEAD": "200 OK", "GET": "304 Not Modified" };
  for (const [method, status] of Object.entries(answers)) {
    const { response } = await exchange([`${method} / HTTP/1.1`, "host: a", "connection: close", "", ""], {
      answer: `HTTP/1.1 ${status}\r\ncontent-length: 1234\r\nconnection: close\r\n\r\n`,
    });
    assertMatch(response, new RegExp(`^HTTP/1\\.1 ${status}\r\ncontent-length: 1234\r\n`));
  }
});

envoyTest(
  "a response that has chunks and a length is read by its chunks; such a request is refused",
  async () => {
    const body = "2\r\nok\r\n0\r\n\r\n";
    const { response } = await exchange(["GET / HTTP/1.1", "host: a", "connection: close", "", ""], {
      answer:
        "HTTP/1.1 200 OK\r\ncontent-length: 7\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n" +
        body,
    });
    assertMatch(response, /^HTTP\/1\.1 200 OK\r\n/);
    assertEquals(response.includes("content-length"), false);
    assertEquals(response.endsWith(`\r\n\r\n${body}`), true);
    const both = ["content-length: 7", "transfer-encoding: chunked"];
    const refused = await exchange(["POST / HTTP/1.1", "host: a", ...both, "", body]);
    assertMatch(refused.response, /^HTTP\/1\.1 400 /);
    assertEquals(refused.received, "");
  },
);

envoyTest("requests that are sent without waiting for answers are answered in their order", async () => {
  await using backend = httpBackend("a", ({ url }) => new Response(new URL(url).pathname));
  await using fixture = await serveEndpoint(backend);
  using connection = await Deno.connect({ hostname: "127.0.0.11", port: fixture.httpPort });
  const requests = ["/1", "/2", "/3"].map((path, index) =>
    [`GET ${path} HTTP/1.1`, "host: a", ...(index === 2 ? ["connection: close"] : []), "", ""].join("\r\n")
  );
  await write(connection, requests.join(""));
  const responses = await read(connection, () => false);
  assertEquals(responses.match(/(?<=\r\n\r\n)\/\d/g), ["/1", "/2", "/3"]);
});

envoyTest("ids and deadlines of requests are what their clients say", async () => {
  const headers = [
    "x-request-id: 5f0c1d2e-1111-4222-8333-444455556666",
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "grpc-timeout: 20S",
  ];
  const call = ["content-type: application/grpc", "te: trailers", "content-length: 0", "connection: close"];
  const { received } = await exchange(["POST / HTTP/1.1", "host: a", ...call, ...headers, "", ""]);
  for (const header of headers) assertStringIncludes(received, `\r\n${header}\r\n`);
});

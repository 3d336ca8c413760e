/**
 * Clients that try to steer Envoy by headers, against a real Envoy: whichever way they write the header that names the Cluster,
 * or those by which Envoy's router is told, they get what anybody gets, and endpoints see nothing of it.
 * @module
 */
import { delay } from "@std/async/delay";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { VIP_HEADER } from "./routes.ts";
import { type Backend, greeting, httpBackend, slicesFor } from "./testing/backends.ts";
import { envoyTest, get } from "./testing/envoy_case.ts";
import { EnvoyFixture } from "./testing/envoy_fixture.ts";
import { getWithHeaders, requestOverHttp2 } from "./testing/http_clients.ts";
import { read, write } from "./testing/plain_http.ts";

/** Serves `one` at 127.0.0.11, and `two`, whose Cluster Envoy has, at 127.0.0.12. */
async function serve(one: Backend, two: Backend): Promise<EnvoyFixture> {
  const fixture = await EnvoyFixture.start([]);
  fixture.apply(
    fixture.service("one", 11),
    ...slicesFor("one", "http", [one]),
    fixture.service("two", 12),
    ...slicesFor("two", "http", [two]),
  );
  assertEquals(await get(fixture, 12), "200 two");
  return fixture;
}

/** Sends a request as it is written, and gives status and body. */
async function send(fixture: EnvoyFixture, head: string, headers: readonly string[]): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.11", port: fixture.httpPort });
  await write(connection, [head, ...headers, "", ""].join("\r\n"));
  const response = await read(connection, () => false);
  return /^HTTP\/1\.. (\d+)[^]*\r\n\r\n([^]*)$/.exec(response)?.slice(1).join(" ") ?? response;
}

envoyTest("no way to write the header that names the Cluster leads to another one", async () => {
  const seen: Headers[] = [];
  await using one = httpBackend("one", (request) => void seen.push(new Headers(request.headers)));
  await using two = httpBackend("two");
  await using fixture = await serve(one, two);
  const other = `127.0.0.12:${fixture.httpPort}`;
  const attempts: readonly (readonly string[])[] = [
    [`${VIP_HEADER}: ${other}`],
    [`${VIP_HEADER.toUpperCase()}: ${other}`],
    [`${VIP_HEADER}: ${other}`, `${VIP_HEADER}: ${other}`, `${VIP_HEADER.toUpperCase()}: ${other}`],
    [`${VIP_HEADER}: ${other}, ${other}`],
    [`${VIP_HEADER}:${other} `],
    [`${VIP_HEADER}:`],
    // Names it as one that is not to be handed on.
    [`connection: ${VIP_HEADER}, close`, `${VIP_HEADER}: ${other}`],
    // What other software takes for the same name.
    [`${VIP_HEADER.replaceAll("-", "_")}: ${other}`],
    [`x-envoy-original-dst-host: ${other}`],
    [`host: ${other}`],
    [`x-forwarded-host: ${other}`],
  ];
  for (const headers of attempts) {
    const own = headers.some((header) => header.startsWith("host:")) ? [] : ["host: a"];
    const ends = headers.some((header) => header.startsWith("connection:")) ? [] : ["connection: close"];
    const got = await send(fixture, "GET / HTTP/1.1", [...own, ...ends, ...headers]);
    assertEquals(got, "200 one", headers.join());
  }
  assertEquals(await send(fixture, "GET / HTTP/1.0", [`${VIP_HEADER}: ${other}`]), "200 one");
  // In absolute form the target names a host; the destination decides all the same.
  assertEquals(
    await send(fixture, `GET http://${other}/ HTTP/1.1`, ["host: a", "connection: close"]),
    "200 one",
  );
  // A header cannot be smuggled in behind a line break of another: what is malformed is refused.
  assertMatch(await send(fixture, "GET / HTTP/1.1", ["host: a", ` ${VIP_HEADER}: ${other}`]), /^400/);
  const http2 = await requestOverHttp2("127.0.0.11", fixture.httpPort, { [VIP_HEADER]: [other, other] });
  assertEquals(http2, "200 one");
  assertEquals(seen.length, attempts.length + 3);
  for (const headers of seen) {
    assertEquals(headers.get(VIP_HEADER), null);
    // The client's address; for a client on loopback Envoy writes the node's instead.
    assertMatch(headers.get("x-forwarded-for") ?? "", /^\d+\.\d+\.\d+\.\d+$/);
  }
  // To the listeners themselves, as from outside: nobody's VIP, whatever the header says.
  const direct = await getWithHeaders("127.0.0.1", fixture.httpPort, [VIP_HEADER, other]);
  assertEquals(direct.slice(0, 3), "503");
  assertEquals(await greeting("127.0.0.1", fixture.tcpPort), undefined);
});

/** All by which Envoy's router lets itself be told (Envoy 1.40 "Router", "HTTP headers (consumed)"). */
const STEERING: readonly string[] = [
  "x-envoy-upstream-rq-timeout-ms: 1",
  "x-envoy-upstream-rq-per-try-timeout-ms: 1",
  "x-envoy-upstream-stream-duration-ms: 1",
  "x-envoy-upstream-rq-timeout-alt-response: 1",
  "x-envoy-expected-rq-timeout-ms: 1",
  "x-envoy-max-retries: 9",
  "x-envoy-retry-on: 5xx,retriable-status-codes",
  "x-envoy-retry-grpc-on: internal",
  "x-envoy-retriable-status-codes: 503",
  "x-envoy-retriable-header-names: x-answer",
  "x-envoy-hedge-on-per-try-timeout: true",
  "x-envoy-upstream-alt-stat-name: mine",
  "x-envoy-decorator-operation: mine",
  "x-envoy-force-trace: true",
  "x-envoy-internal: true",
  "x-envoy-ip-tags: mine",
];

envoyTest("what steers Envoy's router is no client's to say: neither times nor retries change", async () => {
  const seen: Headers[] = [];
  await using one = httpBackend("one", async (request) => {
    seen.push(new Headers(request.headers));
    await delay(100);
    return new Response("busy", { status: 503, headers: { "x-answer": "1" } });
  });
  await using two = httpBackend("two");
  await using fixture = await serve(one, two);
  const headers = ["host: a", "connection: close", "content-length: 0", ...STEERING];
  const upper = headers.map((header) => header.replace(/^[^:]+/, (name) => name.toUpperCase()));
  for (const lines of [headers, upper]) {
    seen.length = 0;
    // A timeout would be a 504, and a retry a second request.
    assertEquals(await send(fixture, "POST / HTTP/1.1", lines), "503 busy");
    assertEquals(seen.length, 1);
    const told = [...seen[0]!].filter(([name]) => name.startsWith("x-envoy-"));
    assertEquals(told.map(([name, value]) => `${name}: ${value}`), [
      "x-envoy-expected-rq-timeout-ms: 15000",
      // Who connected.
      `x-envoy-external-address: ${seen[0]?.get("x-envoy-external-address")}`,
    ]);
  }
  const statistics = await fixture.statsOf("default/one_http");
  assertEquals([...statistics.keys()].filter((name) => name.includes("mine")), []);
});

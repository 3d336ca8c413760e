/**
 * How large a request and a response may be through a real Envoy: what is below its limits passes whole, and what is beyond gets
 * an answer that says so.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { httpBackend, slicesFor } from "./testing/backends.ts";
import { envoyTest } from "./testing/envoy_case.ts";
import { EnvoyFixture } from "./testing/envoy_fixture.ts";
import { exchange } from "./testing/plain_http.ts";

/** Envoy's limits are of 96 KiB and 1,000 headers, in both directions. */
const [BELOW, BEYOND] = [97_000, 99_000];
const [FEW, MANY] = [950, 1_001];

const header = (bytes: number): string => `x-large: ${"a".repeat(bytes)}`;
const headers = (count: number): string[] => Array.from({ length: count }, (_, index) => `x-${index}: 1`);

/** Sends a request with these headers. */
function request(...lines: readonly string[]): ReturnType<typeof exchange> {
  return exchange(["GET / HTTP/1.1", "host: a", "connection: close", ...lines, "", ""]);
}

/** Gets a response with these headers. */
async function response(...lines: readonly string[]): Promise<string> {
  const answer = ["HTTP/1.1 200 OK", "content-length: 2", "connection: close", ...lines, "", "ok"].join(
    "\r\n",
  );
  return (await exchange(["GET / HTTP/1.1", "host: a", "connection: close", "", ""], { answer })).response;
}

envoyTest(
  "headers of a request pass up to 96 KiB and 1,000; beyond it gets 431 and no endpoint sees it",
  async () => {
    const large = await request(header(BELOW));
    assertMatch(large.response, /^HTTP\/1\.1 200 /);
    assertEquals(/x-large: (a+)\r/.exec(large.received)?.[1]?.length, BELOW);
    const many = await request(...headers(FEW));
    assertMatch(many.response, /^HTTP\/1\.1 200 /);
    assertEquals(many.received.match(/\r\nx-\d+: 1/g)?.length, FEW);
    for (const lines of [[header(BEYOND)], headers(MANY)]) {
      const { received, response } = await request(...lines);
      assertMatch(response, /^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/);
      assertEquals(received, "");
    }
  },
);

envoyTest("headers of a response pass up to 96 KiB and 1,000; beyond it is a 502", async () => {
  const large = await response(header(BELOW));
  assertMatch(large, /^HTTP\/1\.1 200 /);
  assertEquals(/x-large: (a+)\r/.exec(large)?.[1]?.length, BELOW);
  const many = await response(...headers(FEW));
  assertEquals(many.match(/\r\nx-\d+: 1/g)?.length, FEW);
  for (const lines of [[header(BEYOND)], headers(MANY)]) {
    assertMatch(await response(...lines), /^HTTP\/1\.1 502 Bad Gateway\r\n[^]*reset reason: protocol error/);
  }
});

/** Far more than any buffer on the way. */
const BODY_BYTES = 64 * 1024 * 1024;

/** Bytes that differ from place to place, as often as they are asked for. */
function body(): ReadableStream<Uint8Array> {
  const piece = new Uint8Array(64 * 1024).map((_, index) => (index * 31) % 251);
  let left = BODY_BYTES / piece.length;
  return new ReadableStream({
    pull(controller): void {
      if (left-- > 0) controller.enqueue(piece.slice());
      else controller.close();
    },
  });
}

async function digest(bytes: ArrayBuffer): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

envoyTest("a body of 64 MiB passes whole, both ways", async () => {
  const wanted = await digest(await new Response(body()).arrayBuffer());
  await using backend = httpBackend("a", async (request) => {
    return request.method === "GET"
      ? new Response(body())
      : new Response(await digest(await request.arrayBuffer()));
  });
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(fixture.service("one", 11), ...slicesFor("one", "http", [backend]));
  const url = `http://127.0.0.11:${fixture.httpPort}/`;
  const down = await fetch(url);
  assertEquals(await digest(await down.arrayBuffer()), wanted);
  for (const method of ["PUT", "POST"]) {
    const up = await fetch(url, { method, body: body() });
    assertEquals([up.status, await up.text()], [200, wanted], method);
  }
});

envoyTest(
  "a request whose body is too large to be kept is not tried again: the client has the failure",
  async () => {
    let requests = 0;
    const fails = async (request: Request): Promise<Response> => {
      requests++;
      await request.arrayBuffer();
      return new Response("fails", { status: 503 });
    };
    await using a = httpBackend("a", fails);
    await using b = httpBackend("b", fails);
    await using fixture = await EnvoyFixture.start([]);
    fixture.apply(fixture.service("one", 11), ...slicesFor("one", "http", [a, b]));
    const attempts = async (bytes: number): Promise<number> => {
      requests = 0;
      const url = `http://127.0.0.11:${fixture.httpPort}/`;
      const response = await fetch(url, { method: "PUT", body: new Uint8Array(bytes) });
      assertEquals([response.status, await response.text()], [503, "fails"]);
      return requests;
    };
    // The limit is 1 MiB.
    assertEquals([await attempts(1_000_000), await attempts(3_000_000)], [3, 1]);
  },
);

/**
 * Which timeouts are in force for which requests, and what they cut, against a real Envoy with endpoints that keep silent. The
 * defaults are long: what Envoy has in force for a request it tells the endpoint (`x-envoy-expected-rq-timeout-ms`), and
 * what a timeout does is shown with short ones.
 * @module
 */
import { delay } from "@std/async/delay";
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { assertLasted } from "./testing/assert_lasted.ts";
import { type Backend, httpBackend, silentBackend, slicesFor } from "./testing/backends.ts";
import { configured, envoyTest, get } from "./testing/envoy_case.ts";
import { EnvoyFixture, until } from "./testing/envoy_fixture.ts";
import { callGrpc, grpcBackend } from "./testing/grpc.ts";
import { echoOverWebSocket, webSocketEcho } from "./testing/web_sockets.ts";

type Settings = Readonly<Record<string, string>>;

const IN_FORCE = "x-envoy-expected-rq-timeout-ms";

/** Longer than any timeout of the tests that it outlasts. */
const LONG_MS = 900;

/** A Service at 127.0.0.11 with these endpoints. */
async function serve(settings: Settings, backends: readonly Backend[]): Promise<EnvoyFixture> {
  const fixture = await EnvoyFixture.start([]);
  fixture.apply(configured(fixture, "one", 11, settings), ...slicesFor("one", "http", backends));
  await fixture.settled();
  return fixture;
}

/** Begins to answer at once and ends after a while, without a word between. */
function slowBackend(): Backend {
  const bodies = new Set<Promise<void>>();
  const backend = httpBackend("slow", () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    // Whoever wants it may be gone before it ends.
    bodies.add(writeSlowly(writable).catch(() => {}));
    return new Response(readable, { headers: { "content-type": "text/event-stream" } });
  });
  return {
    ...backend,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(bodies);
      await backend[Symbol.asyncDispose]();
    },
  };
}

async function writeSlowly(writable: WritableStream<Uint8Array>): Promise<void> {
  const writer = writable.getWriter();
  await writer.write(new TextEncoder().encode("begin "));
  await delay(LONG_MS);
  await writer.write(new TextEncoder().encode("end"));
  await writer.close();
}

/** The timeouts that are in force for these requests, as the endpoint is told; null when there is none. */
async function inForce(
  settings: Settings,
  requests: readonly RequestInit[],
): Promise<readonly (string | null)[]> {
  const told: (string | null)[] = [];
  await using backend = httpBackend("a", (request) => {
    told.push(request.headers.get(IN_FORCE));
    return undefined;
  });
  await using fixture = await serve(settings, [backend]);
  for (const request of requests) {
    const response = await fetch(`http://127.0.0.11:${fixture.httpPort}/`, request);
    assertEquals(await response.text(), "a");
  }
  return told;
}

const GET: RequestInit = {};
const DELETE: RequestInit = { method: "DELETE" };
const POST: RequestInit = { method: "POST", body: "x" };
const GRPC: RequestInit = { method: "POST", body: "", headers: { "content-type": "application/grpc+proto" } };
const GRPC_WEB: RequestInit = {
  method: "POST",
  body: "",
  headers: { "content-type": "application/grpc-web" },
};
const CONNECT_STREAM: RequestInit = { ...GRPC, headers: { "content-type": "application/connect+proto" } };
const CONNECT_UNARY: RequestInit = { ...GRPC, headers: { "content-type": "application/proto" } };
const EVENTS: RequestInit = { headers: { accept: "text/event-stream" } };
const EVENTS_AMONG_OTHERS: RequestInit = { headers: { accept: "text/html, TEXT/event-stream;q=0.5" } };
const GET_JSON: RequestInit = {
  headers: { accept: "application/json", "content-type": "application/json" },
};
const GET_GRPC: RequestInit = { headers: { "content-type": "application/grpc" } };

envoyTest(
  "by default one try of a repeatable request has 5 s, any other request 15 s, a stream no end",
  async () => {
    assertEquals(await inForce({}, [GET, DELETE, POST, CONNECT_UNARY]), ["5000", "5000", "15000", "15000"]);
    assertEquals(await inForce({}, [GET_JSON]), ["5000"]);
    const streams = [GRPC, GRPC_WEB, CONNECT_STREAM, EVENTS, EVENTS_AMONG_OTHERS, GET_GRPC];
    assertEquals(await inForce({}, streams), streams.map(() => null));
    // Retries of its own leave the times as they are.
    assertEquals(await inForce({ "num-retries": "3" }, [GET, POST, GRPC]), ["5000", "15000", null]);
    const upgrades: (string | null)[] = [];
    await using backend = webSocketEcho((request) => void upgrades.push(request.headers.get(IN_FORCE)));
    await using fixture = await serve({}, [backend]);
    assertEquals(await echoOverWebSocket("127.0.0.11", fixture.httpPort, { afterMs: 0 }), "hello");
    assertEquals(upgrades, [null]);
  },
);

envoyTest("what is written holds for all requests, streams included; 0 switches off", async () => {
  const kinds = [GET, POST, GRPC, CONNECT_STREAM, EVENTS];
  const once = { "upstream-request-timeout": "2s" };
  assertEquals(await inForce(once, kinds), ["2000", "2000", "2000", "2000", "2000"]);
  const whole = { "request-timeout": "1m" };
  assertEquals(await inForce(whole, kinds), ["5000", "60000", "60000", "60000", "60000"]);
  const off = { "request-timeout": "0", "upstream-request-timeout": "0" };
  assertEquals(await inForce(off, kinds), [null, null, null, null, null]);
});

envoyTest("an endpoint that does not begin in time is left for another", async () => {
  const asked: string[] = [];
  await using good = httpBackend("good");
  await using silent = silentBackend("silent", () => void asked.push("silent"));
  await using fixture = await serve({ "upstream-request-timeout": "100ms" }, [good, silent]);
  // Least requests are no help: between two requests none is under way.
  for (let request = 0; request < 20; request++) assertEquals(await get(fixture, 11), "200 good");
  assert(asked.length > 0, "nothing had to be tried again");
});

for (const method of ["GET", "POST"] as const) {
  envoyTest(`a ${method} that no endpoint begins to answer gets 504`, async () => {
    const asked: string[] = [];
    const silent = (name: string): Backend => silentBackend(name, () => void asked.push(name));
    await using a = silent("a");
    await using b = silent("b");
    await using c = silent("c");
    await using fixture = await serve({ "upstream-request-timeout": "150ms" }, [a, b, c]);
    const response = await fetch(`http://127.0.0.11:${fixture.httpPort}/`, {
      method,
      ...(method === "POST" ? { body: "x" } : {}),
    });
    assertEquals([response.status, await response.text()], [504, "upstream request timeout"]);
    if (method === "GET") assertEquals(asked.sort(), ["a", "b", "c"]);
    else assertEquals(asked.length, 1);
    await assertRequestLasted(fixture, (method === "GET" ? 3 : 1) * 150);
  });
}

envoyTest("the whole time ends a request while its first try still has time", async () => {
  const asked: string[] = [];
  await using a = silentBackend("a", () => void asked.push("a"));
  await using b = silentBackend("b", () => void asked.push("b"));
  await using fixture = await serve({ "request-timeout": "200ms" }, [a, b]);
  assertEquals((await get(fixture, 11)).slice(0, 3), "504");
  assertEquals(asked.length, 1);
  await assertRequestLasted(fixture, 200);
});

envoyTest("a time holds where more Services want something than the routes have virtual hosts", async () => {
  const asked: string[] = [];
  await using silent = silentBackend("silent", () => void asked.push("silent"));
  await using fixture = await serve({ "request-timeout": "200ms" }, [silent]);
  for (let index = 0; index < 21; index++) {
    // What two of them want goes before what one wants.
    for (const host of [20, 120]) {
      const name = `other-${host + index}`;
      fixture.apply(configured(fixture, name, host + index, { "request-timeout": `${index + 1}m` }));
    }
  }
  await fixture.settled();
  assertEquals((await get(fixture, 11)).slice(0, 3), "504");
  assertEquals(asked.length, 1);
  await assertRequestLasted(fixture, 200);
});

/** Asserts how long the one request took that was logged, as Envoy measured it. */
async function assertRequestLasted(fixture: EnvoyFixture, limitMs: number): Promise<void> {
  await until("the request is logged", () => fixture.accessLog.length > 0);
  assertEquals(fixture.accessLog.length, 1);
  assertLasted((fixture.accessLog[0] as { readonly duration?: number }).duration, limitMs);
}

envoyTest("a written whole time ends what has begun; the time of a try does not", async () => {
  await using backend = slowBackend();
  await using fixture = await serve({ "upstream-request-timeout": "200ms" }, [backend]);
  assertEquals(await get(fixture, 11), "200 begin end");
  fixture.apply(configured(fixture, "one", 11, { "request-timeout": "200ms" }));
  await fixture.settled();
  await assertRejects(() => get(fixture, 11));
});

/** Each shorter than the streams below keep silent. */
const SHORT: Settings = { "upstream-request-timeout": "200ms", "upstream-idle-timeout": "200ms" };

envoyTest(
  "server-sent events, gRPC and WebSockets live longer than the times of tries and idle connections",
  async () => {
    await using events = slowBackend();
    await using calls = await grpcBackend({ status: 0, lastsMs: LONG_MS });
    await using sockets = webSocketEcho();
    await using fixture = await EnvoyFixture.start([]);
    fixture.apply(
      configured(fixture, "events", 11, SHORT),
      ...slicesFor("events", "http", [events]),
      configured(fixture, "calls", 12, SHORT, "h2c"),
      ...slicesFor("calls", "h2c", [calls]),
      // Not even its whole time ends a WebSocket.
      configured(fixture, "sockets", 13, { ...SHORT, "request-timeout": "300ms" }),
      ...slicesFor("sockets", "http", [sockets]),
    );
    await fixture.settled();
    assertEquals(
      await Promise.all([
        fetch(`http://127.0.0.11:${fixture.httpPort}/`, EVENTS).then((response) => response.text()),
        callGrpc("127.0.0.12", fixture.httpPort),
        echoOverWebSocket("127.0.0.13", fixture.httpPort, { afterMs: LONG_MS }),
      ]),
      ["begin end", "0", "hello"],
    );
  },
);

envoyTest("an idle connection to an endpoint is kept as long as the Service says", async () => {
  await using backend = httpBackend("a");
  await using fixture = await serve({ "upstream-idle-timeout": "100ms" }, [backend]);
  assertEquals(await get(fixture, 11), "200 a");
  const closed = (): Promise<number> => fixture.stat("cluster.default/one_http.upstream_cx_idle_timeout");
  await until("it is closed", async () => await closed() === 1);
  fixture.apply(configured(fixture, "one", 11, { "upstream-idle-timeout": "1h" }));
  await fixture.settled();
  assertEquals(await get(fixture, 11), "200 a");
  // The default would have closed it.
  await delay(1_500);
  assertEquals(await fixture.stat("cluster.default/one_http.upstream_cx_active"), 1);
});

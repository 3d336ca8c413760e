/**
 * What lasts longer than every default timeout, in real time, through a real Envoy: 15 s for a request, 5 s for one try, 1 s for
 * an idle connection to an endpoint. All of it at once, and none of it says a word meanwhile.
 * @module
 */
import { delay } from "@std/async/delay";
import { assertEquals } from "@std/assert/equals";
import { DEFAULT_SETTINGS } from "../agent/model/mod.ts";
import { type Backend, httpBackend, slicesFor, tcpBackend } from "./testing/backends.ts";
import { envoyTest } from "./testing/envoy_case.ts";
import { EnvoyFixture } from "./testing/envoy_fixture.ts";
import { callGrpc, grpcBackend } from "./testing/grpc.ts";
import { getOverHttp2 } from "./testing/http_clients.ts";
import { echoOverWebSocket, webSocketEcho } from "./testing/web_sockets.ts";

const { values } = DEFAULT_SETTINGS;

/** `idle-timeout` is longer, and is that of connections on which nothing is under way: see commands/agent_own_listener_test.ts. */
const SILENCE_MS = 1_500 +
  Math.max(values["request-timeout"], values["upstream-request-timeout"], values["upstream-idle-timeout"]);

/** Answers at once, with a silence before the end; if asked for events, after a silence. Tells how long a body was. */
function silentFor(ms: number): Backend {
  return httpBackend("silent", async (request) => {
    if (request.method === "POST") {
      return new Response(`${(await request.arrayBuffer()).byteLength} bytes`);
    }
    if (request.headers.get("accept") === "text/event-stream") {
      await delay(ms);
      return new Response("data: late\n\n", { headers: { "content-type": "text/event-stream" } });
    }
    return new Response(inTwoParts(ms));
  });
}

function inTwoParts(pauseMs: number): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async start(controller): Promise<void> {
      controller.enqueue(encoder.encode("begin "));
      await delay(pauseMs);
      controller.enqueue(encoder.encode("end"));
      controller.close();
    },
  });
}

envoyTest("nothing that has begun, and no stream, is cut by a default", async () => {
  await using http = silentFor(SILENCE_MS);
  await using calls = await grpcBackend({ status: 0, lastsMs: SILENCE_MS });
  await using sockets = webSocketEcho();
  await using tcp = tcpBackend("tcp");
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(
    fixture.service("http", 11),
    ...slicesFor("http", "http", [http]),
    fixture.service("h2c", 12, { kind: "h2c" }),
    ...slicesFor("h2c", "h2c", [http]),
    fixture.service("calls", 13, { kind: "h2c" }),
    ...slicesFor("calls", "h2c", [calls]),
    fixture.service("sockets", 14),
    ...slicesFor("sockets", "http", [sockets]),
    fixture.service("tcp", 15, { kind: "tcp" }),
    ...slicesFor("tcp", "tcp", [tcp]),
  );
  const { httpPort, tcpPort } = fixture;
  const text = async (init: RequestInit): Promise<string> => {
    const response = await fetch(`http://127.0.0.11:${httpPort}/`, init);
    return `${response.status} ${await response.text()}`;
  };
  assertEquals(
    await Promise.all([
      text({}),
      text({ headers: { accept: "text/event-stream" } }),
      text({ method: "POST", body: inTwoParts(SILENCE_MS) }),
      getOverHttp2("127.0.0.12", httpPort),
      callGrpc("127.0.0.13", httpPort),
      echoOverWebSocket("127.0.0.14", httpPort, { afterMs: SILENCE_MS }),
      echoAfterSilence("127.0.0.15", tcpPort),
    ]),
    ["200 begin end", "200 data: late\n\n", "200 9 bytes", "200 begin end", "0", "hello", "tcp hello"],
  );
});

/** Reads the greeting, says nothing for long, then a word, and reads it again. */
async function echoAfterSilence(hostname: string, port: number): Promise<string> {
  using connection = await Deno.connect({ hostname, port });
  const buffer = new Uint8Array(64);
  const read = async (): Promise<string> => {
    const length = await connection.read(buffer);
    return length === null ? "closed" : new TextDecoder().decode(buffer.subarray(0, length)).trim();
  };
  const greeted = await read();
  await delay(SILENCE_MS);
  await connection.write(new TextEncoder().encode("hello"));
  return `${greeted} ${await read()}`;
}

/**
 * Settings that change while a Service is in use, against a real Envoy: the next request has them, and nothing is lost.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { httpBackend, slicesFor, tcpBackend } from "./testing/backends.ts";
import { configured, envoyTest, get, sent } from "./testing/envoy_case.ts";
import { EnvoyFixture, until } from "./testing/envoy_fixture.ts";
import { read, write } from "./testing/plain_http.ts";
import { webSocketEcho } from "./testing/web_sockets.ts";

/** What somebody might try, one after the other. */
const CHANGES: readonly Readonly<Record<string, string>>[] = [
  { "upstream-request-timeout": "2s" },
  { "upstream-request-timeout": "3s", "num-retries": "5" },
  { "access-log": "false", "upstream-request-timeout": "4s" },
  { "upstream-connect-timeout": "1s", "upstream-request-timeout": "6s", "upstream-idle-timeout": "3s" },
  { "retry-on": "reset", "retry-methods": "all", "upstream-request-timeout": "7s" },
];

/** Sends requests over kept connections until told to stop. */
class Callers {
  answered = 0;
  readonly failures: string[] = [];
  #isStopped = false;
  readonly #calling: Promise<unknown>;

  constructor(count: number, call: () => Promise<string>, wanted: string) {
    this.#calling = Promise.all(Array.from({ length: count }, async () => {
      while (!this.#isStopped) {
        const answer = await call().catch(String);
        if (answer === wanted) this.answered++;
        else this.failures.push(answer);
      }
    }));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#calling;
  }
}

envoyTest("changed settings cost no request, no WebSocket and no TCP connection", async () => {
  let inForce: string | null = null;
  await using a = httpBackend("a", (request) => {
    inForce = request.headers.get("x-envoy-expected-rq-timeout-ms");
    return undefined;
  });
  await using socketsBackend = webSocketEcho();
  await using tcp = tcpBackend("tcp");
  await using fixture = await EnvoyFixture.start([]);
  const configure = (settings: Readonly<Record<string, string>>): void => {
    const { "access-log": log = "true", "upstream-connect-timeout": connect = "5s" } = settings;
    fixture.apply(
      configured(fixture, "one", 11, settings),
      configured(fixture, "sockets", 12, settings),
      configured(
        fixture,
        "tcp",
        13,
        { "access-log": log, "upstream-connect-timeout": connect },
        "tcp",
      ),
    );
  };
  fixture.apply(
    ...slicesFor("one", "http", [a]),
    ...slicesFor("sockets", "http", [socketsBackend]),
    ...slicesFor("tcp", "tcp", [tcp]),
  );
  configure({});
  assertEquals(await get(fixture, 11), "200 a");

  const socket = new WebSocket(`ws://127.0.0.12:${fixture.httpPort}/`);
  const echoes: string[] = [];
  let closes = 0;
  socket.onmessage = ({ data }) => echoes.push(String(data));
  socket.onclose = () => void closes++;
  await until("the WebSocket is open", () => socket.readyState === WebSocket.OPEN);
  const connection = await Deno.connect({ hostname: "127.0.0.13", port: fixture.tcpPort });
  const buffer = new Uint8Array(64);
  await connection.read(buffer);

  const callers = new Callers(8, () => get(fixture, 11), "200 a");
  for (const settings of CHANGES) {
    configure(settings);
    const wanted = String(parseInt(settings["upstream-request-timeout"]!) * 1_000);
    await until(`${wanted} ms are in force`, () => inForce === wanted);
    await fixture.settled();
    socket.send(wanted);
    await until("the WebSocket answers", () => echoes.at(-1) === wanted);
    await connection.write(new TextEncoder().encode(wanted));
    const length = await connection.read(buffer);
    assertEquals(new TextDecoder().decode(buffer.subarray(0, length ?? 0)), wanted);
    const before = callers.answered;
    await until("a hundred more requests are answered", () => callers.answered >= before + 100);
  }
  await callers.stop();
  assertEquals(callers.failures, []);
  assertEquals([closes, fixture.recorded.nacks], [0, []]);
  assert(callers.answered > 100 * CHANGES.length);

  connection.close();
  socket.close();
  await until("the WebSocket is closed", () => closes === 1);
});

envoyTest("a change that Envoy need not know sends nothing", async () => {
  await using a = httpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(fixture.service("one", 11), ...slicesFor("one", "http", [a]));
  assertEquals(await get(fixture, 11), "200 a");
  await fixture.settled();
  const before = sent(fixture, "Cluster");
  // The default, written down.
  fixture.apply(configured(fixture, "one", 11, { "num-retries": "2" }));
  await fixture.settled();
  assertEquals(sent(fixture, "Cluster"), before);
});

envoyTest(
  "a Service's first setting holds for the next request of a kept connection, and its last one no longer",
  async () => {
    const inForce: (string | null)[] = [];
    await using a = httpBackend(
      "a",
      (request) => void inForce.push(request.headers.get("x-envoy-expected-rq-timeout-ms")),
    );
    await using fixture = await EnvoyFixture.start([]);
    fixture.apply(
      ...slicesFor("one", "http", [a]),
      fixture.service("other", 12),
      ...slicesFor("other", "http", [a]),
    );
    using one = await Deno.connect({ hostname: "127.0.0.11", port: fixture.httpPort });
    using other = await Deno.connect({ hostname: "127.0.0.12", port: fixture.httpPort });
    for (
      const settings of [{}, { "upstream-request-timeout": "2s" }, {}, { "upstream-request-timeout": "3s" }]
    ) {
      fixture.apply(configured(fixture, "one", 11, settings));
      await fixture.settled();
      for (const connection of [one, other]) {
        // Not a GET, which Envoy would begin anew when it has waited for its Cluster.
        await write(connection, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx");
        const response = await read(connection, (text) => text.endsWith("\r\n\r\na"));
        assertMatch(response, /^HTTP\/1\.1 200 /);
      }
    }
    const byDefault = "15000";
    assertEquals(inForce.filter((_, index) => index % 2 === 0), [byDefault, "2000", byDefault, "3000"]);
    assertEquals(inForce.filter((_, index) => index % 2 === 1), Array(4).fill(byDefault));
  },
);

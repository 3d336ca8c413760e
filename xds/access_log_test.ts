/**
 * The access log of a real Envoy: a line for each request and TCP connection, of Services that want it.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { greeting, httpBackend, slicesFor, tcpBackend } from "./testing/backends.ts";
import { configured, envoyTest, get } from "./testing/envoy_case.ts";
import { UNLOGGED_HEADER, VIP_HEADER } from "./routes.ts";
import { EnvoyFixture, until } from "./testing/envoy_fixture.ts";

type Line = EnvoyFixture["accessLog"][number];

/** The next line that was not taken yet. */
async function nextLine(fixture: EnvoyFixture): Promise<Line> {
  await until("a line is written", () => fixture.accessLog.length > 0);
  return fixture.accessLog.shift()!;
}

envoyTest("a request makes a line", async () => {
  await using a = httpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(fixture.service("one", 11), ...slicesFor("one", "http", [a]));
  const response = await fetch(`http://127.0.0.11:${fixture.httpPort}/path?query=1`, {
    method: "POST",
    body: "hello",
    headers: { "x-forwarded-for": "192.0.2.9" },
  });
  assertEquals(await response.text(), "a");
  const { time, client, duration, ...line } = await nextLine(fixture);
  assertEquals(line, {
    service: "default/one:http",
    endpoint: `127.0.0.1:${a.port}`,
    method: "POST",
    path: "/path?query=1",
    status: 200,
    flags: "-",
    bytes_received: 5,
    bytes_sent: 1,
    attempts: 1,
  });
  assertMatch(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  // Who connected, whoever it speaks for.
  assertMatch(String(client), /^127\.[\d.]+:\d+$/);
  assertEquals(typeof duration, "number");
});

envoyTest("a line says how often was tried, and why there was no answer", async () => {
  await using bad = httpBackend("bad", () => new Response(null, { status: 503 }));
  await using good = httpBackend("good");
  const gone = httpBackend("gone");
  await gone[Symbol.asyncDispose]();
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(
    fixture.service("one", 11),
    ...slicesFor("one", "http", [bad, good]),
    fixture.service("two", 12),
    ...slicesFor("two", "http", [gone]),
    fixture.service("three", 13),
  );
  const attempts = new Set<unknown>();
  for (let request = 0; request < 20; request++) {
    assertEquals(await get(fixture, 11), "200 good");
    const line = await nextLine(fixture);
    assertEquals([line["status"], line["endpoint"]], [200, `127.0.0.1:${good.port}`]);
    attempts.add(line["attempts"]);
  }
  assertEquals([...attempts].sort(), [1, 2]);
  assertEquals((await get(fixture, 12)).slice(0, 3), "503");
  const refused = await nextLine(fixture);
  assertEquals([refused["service"], refused["status"]], ["default/two:http", 503]);
  assert(String(refused["flags"]).split(",").includes("UF"), String(refused["flags"]));
  assertEquals((await get(fixture, 13)).slice(0, 3), "503");
  const none = await nextLine(fixture);
  assertEquals([none["service"], none["flags"], none["endpoint"]], ["default/three:http", "UH", null]);
});

envoyTest("a TCP connection makes a line when it ends", async () => {
  await using a = tcpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(fixture.service("one", 11, { kind: "tcp" }), ...slicesFor("one", "tcp", [a]));
  {
    using connection = await Deno.connect({ hostname: "127.0.0.11", port: fixture.tcpPort });
    const buffer = new Uint8Array(64);
    await connection.read(buffer);
    await connection.write(new TextEncoder().encode("hello"));
    await connection.read(buffer);
    assertEquals(fixture.accessLog.length, 0);
  }
  const { time: _time, client: _client, duration, ...line } = await nextLine(fixture);
  assertEquals(line, {
    service: "default/one:tcp",
    endpoint: `127.0.0.1:${a.port}`,
    flags: "-",
    bytes_received: 5,
    bytes_sent: 7,
    attempts: 1,
  });
  assertEquals(typeof duration, "number");
});

envoyTest(
  "a Service can do without, from one moment to the next; what is nobody's is not logged",
  async () => {
    await using a = httpBackend("a");
    await using b = tcpBackend("b");
    await using fixture = await EnvoyFixture.start([]);
    const silent = { "access-log": "false" };
    fixture.apply(
      configured(fixture, "one", 11, silent),
      ...slicesFor("one", "http", [a]),
      configured(fixture, "two", 12, silent, "tcp"),
      ...slicesFor("two", "tcp", [b]),
      fixture.service("three", 13),
      ...slicesFor("three", "http", [a]),
    );
    await fixture.settled();
    const requests = async (): Promise<void> => {
      assertEquals(await get(fixture, 11), "200 a");
      assertEquals(await greeting("127.0.0.12", fixture.tcpPort), "b");
      assertEquals((await get(fixture, 99)).slice(0, 3), "503");
      // Lines come in order: with this one, all before it would be there.
      assertEquals(await get(fixture, 13), "200 a");
    };
    await requests();
    assertEquals((await nextLine(fixture))["service"], "default/three:http");
    fixture.apply(
      configured(fixture, "one", 11, {}),
      configured(fixture, "two", 12, {}, "tcp"),
      configured(fixture, "three", 13, silent),
    );
    await fixture.settled();
    await requests();
    const lines = [await nextLine(fixture), await nextLine(fixture)];
    assertEquals(lines.map(({ service }) => service).sort(), ["default/one:http", "default/two:tcp"]);
    assertEquals(fixture.accessLog, []);
  },
);

envoyTest("what came to no Service makes no line; no client keeps its requests out of the log", async () => {
  await using a = httpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(fixture.service("one", 11), ...slicesFor("one", "http", [a]));
  assertEquals(await get(fixture, 11), "200 a");
  assertEquals((await nextLine(fixture))["status"], 200);
  // Without a host, without sense, and to nobody's VIP.
  assertMatch(await answerTo(fixture, "GET / HTTP/1.1\r\n\r\n"), /^HTTP\/1.1 400 /);
  assertMatch(await answerTo(fixture, "nonsense\r\n\r\n"), /^HTTP\/1.1 400 /);
  // No route takes these.
  assertMatch(
    await answerTo(fixture, "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\nconnection: close\r\n\r\n"),
    /^HTTP\/1.1 4/,
  );
  assertEquals((await get(fixture, 99)).slice(0, 3), "503");
  for (const header of [VIP_HEADER, UNLOGGED_HEADER]) {
    const response = await fetch(`http://127.0.0.11:${fixture.httpPort}/${header}`, {
      headers: { [header]: "true" },
    });
    assertEquals(await response.text(), "a");
    const { service, path } = await nextLine(fixture);
    assertEquals([service, path], ["default/one:http", `/${header}`]);
  }
});

/** What Envoy answers to bytes, until it ends the connection. */
async function answerTo(fixture: EnvoyFixture, request: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.11", port: fixture.httpPort });
  await connection.write(new TextEncoder().encode(request));
  return await new Response(connection.readable).text();
}

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { answer, startEchoServer } from "./echo_server.ts";
import { runLoad } from "./load_client.ts";

const remoteAddr: Deno.NetAddr = { transport: "tcp", hostname: "::ffff:10.0.0.1", port: 5 };

Deno.test("answer() tells who it is and what reached it", async () => {
  const request = new Request("http://echo/a?b=c", {
    method: "POST",
    body: "12345",
    headers: { "x-one": "1" },
  });
  const response = await answer(request, { name: "pod-1", remoteAddr });
  assertEquals(
    await response.text(),
    "Hostname: pod-1\nRemoteAddr: 10.0.0.1:5\nPOST /a?b=c HTTP/2\n" +
      "content-type: text/plain;charset=UTF-8\nx-one: 1\nBody: 5 bytes\n",
  );
  assertEquals(response.headers.get("x-backend"), "pod-1");
});

Deno.test("answer() gives the status that the path asks for", async () => {
  for (
    const [path, status] of [["/status/503", 503], ["/status/204", 204], ["/status/999", 200], [
      "/",
      200,
    ]] as const
  ) {
    const response = await answer(new Request(`http://echo${path}`), { name: "pod-1", remoteAddr });
    assertEquals([path, response.status], [path, status]);
    await response.body?.cancel();
  }
});

Deno.test("HTTP/1.1, HTTP/2 with prior knowledge and TCP are answered, over kept and new connections", async () => {
  await using server = startEchoServer({ name: "pod-1", httpPort: 0, tcpPort: 0, hostname: "127.0.0.1" });
  const signal = new AbortController().signal;
  for (const protocol of ["http", "h2c", "tcp"]) {
    const port = protocol === "tcp" ? server.tcpPort : server.httpPort;
    for (const newConnections of [false, true]) {
      let first = 0;
      const report = await runLoad(
        { url: `${protocol}://127.0.0.1:${port}/`, requests: 6, connections: 2, newConnections },
        { signal, onFirstAnswer: () => first++ },
      );
      assertEquals(report.byBackend, { "pod-1": 6 }, JSON.stringify(report));
      assertEquals([protocol, report.connections, first], [protocol, newConnections ? 6 : 2, 1]);
      assertEquals(report.firstMs.length, 6);
    }
  }
});

Deno.test("an answer that is cut off is a failure", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const cutting = (async () => {
    const connection = await listener.accept();
    await connection.read(new Uint8Array(4096));
    await connection.write(
      new TextEncoder().encode("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nHostname: pod-1\n"),
    );
    connection.close();
  })();
  const running = { signal: new AbortController().signal, onFirstAnswer: () => {} };
  const report = await runLoad({ url: `http://127.0.0.1:${listener.addr.port}/`, requests: 1 }, running);
  await cutting;
  listener.close();
  assertEquals([report.failed, report.byBackend], [1, {}]);
  assert(!("timed out" in report.errors), JSON.stringify(report.errors));
});

Deno.test("a load client counts another status, silence and a refused connection as failures", async () => {
  await using server = startEchoServer({ name: "pod-1", httpPort: 0, tcpPort: 0, hostname: "127.0.0.1" });
  const running = { signal: new AbortController().signal, onFirstAnswer: () => {} };
  const at = `127.0.0.1:${server.httpPort}`;
  for (const protocol of ["http", "h2c"]) {
    const wrong = await runLoad({ url: `${protocol}://${at}/status/503`, requests: 2 }, running);
    assertEquals(wrong.errors, { "status 503": 2 });
    const late = await runLoad(
      { url: `${protocol}://${at}/delay/300ms`, requests: 1, timeoutMs: 30 },
      running,
    );
    assertEquals(late.errors, { "timed out": 1 });
  }
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const url = `tcp://127.0.0.1:${silent.addr.port}`;
  assertEquals((await runLoad({ url, requests: 1, timeoutMs: 30 }, running)).errors, { "timed out": 1 });
  silent.close();
  const refused = await runLoad({ url, requests: 1 }, running);
  assert(refused.failed === 1);
  assertMatch(Object.keys(refused.errors)[0] ?? "", /refused/i);
});

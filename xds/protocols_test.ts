/**
 * What each `appProtocol` means on the way to the endpoint, through a real Envoy: the HTTP version it is spoken to in, and TLS
 * that passes as it is.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { pathOf } from "../agent/model/mod.ts";
import { portSpec } from "../agent/model/testing/objects.ts";
import { createServerCertificate, type ServerCertificate } from "../scripts/lab/certificate.ts";
import { type Backend, httpBackend, slicesFor } from "./testing/backends.ts";
import { envoyTest, get } from "./testing/envoy_case.ts";
import { EnvoyFixture } from "./testing/envoy_fixture.ts";
import { getOverHttp2 } from "./testing/http_clients.ts";

/** By `appProtocol`: the version of HTTP that is spoken to the endpoint for a client of 1.1, and for one of 2. */
const HTTP: Readonly<Record<string, readonly [string, string]>> = {
  "http": ["HTTP/1.1", "HTTP/2"],
  "kubernetes.io/ws": ["HTTP/1.1", "HTTP/2"],
  "http2": ["HTTP/2", "HTTP/2"],
  "grpc": ["HTTP/2", "HTTP/2"],
  "kubernetes.io/h2c": ["HTTP/2", "HTTP/2"],
};

/** Serves one port of that `appProtocol` at 127.0.0.<host>; asserts which listener the kernel sends its connections to. */
function serve(
  fixture: EnvoyFixture,
  backend: Backend,
  { appProtocol, host }: { readonly appProtocol: string; readonly host: number },
): void {
  const name = `service-${host}`;
  const listener = appProtocol in HTTP ? "envoy-http" : "envoy-tcp";
  const port = listener === "envoy-http" ? fixture.httpPort : fixture.tcpPort;
  fixture.apply(
    fixture.service(name, host, { overrides: { ports: [portSpec({ name: "main", port, appProtocol })] } }),
    ...slicesFor(name, "main", [backend]),
  );
  const servicePort = fixture.model.servicePort(`default/${name}:main/TCP`);
  assertEquals(servicePort && pathOf(servicePort, "IPv4", "ClusterIP"), listener, appProtocol);
}

envoyTest("each kind of HTTP is spoken to the endpoint in its version", async () => {
  await using backend = httpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  let host = 10;
  for (const [appProtocol, versions] of Object.entries(HTTP)) {
    const spoken: string[] = [];
    for (const ask of [get, getOverHttp2At]) {
      serve(fixture, backend, { appProtocol, host: ++host });
      assertEquals(await ask(fixture, host), "200 a", appProtocol);
      const connections = await fixture.stat(`cluster.default/service-${host}_main.upstream_cx_http2_total`);
      spoken.push(connections === 1 ? "HTTP/2" : "HTTP/1.1");
    }
    assertEquals(spoken, [...versions], appProtocol);
  }
});

function getOverHttp2At(fixture: EnvoyFixture, host: number): Promise<string> {
  return getOverHttp2(`127.0.0.${host}`, fixture.httpPort);
}

/** A server that speaks HTTPS, and opens WebSockets. */
function tlsBackend({ certificate: cert, key }: ServerCertificate): Backend {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, cert, key, onListen: () => {} },
    (request) => {
      if (request.headers.get("upgrade") !== "websocket") return new Response(new URL(request.url).protocol);
      const { socket, response } = Deno.upgradeWebSocket(request);
      socket.onmessage = ({ data }) => socket.send(data);
      return response;
    },
  );
  return { name: "tls", port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}

envoyTest(
  "https, tls and wss pass as they are: the endpoint's own certificate reaches the client",
  async () => {
    await using fixture = await EnvoyFixture.start([]);
    for (const [index, appProtocol] of ["https", "tls", "kubernetes.io/wss"].entries()) {
      const hostname = `127.0.0.${11 + index}`;
      const server = await createServerCertificate(hostname);
      await using backend = tlsBackend(server);
      serve(fixture, backend, { appProtocol, host: 11 + index });
      using client = Deno.createHttpClient({ caCerts: [server.ca] });
      const response = await fetch(`https://${hostname}:${fixture.tcpPort}/`, { client });
      assertEquals(await response.text(), "https:", appProtocol);

      using connection = await Deno.connectTls({ hostname, port: fixture.tcpPort, caCerts: [server.ca] });
      const upgrade = [
        "GET / HTTP/1.1",
        "host: a",
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
      ];
      await connection.write(new TextEncoder().encode([...upgrade, "", ""].join("\r\n")));
      const buffer = new Uint8Array(4096);
      const length = await connection.read(buffer);
      assertMatch(new TextDecoder().decode(buffer.subarray(0, length ?? 0)), /^HTTP\/1\.1 101 /, appProtocol);
    }
    assertEquals(fixture.recorded.nacks, []);
  },
);

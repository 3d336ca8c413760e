import { assertEquals } from "@std/assert/equals";
import { appProtocolOf, whyAppProtocol } from "./app_protocol.ts";

Deno.test("appProtocolOf() takes appProtocol, else the name's first word, else TCP", () => {
  const cases: readonly (readonly [appProtocol: string, name: string, expected: string])[] = [
    ["http", "", "http"],
    ["HTTP", "", "http"],
    ["kubernetes.io/h2c", "", "http2"],
    ["kubernetes.io/ws", "", "http"],
    ["kubernetes.io/wss", "http", "tcp"],
    ["grpc", "", "http2"],
    ["https", "http", "tcp"],
    ["lightpath.cloud/redis", "", "redis"],
    ["redis", "", "tcp"],
    ["", "redis", "tcp"],
    ["mysql", "http-db", "tcp"],
    ["", "http", "http"],
    ["", "http-admin", "http"],
    ["", "http2", "http2"],
    ["", "h2c-x", "http2"],
    ["", "grpc-web", "http2"],
    ["", "https", "tcp"],
    ["", "httpish", "tcp"],
    ["", "web", "tcp"],
    ["", "", "tcp"],
    // Every bare object has a member of this name; as a port name and as an appProtocol the API takes it.
    ["", "constructor", "tcp"],
    ["constructor", "", "tcp"],
  ];
  for (const [appProtocol, name, expected] of cases) {
    assertEquals(
      appProtocolOf({ appProtocol, name }),
      expected,
      `appProtocol "${appProtocol}", name "${name}"`,
    );
  }
});

Deno.test("whyAppProtocol() names what decided", () => {
  const cases: readonly (readonly [appProtocol: string, name: string, because: string])[] = [
    ["http", "tcp-x", 'appProtocol is "http"'],
    ["HTTP", "", 'appProtocol is "HTTP"'],
    ["mysql", "http-db", 'appProtocol is "mysql", which passes as it is'],
    ["", "http", 'the port is called "http"'],
    ["", "grpc-web", 'the port is called "grpc-web", which begins with "grpc-"'],
    ["", "web", "neither appProtocol nor the port's name says otherwise"],
    ["", "", "neither appProtocol nor the port's name says otherwise"],
  ];
  for (const [appProtocol, name, because] of cases) {
    assertEquals(whyAppProtocol({ appProtocol, name }), because);
  }
});

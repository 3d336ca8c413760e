import { assertEquals } from "@std/assert/equals";
import { servicePort } from "./testing/service_ports.ts";
import { pathOf } from "./path.ts";

Deno.test("pathOf() follows the application protocol where an endpoint is usable", () => {
  assertEquals(pathOf(servicePort({ appProtocol: "tcp" }), "IPv4"), "envoy-tcp");
  assertEquals(pathOf(servicePort({ appProtocol: "redis" }), "IPv4"), "envoy-tcp");
  assertEquals(pathOf(servicePort({ appProtocol: "http" }), "IPv4"), "envoy-http");
  assertEquals(pathOf(servicePort({ appProtocol: "http2" }), "IPv6"), "envoy-http");
});

Deno.test("pathOf() rejects per family", () => {
  const onlyV6 = servicePort({ endpoints: ["IPv6"] });
  assertEquals([pathOf(onlyV6, "IPv4"), pathOf(onlyV6, "IPv6")], ["reject", "envoy-http"]);
});

Deno.test("pathOf() leaves UDP and SCTP alone, with endpoints or without", () => {
  assertEquals(pathOf(servicePort({ protocol: "UDP" }), "IPv4"), "unserved");
  assertEquals(pathOf(servicePort({ protocol: "SCTP", endpoints: [] }), "IPv4"), "unserved");
});

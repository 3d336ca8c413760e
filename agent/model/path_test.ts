import { assertEquals } from "@std/assert/equals";
import { endpointsFor, insideEndpointsFor, pathOf } from "./path.ts";
import { servicePort } from "./testing/service_ports.ts";
import type { DestinationKind, Path, ServicePort } from "./types.ts";

const KINDS: readonly DestinationKind[] = ["ClusterIP", "ExternalIP", "LoadBalancerIP", "NodePort"];

function paths(port: ServicePort): readonly Path[] {
  return KINDS.map((kind) => pathOf(port, "IPv4", kind));
}

Deno.test("pathOf() follows the application protocol where Envoy carries and an endpoint is usable", () => {
  const path = (sketch: Parameters<typeof servicePort>[0]): Path =>
    pathOf(servicePort(sketch), "IPv4", "ClusterIP");
  assertEquals(path({ appProtocol: "tcp" }), "envoy-tcp");
  assertEquals(path({ appProtocol: "redis" }), "envoy-tcp");
  assertEquals(path({ appProtocol: "http" }), "envoy-http");
  assertEquals(path({ appProtocol: "http2" }), "envoy-http");
  assertEquals(path({ appProtocol: "http2", carrier: "kernel" }), "kernel");
  assertEquals(path({ protocol: "UDP" }), "kernel");
});

Deno.test("pathOf() rejects per family, whatever carries the port", () => {
  for (const carrier of ["envoy", "kernel"] as const) {
    const onlyV6 = servicePort({ endpoints: ["IPv6"], carrier });
    assertEquals(paths(onlyV6), KINDS.map(() => "reject"));
    assertEquals(pathOf(onlyV6, "IPv6", "NodePort"), carrier === "envoy" ? "envoy-http" : "kernel");
  }
});

Deno.test("pathOf() drops what only the traffic policy of that kind of destination excludes", () => {
  assertEquals(paths(servicePort({ internalTrafficPolicy: "Local" })), [
    "drop",
    "envoy-http",
    "envoy-http",
    "envoy-http",
  ]);
  assertEquals(paths(servicePort({ externalTrafficPolicy: "Local", protocol: "SCTP" })), [
    "kernel",
    "drop",
    "drop",
    "drop",
  ]);
  assertEquals(
    paths(servicePort({ externalTrafficPolicy: "Local", endpoints: [] })),
    KINDS.map(() => "reject"),
    "nobody listens anywhere, and that may be said",
  );
});

Deno.test("endpointsFor() a kind whose policy is Local are this node's", () => {
  const port = servicePort({ externalTrafficPolicy: "Local" });
  const here = { address: "10.244.0.9", port: 8080, zone: "", isLocal: true };
  const local = { ...port, localEndpoints: { IPv4: [here], IPv6: [] } };
  assertEquals(endpointsFor(local, "IPv4", "ClusterIP"), port.endpoints.IPv4);
  assertEquals(endpointsFor(local, "IPv4", "NodePort"), [here]);
  assertEquals(pathOf(local, "IPv4", "NodePort"), "envoy-http");
});

Deno.test("insideEndpointsFor() what is Local for the outside are all endpoints, unless only Envoy understands it", () => {
  const port = servicePort({ externalTrafficPolicy: "Local", internalTrafficPolicy: "Local" });
  const inside = (one: ServicePort): readonly (number | undefined)[] =>
    KINDS.map((kind) => insideEndpointsFor(one, "IPv4", kind)?.length);
  assertEquals(inside(port), [undefined, 1, 1, 1]);
  assertEquals(inside({ ...port, externalTrafficPolicy: "Cluster" }), KINDS.map(() => undefined));
  assertEquals(inside({ ...port, appProtocol: "redis" }), KINDS.map(() => undefined));
  assertEquals(inside({ ...port, endpoints: { IPv4: [], IPv6: [] } }), KINDS.map(() => undefined));
});

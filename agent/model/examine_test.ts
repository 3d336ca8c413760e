import { assertEquals } from "@std/assert/equals";
import type { EndpointSlice, Service } from "../kube/objects.ts";
import type { ExaminedService } from "./examine.ts";
import { ServiceModel } from "./reduce.ts";
import { endpoint, portSpec, service, slice } from "./testing/objects.ts";

/** `default/echo` as a model that holds these objects has it. */
function examine(...objects: readonly (Service | EndpointSlice)[]): ExaminedService | undefined {
  const model = new ServiceModel({ serviceProxyName: "", families: ["IPv4", "IPv6"] });
  model.load(objects.map((object) => ({ type: "apply", object })));
  model.loaded();
  return model.examine("default/echo");
}

/** Of its first port, each endpoint as `address used: why`. */
function endpointsOf(...slices: readonly EndpointSlice[]): readonly string[] {
  const [port] = examine(service(), ...slices)?.ports ?? [];
  return (port?.endpoints ?? []).map(({ address, usedFor, why }) =>
    `${address} ${usedFor.length > 0}: ${why}`
  );
}

Deno.test("examine() says of each endpoint whether it is used and why, those in use first", () => {
  const gone = endpoint("10.244.0.1", { ready: false, serving: false, terminating: true });
  const going = endpoint("10.244.0.2", { ready: false, serving: true, terminating: true });
  const unready = endpoint("10.244.0.3", { ready: false, serving: false });
  const ready = endpoint("10.244.0.4");
  assertEquals(endpointsOf(slice({ endpoints: [gone, going, unready, ready] })), [
    "10.244.0.4 true: ready",
    "10.244.0.1 false: terminating, and it does not serve any more",
    "10.244.0.2 false: terminating, and others are ready",
    "10.244.0.3 false: not ready",
  ]);
  assertEquals(endpointsOf(slice({ endpoints: [gone, going, unready] })), [
    "10.244.0.2 true: terminating, but it still serves, and none is ready",
    "10.244.0.1 false: terminating, and it does not serve any more",
    "10.244.0.3 false: not ready",
  ]);
});

Deno.test("examine() counts an endpoint that stands in two slices once, by its more usable copy", () => {
  const unready = slice({ name: "echo-2", endpoints: [endpoint("10.244.0.1", { ready: false })] });
  const ready = slice({ endpoints: [endpoint("10.244.0.1")] });
  assertEquals(endpointsOf(ready, unready), ["10.244.0.1 true: ready"]);
  assertEquals(endpointsOf(unready, ready), ["10.244.0.1 true: ready"]);
});

Deno.test("examine() says what is missing where there is no endpoint", () => {
  const missing = (...slices: readonly EndpointSlice[]): unknown =>
    examine(service(), ...slices)?.ports[0]?.missing;
  assertEquals(missing(), { IPv4: "no IPv4 EndpointSlice has the label kubernetes.io/service-name: echo" });
  assertEquals(missing(slice()), {
    IPv4: "its EndpointSlices are empty: does its selector match running pods?",
  });
  const elsewhere = slice({
    ports: [{ name: "web", protocol: "TCP", port: 8080 }],
    endpoints: [endpoint("10.244.0.1")],
  });
  assertEquals(missing(elsewhere), {
    IPv4: 'its EndpointSlices have no port named "http" (they have "web")',
  });
  assertEquals(missing(slice({ endpoints: [endpoint("10.244.0.1")] })), {});
});

Deno.test("examine() has the problems of the Service and of its slices, and no others", () => {
  const found = examine(
    service({ annotations: { "config.lightpath.cloud/num-retries": "many" } }),
    slice({ endpoints: [endpoint("nonsense")] }),
    service({ name: "other", clusterIPs: ["10.96.0.11"], externalIPs: ["nonsense"] }),
  );
  assertEquals(found?.problems.map(({ object, kind }) => `${object} ${kind}`), [
    "Service default/echo invalid-annotation",
    "EndpointSlice default/echo-1 invalid-address",
  ]);
});

Deno.test("examine() keeps the port's number and the reason for its protocol", () => {
  const ports = [
    portSpec({ port: 80, appProtocol: "https" }),
    portSpec({ name: "dns", port: 53, protocol: "UDP" }),
  ];
  const found = examine(service({ ports }))?.ports.map(({ port, whyAppProtocol, servicePort }) => [
    port,
    servicePort.appProtocol,
    whyAppProtocol,
  ]);
  assertEquals(found, [
    [53, "tcp", "it is UDP"],
    [80, "tcp", 'appProtocol is "https", which passes as it is'],
  ]);
});

Deno.test("examine() knows nothing of a Service that is not served", () => {
  assertEquals(examine(service({ headlessLabel: true }), slice()), undefined);
  assertEquals(examine(), undefined);
});

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import type { KubeObject, ObjectEvent, Service, SliceEndpoint } from "../kube/objects.ts";
import { ServiceModel } from "./reduce.ts";
import { endpoint, portSpec, service, slice } from "./testing/objects.ts";
import { Random } from "./testing/random.ts";
import { type HealthCheck, IP_FAMILIES, type Problem, type ServicePort } from "./types.ts";

const KEY = "default/echo:http/TCP";

function apply(...objects: readonly KubeObject[]): ObjectEvent[] {
  return objects.map((object) => ({ type: "apply", object }));
}

function remove(kind: KubeObject["kind"], name: string): ObjectEvent {
  return { type: "delete", kind, namespacedName: `default/${name}` };
}

function newModel(serviceProxyName = ""): ServiceModel {
  return new ServiceModel({ serviceProxyName, families: IP_FAMILIES }, {
    nodeName: "node-1",
    zone: "zone-a",
  });
}

function addresses(port: ServicePort | undefined, family: "IPv4" | "IPv6" = "IPv4"): readonly string[] {
  return port?.endpoints[family].map(({ address, port }) => `${address} ${port}`) ?? [];
}

Deno.test("reduce() joins a Service with its slices, whichever comes first", () => {
  for (const serviceFirst of [true, false]) {
    const model = newModel();
    const events = apply(service(), slice({ endpoints: [endpoint("10.244.0.5")] }));
    for (const event of serviceFirst ? events : events.reverse()) model.reduce([event]);
    assertEquals(addresses(model.servicePort(KEY)), ["10.244.0.5 8080"]);
  }
});

Deno.test("reduce() names only the ServicePorts a change touched", () => {
  const model = newModel();
  model.reduce(apply(
    service({ ports: [portSpec(), portSpec({ name: "tcp", port: 9000 })] }),
    service({ name: "other", clusterIPs: ["10.96.0.11"] }),
  ));
  const delta = model.reduce(apply(slice({ endpoints: [endpoint("10.244.0.5")] })));
  assertEquals([...delta.changes.keys()], [KEY]);
  assertEquals(addresses(delta.changes.get(KEY)?.before), []);
  assertEquals(addresses(delta.changes.get(KEY)?.after), ["10.244.0.5 8080"]);
});

Deno.test("reduce() says nothing of a change that changes nothing served", () => {
  const model = newModel();
  model.reduce(apply(service(), slice({ endpoints: [endpoint("10.244.0.5")] })));
  const delta = model.reduce(apply(
    service({ resourceVersion: "2", annotations: { "lightpath.cloud/x": "y" } }),
    slice({ resourceVersion: "2", lastChangeTriggerTimeMs: 5, endpoints: [endpoint("10.244.0.5")] }),
  ));
  assertEquals(delta.changes.size, 0);
  assertEquals(delta.triggerTimesMs, []);
});

Deno.test("reduce() puts the endpoints of the node's zone first where the Service asks for it and the zone is known", () => {
  const endpoints = [endpoint("10.244.0.5", { zone: "zone-a" }), endpoint("10.244.0.6", { zone: "zone-b" })];
  const tiers = (zone: string, trafficDistribution: string): unknown => {
    const model = new ServiceModel({ serviceProxyName: "", families: IP_FAMILIES }, { zone });
    model.reduce(apply(service({ trafficDistribution }), slice({ endpoints })));
    const port = model.servicePort(KEY);
    return [port?.prefersNear, port?.endpoints.IPv4.map(({ tier }) => tier)];
  };
  assertEquals(tiers("zone-b", "PreferSameZone"), [true, [1, undefined]]);
  assertEquals(tiers("zone-b", "PreferClose"), [true, [1, undefined]]);
  assertEquals(tiers("zone-b", ""), [false, [undefined, undefined]]);
  assertEquals(tiers("", "PreferSameZone"), [false, [undefined, undefined]]);

  const model = newModel();
  model.reduce(apply(service(), slice({ endpoints })));
  const { changes } = model.reduce(apply(service({ trafficDistribution: "PreferSameZone" })));
  assertEquals([...changes.keys()], [KEY]);
});

Deno.test("reduceZone() names the ports to which it matters in which zone the node is, and no others", () => {
  const model = new ServiceModel({ serviceProxyName: "", families: IP_FAMILIES }, { nodeName: "node-1" });
  const endpoints = [endpoint("10.244.0.5", { zone: "zone-a" }), endpoint("10.244.0.6", { zone: "zone-b" })];
  const hinted = endpoints.map((one) => ({ ...one, hintedZones: [one.zone] }));
  const shapes = {
    asks: { trafficDistribution: "PreferSameZone", endpoints },
    hinted: { trafficDistribution: "", endpoints: hinted },
    neither: { trafficDistribution: "", endpoints },
    "only-node": { trafficDistribution: "", endpoints: [endpoint("10.244.0.7", { nodeName: "node-1" })] },
  };
  for (const [index, [name, { trafficDistribution, endpoints }]] of Object.entries(shapes).entries()) {
    const clusterIPs = [`10.96.0.${index + 1}`];
    model.reduce(apply(
      service({ name, trafficDistribution, clusterIPs }),
      slice({ name, serviceName: name, endpoints }),
    ));
  }
  const moved = (zone: string): unknown => {
    const { changes, problemsAppeared } = model.reduceZone(zone);
    assertEquals(problemsAppeared, []);
    assertEquals(model.zone, zone);
    return [...changes].map(([key, { before, after }]) => [
      key.replace(/^default\/(.*):.*$/, "$1"),
      ...[before, after].map((port) => port?.endpoints.IPv4.map(({ tier = 0 }) => tier).join()),
    ]);
  };
  assertEquals(moved("zone-b"), [["asks", "0,0", "1,0"], ["hinted", "0,0", "1,0"]]);
  assertEquals(moved("zone-b"), []);
  assertEquals(moved("zone-a"), [["asks", "1,0", "0,1"], ["hinted", "1,0", "0,1"]]);
  // Nobody is there: all endpoints are alike, though they could be told apart.
  assertEquals(moved("zone-c"), [["asks", "0,1", "0,0"], ["hinted", "0,1", "0,0"]]);
  assertEquals(moved(""), [["asks", "0,0", "0,0"], ["hinted", "0,0", "0,0"]]);
});

Deno.test("reduce() knows no tiers among endpoints that terminate, and none under the policy Local", () => {
  const model = newModel();
  const going = { ready: false, terminating: true, nodeName: "node-1", zone: "zone-a" };
  model.reduce(apply(
    service({ trafficDistribution: "PreferSameNode", internalTrafficPolicy: "Local" }),
    slice({
      endpoints: [endpoint("10.244.0.5", going), endpoint("10.244.0.6", { ...going, nodeName: "node-2" })],
    }),
  ));
  const port = model.servicePort(KEY);
  assertEquals(port?.endpoints.IPv4.map(({ tier }) => tier), [undefined, undefined]);
  assertEquals(port?.localEndpoints.IPv4.map(({ address, tier }) => [address, tier]), [[
    "10.244.0.5",
    undefined,
  ]]);
});

Deno.test("reduce() says which trafficDistribution is not followed", () => {
  const { problemsAppeared } = newModel().reduce(apply(service({ trafficDistribution: "PreferSameRack" })));
  assertEquals(problemsAppeared.map(({ kind }) => kind), ["unsupported"]);
  assertStringIncludes(problemsAppeared[0]?.message ?? "", '"PreferSameRack" is not followed');
});

Deno.test("reduce() resolves a named target port slice by slice", () => {
  const model = newModel();
  model.reduce(apply(
    service(),
    slice({ endpoints: [endpoint("10.244.0.5")] }),
    slice({
      name: "echo-2",
      ports: [{ name: "http", protocol: "TCP", port: 9090 }, { name: "x", protocol: "TCP", port: 1 }],
      endpoints: [endpoint("10.244.0.6")],
    }),
  ));
  assertEquals(addresses(model.servicePort(KEY)), ["10.244.0.5 8080", "10.244.0.6 9090"]);
});

Deno.test("reduce() keeps protocols of one port number apart", () => {
  const model = newModel();
  model.reduce(apply(
    service({
      ports: [
        portSpec({ name: "dns", port: 53, protocol: "UDP" }),
        portSpec({ name: "dns-tcp", port: 53 }),
      ],
    }),
    slice({
      ports: [{ name: "dns", protocol: "UDP", port: 5353 }, { name: "dns-tcp", protocol: "TCP", port: 5354 }],
      endpoints: [endpoint("10.244.0.5")],
    }),
  ));
  assertEquals(addresses(model.servicePort("default/echo:dns/UDP")), ["10.244.0.5 5353"]);
  assertEquals(addresses(model.servicePort("default/echo:dns-tcp/TCP")), ["10.244.0.5 5354"]);
  assertEquals(model.vipOwner("10.96.0.10", 53)?.key, "default/echo:dns-tcp/TCP");
});

Deno.test("reduce() gives each family of a dual-stack Service its own endpoints", () => {
  const model = newModel();
  model.reduce(apply(
    service({ clusterIPs: ["10.96.0.10", "FD00:0:0::1"] }),
    slice({ endpoints: [endpoint("10.244.0.5")] }),
    slice({ name: "echo-6", addressType: "IPv6", endpoints: [endpoint("fd01:0::5")] }),
  ));
  const port = model.servicePort(KEY);
  assertEquals(addresses(port, "IPv4"), ["10.244.0.5 8080"]);
  assertEquals(addresses(port, "IPv6"), ["fd01::5 8080"]);
  assertEquals(model.vipOwner("fd00::1", 80)?.key, KEY);
});

Deno.test("reduce() leaves alone the addresses of a family this node does not serve", () => {
  const model = new ServiceModel({ serviceProxyName: "", families: ["IPv4"] });
  const { problemsAppeared } = model.reduce(apply(
    service({ clusterIPs: ["10.96.0.10", "fd00::1"] }),
    slice({ name: "echo-6", addressType: "IPv6", endpoints: [endpoint("fd01::5")] }),
  ));
  const port = model.servicePort(KEY);
  assertEquals(port?.vips.map(({ address }) => address), ["10.96.0.10"]);
  assertEquals([port?.families, port?.endpoints.IPv6], [["IPv4"], []]);
  assertEquals(problemsAppeared, []);
});

Deno.test("reduce() leaves out slices of a family the Service does not have", () => {
  const model = newModel();
  model.reduce(apply(service(), slice({ addressType: "IPv6", endpoints: [endpoint("fd01::5")] })));
  assertEquals(addresses(model.servicePort(KEY), "IPv6"), []);
});

Deno.test("reduce() uses ready endpoints, else those that terminate but serve (KEP-1669)", () => {
  const terminating = endpoint("10.244.0.6", { ready: false, terminating: true });
  const model = newModel();
  model.reduce(apply(
    service(),
    slice({
      endpoints: [
        endpoint("10.244.0.5"),
        terminating,
        endpoint("10.244.0.7", { ready: false, serving: false }),
      ],
    }),
  ));
  assertEquals(addresses(model.servicePort(KEY)), ["10.244.0.5 8080"]);
  model.reduce(apply(slice({ endpoints: [terminating, endpoint("10.244.0.7", { ready: false })] })));
  assertEquals(addresses(model.servicePort(KEY)), ["10.244.0.6 8080"]);
});

Deno.test("reduce() counts an endpoint that stands in two slices once, as its most usable copy", () => {
  const model = newModel();
  model.reduce(apply(
    service(),
    slice({ endpoints: [endpoint("10.244.0.5", { ready: false, serving: false })] }),
    slice({ name: "echo-2", endpoints: [endpoint("10.244.0.5"), endpoint("10.244.0.5")] }),
  ));
  assertEquals(addresses(model.servicePort(KEY)), ["10.244.0.5 8080"]);
});

Deno.test("reduce() does not depend on slice order where two copies of an endpoint differ in zone", () => {
  const copies = ["b", "a", "c"].map((zone, index) =>
    slice({ name: `echo-${index}`, endpoints: [endpoint("10.244.0.5", { zone })] })
  );
  for (const slices of [copies, copies.toReversed()]) {
    const model = newModel();
    model.reduce(apply(service(), ...slices));
    assertEquals(model.servicePort(KEY)?.endpoints.IPv4.map(({ zone }) => zone), ["a"]);
  }
});

Deno.test("reduce() follows a slice whose service label changes", () => {
  const model = newModel();
  model.reduce(apply(
    service(),
    service({ name: "other", clusterIPs: ["10.96.0.11"] }),
    slice({ endpoints: [endpoint("10.244.0.5")] }),
  ));
  const delta = model.reduce(apply(slice({ serviceName: "other", endpoints: [endpoint("10.244.0.5")] })));
  assertEquals([...delta.changes.keys()].sort(), [KEY, "default/other:http/TCP"]);
  assertEquals(addresses(model.servicePort(KEY)), []);
  assertEquals(addresses(model.servicePort("default/other:http/TCP")), ["10.244.0.5 8080"]);
});

Deno.test("reduce() leaves out headless, ExternalName, unallocated and other proxies' Services", () => {
  const cases = [
    service({ clusterIPs: ["None"] }),
    service({ type: "ExternalName", clusterIPs: [] }),
    service({ clusterIPs: [] }),
    service({ proxyName: "cilium" }),
    service({ headlessLabel: true }),
  ];
  for (const left of cases) assertEquals(newModel().reduce(apply(left)).changes.size, 0);
  assertEquals(newModel("lightpath.cloud").reduce(apply(service())).changes.size, 0);
  assertEquals(
    newModel("lightpath.cloud").reduce(apply(service({ proxyName: "lightpath.cloud" }))).changes.size,
    1,
  );
});

Deno.test("reduce() lets go of a Service that is labelled away, and of a port that is renamed", () => {
  const model = newModel();
  model.reduce(apply(service(), slice({ endpoints: [endpoint("10.244.0.5")] })));
  const renamed = model.reduce(apply(service({ ports: [portSpec({ name: "web" })] })));
  assertEquals([...renamed.changes.keys()].sort(), [KEY, "default/echo:web/TCP"]);
  assertEquals(renamed.changes.get(KEY)?.after, undefined);
  const away = model.reduce(apply(service({ proxyName: "cilium" })));
  assertEquals(away.changes.get("default/echo:web/TCP")?.after, undefined);
  assertEquals([...model.servicePorts()], []);
  assertEquals(model.vipOwner("10.96.0.10", 80), undefined);
});

Deno.test("reduce() gives a disputed VIP and NodePort to the older Service, and on to the next when it goes", () => {
  const ports = [portSpec({ nodePort: 30080 })];
  const older = service({ name: "older", creationTimestampMs: 1_000, ports });
  const newer = service({ name: "a-newer", creationTimestampMs: 2_000, ports });
  for (const order of [[older, newer], [newer, older]]) {
    const model = newModel();
    const appeared: Problem[] = [];
    for (const one of order) appeared.push(...model.reduce(apply(one)).problemsAppeared);
    assertEquals(model.vipOwner("10.96.0.10", 80)?.name.name, "older");
    assertEquals(model.nodePortOwner("IPv4", 30080)?.name.name, "older");
    assertEquals(model.nodePortOwner("IPv6", 30080), undefined);
    assertEquals(model.servicePort("default/a-newer:http/TCP")?.vips, []);
    assertEquals(model.servicePort("default/a-newer:http/TCP")?.nodePort, 0);
    const standing = [...model.problems()];
    assertEquals(standing.map(({ object, kind }) => `${object} ${kind}`), [
      "Service default/a-newer vip-conflict",
      "Service default/a-newer node-port-conflict",
    ]);
    assertStringIncludes(standing[0]?.message ?? "", "default/older:http/TCP");

    const delta = model.reduce([remove("Service", "older")]);
    assertEquals(model.vipOwner("10.96.0.10", 80)?.name.name, "a-newer");
    assertEquals([...delta.changes.keys()].sort(), ["default/a-newer:http/TCP", "default/older:http/TCP"]);
    assertEquals(delta.problemsResolved.length, 2);
  }
});

Deno.test("reduce() says whose fault it is, where a Service is and its owner can be told", () => {
  const annotations = { "lightpath.cloud/path": "elsewhere" };
  const told = (...objects: readonly KubeObject[]): readonly unknown[] =>
    newModel().reduce(apply(...objects)).problemsAppeared.map(({ kind, service }) => [kind, service]);
  const owned = { namespace: "default", name: "echo", uid: "u" };
  assertEquals(told(service({ uid: "u", annotations })), [["invalid-annotation", owned]]);
  assertEquals(told(service({ annotations })), [["invalid-annotation", undefined]], "a manifest has no uid");
  // Of two that want one VIP neither has said anything wrong; and who wrote a slice is nobody's to tell.
  assertEquals(told(service({ uid: "u" }), service({ uid: "v", name: "other" })), [[
    "vip-conflict",
    undefined,
  ]]);
  assertEquals(told(slice({ addressType: "IPv5" })), [["invalid-address", undefined]]);
});

Deno.test("reduce() gives a VIP to the Service it was allocated to, however old another one is that lists it", () => {
  const address = "10.96.0.10";
  const allocated = service({ name: "allocated", creationTimestampMs: 3_000 });
  const balanced = service({
    name: "balanced",
    clusterIPs: ["10.96.0.12"],
    creationTimestampMs: 2_000,
    loadBalancerIngress: [{ ip: address, ipMode: "VIP" }],
  });
  const listed = service({
    name: "listed",
    clusterIPs: ["10.96.0.11"],
    creationTimestampMs: 1_000,
    externalIPs: [address],
  });
  for (const order of [[listed, balanced, allocated], [allocated, listed, balanced]]) {
    const model = newModel();
    for (const one of order) model.reduce(apply(one));
    assertEquals([...model.problems()].map(({ object }) => object).sort(), [
      "Service default/balanced",
      "Service default/listed",
    ]);
    const owners = ["allocated", "balanced", "listed"].map((name) => {
      const owner = model.vipOwner(address, 80)?.name.name;
      model.reduce([remove("Service", name)]);
      return owner;
    });
    assertEquals(owners, ["allocated", "balanced", "listed"]);
  }
});

Deno.test("reduce() takes an external IP that is the load balancer's too for the load balancer's, which source ranges restrict", () => {
  const model = newModel();
  const both = service({
    type: "LoadBalancer",
    clusterIPs: ["10.96.0.10"],
    externalIPs: ["203.0.113.1", "203.0.113.2"],
    loadBalancerIngress: [{ ip: "203.0.113.1", ipMode: "VIP" }],
    loadBalancerSourceRanges: ["192.0.2.0/24"],
  });
  const kinds = (one: Service): string[] => {
    model.reduce(apply(one));
    return [...model.servicePorts()].flatMap(({ vips }) =>
      vips.map(({ address, kind }) => `${kind} ${address}`)
    );
  };
  assertEquals(kinds(both), ["ClusterIP 10.96.0.10", "ExternalIP 203.0.113.2", "LoadBalancerIP 203.0.113.1"]);
  // Ranges that cannot be read let nobody in there.
  const closed = { ...both, loadBalancerSourceRanges: ["192.0.2.0/33"], resourceVersion: "2" };
  assertEquals(kinds(closed), ["ClusterIP 10.96.0.10", "ExternalIP 203.0.113.2"]);
});

Deno.test("reduce() serves the good part of a bad Service and reports each fault once", () => {
  const model = newModel();
  const bad = service({
    clusterIPs: ["10.96.0.10"],
    externalIPs: ["fd00::9", "not-an-ip", "192.0.2.7"],
    ports: [
      portSpec(),
      portSpec({ name: "zero", port: 0 }),
      portSpec({ name: "odd", port: 81, protocol: "QUIC" }),
      portSpec({ name: "node", port: 82, nodePort: 70000 }),
      portSpec({ port: 83 }),
    ],
    malformed: ["spec.selector is no object."],
  });
  const delta = model.reduce(apply(bad));
  assertEquals([...delta.changes.keys()], [KEY, "default/echo:node/TCP"]);
  assertEquals(delta.problemsAppeared.map(({ kind }) => kind), [
    "malformed",
    "wrong-family",
    "invalid-address",
    "invalid-port",
    "unknown-protocol",
    "invalid-port",
    "duplicate-port",
  ]);
  assert(delta.problemsAppeared.every(({ object }) => object === "Service default/echo"));
  assertEquals(model.vipOwner("192.0.2.7", 80)?.key, KEY);
  assertEquals(model.reduce(apply({ ...bad, resourceVersion: "2" })).problemsAppeared, []);
  assertEquals(model.reduce([remove("Service", "echo")]).problemsResolved.length, 7);
});

Deno.test("reduce() leaves out only the bad endpoints and ports of a slice", () => {
  const model = newModel();
  const delta = model.reduce(apply(
    service(),
    slice({
      ports: [{ name: "http", protocol: "TCP", port: 8080 }, { name: "zero", protocol: "TCP", port: 0 }],
      endpoints: [endpoint("fd00::5"), endpoint("0.0.0.0"), endpoint("10.244.0.5"), endpoint("010.1.1.1")],
    }),
  ));
  assertEquals(addresses(model.servicePort(KEY)), ["10.244.0.5 8080"]);
  assertEquals(delta.problemsAppeared.map(({ object, kind }) => `${object} ${kind}`), [
    "EndpointSlice default/echo-1 invalid-port",
    "EndpointSlice default/echo-1 wrong-family",
    "EndpointSlice default/echo-1 invalid-address",
    "EndpointSlice default/echo-1 invalid-address",
  ]);
});

Deno.test("reduce() reports a slice of unknown address type, but not one of type FQDN", () => {
  const endpoints = [endpoint("example.com")];
  const kinds = (addressType: string): readonly string[] =>
    newModel().reduce(apply(slice({ addressType, endpoints }))).problemsAppeared.map(({ kind }) => kind);
  assertEquals(kinds("FQDN"), []);
  assertEquals(kinds("IPX"), ["invalid-address"]);
});

Deno.test("reduce() serves load-balancer addresses of ipMode VIP only", () => {
  const model = newModel();
  model.reduce(apply(service({
    loadBalancerIngress: [{ ip: "192.0.2.1", ipMode: "VIP" }, { ip: "192.0.2.2", ipMode: "Proxy" }],
  })));
  assertEquals(model.vipOwner("192.0.2.1", 80)?.key, KEY);
  assertEquals(model.vipOwner("192.0.2.2", 80), undefined);
});

Deno.test("reduce() does not answer load-balancer addresses whose source ranges it cannot read", () => {
  const model = newModel();
  const { problemsAppeared } = model.reduce(apply(service({
    loadBalancerIngress: [{ ip: "192.0.2.1", ipMode: "VIP" }],
    loadBalancerSourceRanges: ["198.51.100.0/99"],
  })));
  assertEquals(model.vipOwner("192.0.2.1", 80), undefined);
  assertEquals(model.vipOwner("10.96.0.10", 80)?.key, KEY);
  assertEquals(problemsAppeared.map(({ kind }) => kind), ["invalid-address", "invalid-address"]);
});

Deno.test("reduce() carries the rules of a Service's traffic into its ports", () => {
  const model = newModel();
  model.reduce(apply(service()));
  const { changes, problemsAppeared } = model.reduce(apply(service({
    type: "LoadBalancer",
    loadBalancerIngress: [{ ip: "192.0.2.1", ipMode: "VIP" }],
    loadBalancerSourceRanges: ["198.51.100.7/24"],
    sessionAffinity: "ClientIP",
    internalTrafficPolicy: "Local",
    externalTrafficPolicy: "Local",
  })));
  assertEquals([...changes.keys()], [KEY]);
  assertEquals(problemsAppeared, []);
  const port = model.servicePort(KEY);
  assertEquals(
    [port?.affinityTimeoutSeconds, port?.internalTrafficPolicy, port?.externalTrafficPolicy],
    [10_800, "Local", "Local"],
  );
  assertEquals(port?.loadBalancerSourceRanges, { IPv4: ["198.51.100.0/24"], IPv6: [] });
  assertEquals(model.vipOwner("192.0.2.1", 80)?.key, KEY);
  const here = new ServiceModel({ serviceProxyName: "", families: ["IPv4"] }, { nodeIPs: ["198.51.100.9"] });
  here.reduce(apply(service({
    type: "LoadBalancer",
    loadBalancerIngress: [{ ip: "192.0.2.1", ipMode: "VIP" }],
    loadBalancerSourceRanges: ["198.51.100.7/24"],
  })));
  assertEquals(here.servicePort(KEY)?.loadBalancerSourceRanges.IPv4, ["198.51.100.0/24", "192.0.2.1/32"]);
});

Deno.test("reduce() decides this node's endpoints for themselves (KEP-1669), where a policy asks for them", () => {
  const here = { nodeName: "node-1" };
  const there = { nodeName: "node-2" };
  const going = { ready: false, terminating: true };
  const local = (policies: Partial<Service>, ...endpoints: readonly SliceEndpoint[]): unknown => {
    const model = newModel();
    model.reduce(apply(service(policies), slice({ endpoints })));
    const port = model.servicePort(KEY);
    return [addresses(port), port?.localEndpoints.IPv4.map(({ address }) => address)];
  };
  const Local = { internalTrafficPolicy: "Local" };
  const ready = endpoint("10.244.0.5", here);
  const far = endpoint("10.244.1.5", there);
  assertEquals(local(Local, ready, far), [["10.244.0.5 8080", "10.244.1.5 8080"], ["10.244.0.5"]]);
  assertEquals(local({}, ready, far), [["10.244.0.5 8080", "10.244.1.5 8080"], []]);
  assertEquals(
    local({ externalTrafficPolicy: "Local" }, ready),
    [["10.244.0.5 8080"], []],
    "nothing leads there",
  );
  assertEquals(local({ externalTrafficPolicy: "Local", type: "NodePort" }, ready), [["10.244.0.5 8080"], [
    "10.244.0.5",
  ]]);
  // The last one here goes on serving here; elsewhere there are ready ones.
  assertEquals(local(Local, endpoint("10.244.0.5", { ...here, ...going }), far), [["10.244.1.5 8080"], [
    "10.244.0.5",
  ]]);
  assertEquals(local(Local, ready, endpoint("10.244.0.6", { ...here, ...going })), [
    ["10.244.0.5 8080"],
    ["10.244.0.5"],
  ]);
  assertEquals(local(Local, endpoint("10.244.0.5", { ...here, ...going, serving: false }), far), [
    ["10.244.1.5 8080"],
    [],
  ]);
});

Deno.test("reduce() knows of UDP which endpoints end what began with them, and who owns a destination", () => {
  const model = newModel();
  const ports = (["TCP", "UDP"] as const).map((protocol) => portSpec({ protocol, nodePort: 30080 }));
  const going = { ready: false, terminating: true };
  const [ready, ending] = [endpoint("10.244.0.5"), endpoint("10.244.0.6", going)];
  const withEndpoints = (...endpoints: readonly SliceEndpoint[]): KubeObject =>
    slice({ ports: ports.map(({ name, protocol }) => ({ name, protocol, port: 8080 })), endpoints });
  const known = (key: string): unknown => {
    const { endpoints, terminatingEndpoints } = model.servicePort(key) ?? {};
    return [endpoints, terminatingEndpoints].map((lists) => lists?.IPv4.map(({ address }) => address));
  };
  const udp = KEY.replace("TCP", "UDP");
  model.reduce(apply(service({ type: "NodePort", ports }), withEndpoints(ready, ending)));
  assertEquals(known(KEY), [["10.244.0.5"], []]);
  assertEquals(known(udp), [["10.244.0.5"], ["10.244.0.6"]]);
  assertEquals(model.vipOwner("10.96.0.10", 80, "UDP")?.key, udp);
  assertEquals(model.nodePortOwner("IPv4", 30080, "UDP")?.key, udp);
  assertEquals(model.nodePortOwner("IPv6", 30080, "UDP"), undefined);

  const { changes } = model.reduce(apply(withEndpoints(ready, { ...ending, serving: false })));
  assertEquals([...changes.keys()], [udp]);
  assertEquals(known(udp), [["10.244.0.5"], []]);
  model.reduce(apply(withEndpoints(ending)));
  assertEquals(known(udp), [["10.244.0.6"], ["10.244.0.6"]]);
});

Deno.test("reduce() names a port of which any rule of its traffic changes, or where an endpoint is and for whom", () => {
  const type = "NodePort";
  const before = service({ type, internalTrafficPolicy: "Local", trafficDistribution: "PreferSameZone" });
  const endpoints = [endpoint("10.244.0.5", { zone: "zone-a" }), endpoint("10.244.0.6", { zone: "zone-b" })];
  const changed: readonly KubeObject[] = [
    { ...before, internalTrafficPolicy: "" },
    { ...before, externalTrafficPolicy: "Local" },
    { ...before, sessionAffinity: "ClientIP" },
    { ...before, loadBalancerSourceRanges: ["10.0.0.0/8"] },
    { ...before, annotations: { "lightpath.cloud/path": "kernel" } },
    slice({ endpoints: endpoints.map((one) => ({ ...one, nodeName: "node-1" })) }),
    slice({ endpoints: endpoints.map((one) => ({ ...one, hintedZones: ["zone-a"] })) }),
    slice({
      endpoints: endpoints.map((one, index) => ({ ...one, hintedZones: [`zone-${index}`, "zone-b"] })),
    }),
  ];
  for (const [index, object] of changed.entries()) {
    const model = newModel();
    model.reduce(apply(before, slice({ endpoints })));
    assertEquals([...model.reduce(apply(object)).changes.keys()], [KEY], `change ${index}`);
  }
});

Deno.test("reduce() says what to answer load balancers, and when that changes", () => {
  const model = newModel();
  const balanced = { type: "LoadBalancer", externalTrafficPolicy: "Local", healthCheckNodePort: 31_000 };
  const check = (events: readonly ObjectEvent[]): unknown => [...model.reduce(events).healthChecks];
  const answer = (localEndpoints: number): unknown => [["default/echo", {
    namespace: "default",
    name: "echo",
    port: 31_000,
    localEndpoints: { IPv4: localEndpoints },
  }]];
  const here = { nodeName: "node-1" };
  assertEquals(check(apply(service(balanced))), answer(0));
  const first = slice({ endpoints: [endpoint("10.244.0.5", here), endpoint("10.244.0.6")] });
  assertEquals(check(apply(first)), answer(1));
  assertEquals(check(apply({ ...first, resourceVersion: "2" })), []);
  // One address with two ports, and an endpoint in two slices, are one endpoint.
  const twice = slice({
    name: "echo-2",
    ports: [...first.ports, { name: "other", protocol: "TCP", port: 1 }],
    endpoints: [endpoint("10.244.0.5", here), endpoint("10.244.0.7", here)],
  });
  assertEquals(check(apply(twice)), answer(2));
  assertEquals([...model.healthChecks()], answer(2));
  // It serves on, and load balancers are to send nothing new.
  const going = slice({ endpoints: [endpoint("10.244.0.5", { ...here, ready: false, terminating: true })] });
  assertEquals(check([remove("EndpointSlice", "echo-2"), ...apply(going)]), answer(0));
  assertEquals(addresses(model.servicePort(KEY)), ["10.244.0.5 8080"]);
  assertEquals(check(apply(service({ ...balanced, healthCheckNodePort: 0 }))), [["default/echo", undefined]]);
});

Deno.test("reduce() lets the annotation, else the node, say what carries TCP; and no setting holds in the kernel", () => {
  const carriers = (tcpPath: "envoy" | "kernel", path?: string): unknown => {
    const model = new ServiceModel({ serviceProxyName: "", families: IP_FAMILIES }, { tcpPath });
    const ports = [
      portSpec(),
      portSpec({ name: "cache", port: 6379, appProtocol: "lightpath.cloud/redis" }),
      portSpec({ name: "dns", port: 53, protocol: "UDP" }),
    ];
    const annotations = path === undefined ? {} : { "lightpath.cloud/path": path };
    const { problemsAppeared } = model.reduce(apply(service({ ports, annotations })));
    return [
      ["http/TCP", "cache/TCP", "dns/UDP"].map((port) => model.servicePort(`default/echo:${port}`)?.carrier)
        .join(" "),
      problemsAppeared.length,
    ];
  };
  assertEquals(carriers("envoy"), ["envoy envoy kernel", 0]);
  assertEquals(carriers("kernel"), ["kernel envoy kernel", 0]);
  assertEquals(carriers("kernel", "envoy"), ["envoy envoy kernel", 0]);
  assertEquals(carriers("envoy", "kernel"), ["kernel envoy kernel", 1], "redis cannot");

  const annotations = { "lightpath.cloud/path": "kernel", "config.lightpath.cloud/num-retries": "5" };
  const model = newModel();
  const { problemsAppeared } = model.reduce(apply(service({ annotations })));
  assertEquals(model.servicePort(KEY)?.settings.text, "");
  assertEquals(problemsAppeared.map(({ message }) => message), [
    "annotation config.lightpath.cloud/num-retries is for ports that Envoy carries, and its TCP ports are carried by the " +
    "kernel; it has no effect.",
  ]);
});

Deno.test("reduce() gives each port the settings its annotations ask for, and names only the ports they change", () => {
  const model = newModel();
  const ports = [
    portSpec(),
    portSpec({ name: "db", port: 5432 }),
    portSpec({ name: "dns", port: 53, protocol: "UDP" }),
  ];
  model.reduce(apply(service({ ports })));
  const annotations = {
    "config.lightpath.cloud/http-num-retries": "5",
    "config.lightpath.cloud/db-num-retries": "5",
  };
  const delta = model.reduce(apply(service({ ports, annotations })));
  assertEquals([...delta.changes.keys()], [KEY]);
  assertEquals(model.servicePort(KEY)?.settings.values["num-retries"], 5);
  assertEquals(delta.problemsAppeared.map(({ object, kind, message }) => `${object} ${kind}: ${message}`), [
    "Service default/echo invalid-annotation: annotation config.lightpath.cloud/db-num-retries is for HTTP ports, and port " +
    '"db" is TCP; it has no effect.',
  ]);
  const back = model.reduce(apply(service({ ports })));
  assertEquals([...back.changes.keys()], [KEY]);
  assertEquals([back.problemsAppeared.length, back.problemsResolved.length], [0, 1]);
});

Deno.test("reduce() leaves a Service alone that opts out, and says what it cannot do of the other annotations", () => {
  const model = newModel();
  model.reduce(apply(service()));
  const out = model.reduce(apply(service({ annotations: { "lightpath.cloud/proxy": "disabled" } })));
  assertEquals(out.changes.get(KEY)?.after, undefined);
  for (
    const [annotations, kind] of [
      [{ "lightpath.cloud/proxy": "no" }, "invalid-annotation"],
      [{ "lightpath.cloud/path": "kernel" }, undefined],
      [{ "lightpath.cloud/path": "cloud" }, "invalid-annotation"],
      [{ "lightpath.cloud/path": "envoy" }, undefined],
    ] as const
  ) {
    const fresh = newModel();
    const { problemsAppeared } = fresh.reduce(apply(service({ annotations })));
    assertEquals(problemsAppeared[0]?.kind, kind);
    assertEquals(fresh.vipOwner("10.96.0.10", 80)?.key, KEY);
  }
});

Deno.test("reduce() hands on the trigger times of the slices that changed something", () => {
  const model = newModel();
  model.reduce(apply(service()));
  const delta = model.reduce(apply(
    slice({ lastChangeTriggerTimeMs: 1000, endpoints: [endpoint("10.244.0.5")] }),
    slice({ name: "unrelated", serviceName: "nobody", lastChangeTriggerTimeMs: 2000 }),
  ));
  assertEquals(delta.triggerTimesMs, [1000]);
});

Deno.test("reduce(), reduceZone(): any sequence of events, in any batches, ends where a model built from scratch begins", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = new Random(seed);
    const model = newModel();
    const world = new Map<string, KubeObject>();
    const view = new Map<string, ServicePort>();
    const healthChecks = new Map<string, HealthCheck>();
    const problems = new Map<string, Problem>();
    for (let step = 0; step < 60; step++) {
      const delta = random.chance(0.1)
        ? model.reduceZone(random.pick(ZONES))
        : model.reduce(Array.from({ length: random.integer(1, 4) }, () => randomEvent(random, world)));
      // A consumer that knows only the deltas must see the same as one that reads the model.
      for (const [key, { before, after }] of delta.changes) {
        assertEquals(before, view.get(key), `seed ${seed}`);
        if (after === undefined) view.delete(key);
        else view.set(key, after);
      }
      for (const [name, check] of delta.healthChecks) {
        if (check === undefined) assert(healthChecks.delete(name), `seed ${seed}`);
        else healthChecks.set(name, check);
      }
      for (const problem of delta.problemsResolved) problems.delete(`${problem.object} ${problem.message}`);
      for (const problem of delta.problemsAppeared) {
        problems.set(`${problem.object} ${problem.message}`, problem);
      }
    }
    const fresh = newModel();
    const events = apply(...random.shuffled([...world.values()]));
    const middle = random.integer(0, events.length);
    fresh.load(events.slice(0, middle));
    fresh.loadZone(model.zone);
    fresh.load(events.slice(middle));
    const { problemsAppeared } = fresh.loaded();
    assertEquals(
      problemsAppeared.map(({ message }) => message).sort(),
      [...fresh.problems()].map(({ message }) => message).sort(),
    );
    const expected = new Map([...fresh.servicePorts()].map((port) => [port.key, port]));
    assertEquals(sorted(view), sorted(expected), `seed ${seed}`);
    assertEquals(
      sorted(new Map([...model.servicePorts()].map((port) => [port.key, port]))),
      sorted(expected),
    );
    assertEquals(healthChecks, new Map(fresh.healthChecks()), `seed ${seed}`);
    const freshProblems = new Set([...fresh.problems()].map(({ object, message }) => `${object} ${message}`));
    assertEquals([...problems.keys()].sort(), [...freshProblems].sort(), `seed ${seed}`);
    for (const port of expected.values()) {
      for (const vip of port.vips) {
        if (port.name.protocol === "TCP") {
          assertEquals(model.vipOwner(vip.address, vip.port)?.key, port.key);
        }
      }
    }
  }
});

const ZONES = ["", "zone-a", "zone-b"] as const;

function sorted(ports: ReadonlyMap<string, ServicePort>): readonly (readonly [string, ServicePort])[] {
  return [...ports].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Applies or deletes one of few objects, so that they collide often: three Services, five slices, four addresses. */
function randomEvent(random: Random, world: Map<string, KubeObject>): ObjectEvent {
  const isService = random.chance(0.5);
  const kind = isService ? "Service" : "EndpointSlice";
  const name = isService ? random.pick(["a", "b", "c"]) : random.pick(["s1", "s2", "s3", "s4", "s5"]);
  const id = `${kind} ${name}`;
  if (world.has(id) && random.chance(0.3)) {
    world.delete(id);
    return remove(kind, name);
  }
  const object = isService ? randomService(random, name) : randomSlice(random, name);
  world.set(id, object);
  return { type: "apply", object };
}

function randomService(random: Random, name: string): KubeObject {
  const ports = ["http", "tcp", "dns"].filter(() => random.chance(0.6)).map((portName) =>
    portSpec({
      name: portName,
      port: random.pick([80, 81, 0]),
      protocol: random.pick(["TCP", "TCP", "UDP", "X"]),
      nodePort: random.pick([0, 30080, 30081]),
    })
  );
  return service({
    name,
    type: random.pick(["ClusterIP", "NodePort", "LoadBalancer"]),
    trafficDistribution: random.pick(["", "", "PreferSameZone", "PreferSameNode", "PreferSameRack"]),
    sessionAffinity: random.pick(["", "None", "ClientIP", "Cookie"]),
    affinityTimeoutSeconds: random.pick([0, 60, 86_401]),
    internalTrafficPolicy: random.pick(["", "Cluster", "Local", "Nearby"]),
    externalTrafficPolicy: random.pick(["", "Cluster", "Local", "Local"]),
    healthCheckNodePort: random.pick([0, 31_000, 31_001, 70_000]),
    loadBalancerIngress: random.pick([[], [{ ip: "192.0.2.1", ipMode: "VIP" }]]),
    loadBalancerSourceRanges: random.pick([[], ["198.51.100.0/24"], ["fd00::/8", "x"], ["x"]]),
    annotations: random.pick([{}, {}, { "lightpath.cloud/path": "kernel" }, {
      "config.lightpath.cloud/num-retries": "5",
    }]),
    creationTimestampMs: 1_000 * random.integer(0, 2),
    clusterIPs: random.pick([["10.96.0.1"], ["10.96.0.2"], ["10.96.0.3", "fd00::3"], ["fd00::3"], ["None"]]),
    externalIPs: random.pick([[], ["192.0.2.1"], ["10.96.0.1"], ["fd00::9", "bad"]]),
    proxyName: random.pick(["", "", "", "other"]),
    ports,
  });
}

function randomSlice(random: Random, name: string): KubeObject {
  const addressType = random.pick(["IPv4", "IPv4", "IPv6", "FQDN"]);
  const pool = addressType === "IPv6" ? ["fd01::1", "fd01::2"] : ["10.244.0.1", "10.244.0.2", "fd01::3"];
  return slice({
    name,
    addressType,
    serviceName: random.pick(["a", "b", "c", ""]),
    ports: [
      { name: "http", protocol: "TCP", port: random.pick([8080, 9090]) },
      { name: "dns", protocol: random.pick(["UDP", "TCP"]), port: random.pick([53, 0]) },
    ],
    endpoints: pool.filter(() => random.chance(0.6)).map((address) =>
      endpoint(address, {
        ready: random.chance(0.6),
        serving: random.chance(0.8),
        terminating: random.chance(0.3),
        zone: random.pick(ZONES),
        nodeName: random.pick(["", "node-1", "node-2"]),
        hintedZones: random.pick([[], [], ["zone-a"], ["zone-b"]]),
        hintedNodes: random.pick([[], [], ["node-1"], ["node-2"]]),
      })
    ),
  });
}

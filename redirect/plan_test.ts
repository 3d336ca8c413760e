import { assertEquals } from "@std/assert/equals";
import { planNode, planServicePort } from "./plan.ts";
import type { ServicePort } from "../agent/model/mod.ts";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import { endpointAt, withEndpoints, withKind } from "./testing/endpoints.ts";

function lines(elements: ReturnType<typeof planServicePort>): string[] {
  return elements.map(({ container, key, value }) => `${container} ${key} : ${value}`.replace(/ : $/, ""));
}

Deno.test("planServicePort() plans each VIP and NodePort in the maps of its family, or as refused", () => {
  const port = servicePort({
    vips: ["10.96.0.10 80", "203.0.113.4 80", "fd00::10 80"],
    nodePort: 30080,
    families: ["IPv4", "IPv6"],
    endpoints: ["IPv4"],
  });
  assertEquals(lines(planServicePort(port)), [
    "service-ips-4 10.96.0.10 . tcp . 80 : 4c51:1",
    "endpoints-ips-4 10.96.0.10 . tcp . 80 . 4c54:1 : 10.244.0.5 . 8080",
    "service-ips-4 203.0.113.4 . tcp . 80 : 4c51:1",
    "endpoints-ips-4 203.0.113.4 . tcp . 80 . 4c54:1 : 10.244.0.5 . 8080",
    "no-endpoint-ips-6 fd00::10 . tcp . 80",
    "service-nodeports-4 tcp . 30080 : 4c51:1",
    "endpoints-nodeports-4 tcp . 30080 . 4c54:1 : 10.244.0.5 . 8080",
    "masquerade-nodeports-4 tcp . 30080",
    "no-endpoint-nodeports-6 tcp . 30080",
    "cluster-ips-4 10.96.0.10",
    "cluster-ips-4 203.0.113.4",
    "cluster-ips-6 fd00::10",
  ]);
});

Deno.test("planServicePort() writes path and class of a destination into its value", () => {
  const endpoints = ["10.244.0.1", "10.244.0.2", "10.244.0.3", "10.244.0.4", "10.244.0.5"];
  for (
    const [sketch, count, value] of [
      [{}, 1, "4c51:1"],
      [{ appProtocol: "http2" }, 2, "4c51:2"],
      [{ appProtocol: "tcp" }, 3, "4c52:3"],
      [{ appProtocol: "redis" }, 4, "4c52:4"],
      [{ carrier: "kernel" }, 5, "4c53:5"],
      [{ protocol: "UDP" }, 5, "4c53:5"],
      [{ protocol: "SCTP" }, 1, "4c53:1"],
    ] as const
  ) {
    const elements = planServicePort(withEndpoints(servicePort(sketch), endpoints.slice(0, count)));
    assertEquals([elements[0]?.container, elements[0]?.value], ["service-ips-4", value]);
    assertEquals(elements.length, 2 + count);
  }
});

Deno.test("planServicePort() takes this node's endpoints where the policy says so, the first tier, nothing for drop", () => {
  const port = servicePort({ protocol: "UDP", nodePort: 30053, prefersNear: true });
  const endpoints = ["10.244.0.1 53 b", "10.244.0.2 53 a"];
  const all = withEndpoints(port, endpoints);
  const tiered = all.endpoints.IPv4.map((endpoint) =>
    endpoint.zone === "a" ? endpoint : { ...endpoint, tier: 1 }
  );
  assertEquals(lines(planServicePort({ ...all, endpoints: { IPv4: tiered, IPv6: [] } })), [
    "service-ips-4 10.96.0.10 . udp . 80 : 4c53:1",
    "endpoints-ips-4 10.96.0.10 . udp . 80 . 4c54:1 : 10.244.0.2 . 53",
    "service-nodeports-4 udp . 30053 : 4c53:1",
    "endpoints-nodeports-4 udp . 30053 . 4c54:1 : 10.244.0.2 . 53",
    "masquerade-nodeports-4 udp . 30053",
    "cluster-ips-4 10.96.0.10",
  ]);
  const local = { ...port, externalTrafficPolicy: "Local" } as const;
  // Pods and this node itself get all of them there.
  const inside = [
    "service-inside-nodeports-4 udp . 30053 : 4c53:2",
    "endpoints-inside-nodeports-4 udp . 30053 . 4c54:1 : 10.244.0.2 . 53",
    "endpoints-inside-nodeports-4 udp . 30053 . 4c54:2 : 10.244.0.1 . 53",
  ];
  assertEquals(lines(planServicePort(withEndpoints(local, endpoints, ["10.244.0.1 53 b"]))).slice(3), [
    ...inside,
    "service-nodeports-4 udp . 30053 : 4c53:1",
    "endpoints-nodeports-4 udp . 30053 . 4c54:1 : 10.244.0.1 . 53",
    "cluster-ips-4 10.96.0.10",
    "hairpin-4 10.244.0.1 . 10.244.0.1",
  ]);
  assertEquals(lines(planServicePort(withEndpoints(local, endpoints))).slice(3), [
    ...inside,
    "cluster-ips-4 10.96.0.10",
  ]);
  assertEquals(lines(planServicePort({ ...local, endpoints: { IPv4: [], IPv6: [] } })).slice(1), [
    "no-endpoint-nodeports-4 udp . 30053",
    "cluster-ips-4 10.96.0.10",
  ]);
  // For a ClusterIP the policy is that of the inside.
  const internal = {
    ...local,
    nodePort: 0,
    internalTrafficPolicy: "Local",
    externalTrafficPolicy: "Cluster",
  } as const;
  assertEquals(lines(planServicePort(withEndpoints(internal, endpoints))), [
    "no-local-endpoint-ips-4 10.96.0.10 . udp . 80",
    "cluster-ips-4 10.96.0.10",
  ]);
});

Deno.test("planServicePort() gives the inside all endpoints by the kernel, whatever carries the port, but not redis", () => {
  const local = {
    vips: ["203.0.113.4 80"],
    externalTrafficPolicy: "Local",
    affinityTimeoutSeconds: 60,
  } as const;
  const planned = (sketch: Parameters<typeof servicePort>[0]): string[] =>
    lines(planServicePort(withKind(servicePort({ ...local, ...sketch }), "LoadBalancerIP")))
      .filter((line) => /^(service|no|sticky)-/.test(line));
  assertEquals(planned({ appProtocol: "http" }), [
    "service-inside-ips-4 203.0.113.4 . tcp . 80 : 4c53:8001",
    "sticky-ips-4 203.0.113.4 . tcp . 80 : 4c60:4",
  ]);
  assertEquals(planned({ appProtocol: "redis" }), ["no-local-endpoint-ips-4 203.0.113.4 . tcp . 80"]);
});

Deno.test("an endpoint that may be on this node is told apart when it is given itself", () => {
  const elsewhere = endpointAt("10.244.9.1 53");
  const unknown = { ...endpointAt("10.244.9.2 53"), nodeUnknown: true } as const;
  const port = { ...servicePort({ protocol: "UDP" }), endpoints: { IPv4: [elsewhere, unknown], IPv6: [] } };
  assertEquals(lines(planServicePort(port)).filter((line) => line.startsWith("hairpin")), [
    "hairpin-4 10.244.9.2 . 10.244.9.2",
  ]);
});

Deno.test("planServicePort() masquerades what comes from outside, unless its policy is Local", () => {
  const port = servicePort({ protocol: "UDP", nodePort: 30053, vips: ["203.0.113.4 53"] });
  const masquerades = (one: ServicePort): string[] =>
    lines(planServicePort(one)).filter((line) => line.startsWith("masquerade"));
  assertEquals(masquerades(port), ["masquerade-nodeports-4 udp . 30053"]);
  for (const kind of ["ExternalIP", "LoadBalancerIP"] as const) {
    assertEquals(masquerades(withKind(port, kind)), [
      "masquerade-ips-4 203.0.113.4 . udp . 53",
      "masquerade-nodeports-4 udp . 30053",
    ]);
  }
  const local = withKind({ ...port, externalTrafficPolicy: "Local" }, "LoadBalancerIP");
  assertEquals(masquerades(withEndpoints(local, ["10.244.0.1 53"], ["10.244.0.1 53"])), []);
});

Deno.test("planServicePort() restricts LoadBalancer addresses of both families to the ranges, none within another", () => {
  const port = {
    ...servicePort({ protocol: "UDP", vips: ["203.0.113.4 53", "2001:db8:1::4 53"] }),
    loadBalancerSourceRanges: { IPv4: ["10.1.0.0/16", "10.0.0.0/8", "192.0.2.1/32", "10.0.0.0/8"], IPv6: [] },
  };
  const sources = (one: ServicePort): string[] =>
    lines(planServicePort(one)).filter((line) => /^(restricted|allowed)/.test(line));
  assertEquals(sources(withKind(port, "LoadBalancerIP")), [
    "restricted-ips-4 203.0.113.4 . udp . 53",
    "allowed-sources-4 203.0.113.4 . udp . 53 . 10.0.0.0/8",
    "allowed-sources-4 203.0.113.4 . udp . 53 . 192.0.2.1",
    "restricted-ips-6 2001:db8:1::4 . udp . 53",
  ]);
  assertEquals(sources(withKind(port, "ExternalIP")), []);
});

Deno.test("planServicePort() plans nothing for what does not exist", () => {
  assertEquals(planServicePort(undefined), []);
});

Deno.test("planNode() makes all addresses answer NodePorts and the first reach Envoy", () => {
  const addresses = { IPv4: ["192.168.0.2", "10.0.0.1", "10.0.0.1"], IPv6: [] };
  assertEquals(lines(planNode({ addresses, envoyReady: false })), [
    "envoy-address-4 tcp : 192.168.0.2",
    "node-addresses-4 192.168.0.2",
    "node-addresses-4 10.0.0.1",
  ]);
  assertEquals(lines(planNode({ addresses: { IPv4: [], IPv6: [] }, envoyReady: true })), ["envoy-ready tcp"]);
  const serviceCIDRs = { IPv4: ["10.96.0.0/16", "10.96.0.0/20"], IPv6: ["fd00:96::/108"] };
  assertEquals(lines(planNode({ addresses: { IPv4: [], IPv6: [] }, envoyReady: false, serviceCIDRs })), [
    "service-cidrs-4 10.96.0.0/16",
    "service-cidrs-6 fd00:96::/108",
  ]);
});

Deno.test("planServicePort() names endpoints where clients keep them, and rounds the time up", () => {
  const port = servicePort({ protocol: "UDP", nodePort: 30053, affinityTimeoutSeconds: 100 });
  const endpoints = ["10.244.0.1 53", "10.244.0.2 53"];
  const [first, second] = ["4df6:3c06", "5a66:94a6"];
  const elements = lines(planServicePort(withEndpoints(port, endpoints)))
    .filter((line) => !/^(endpoints|masquerade|cluster-ips)/.test(line));
  assertEquals(elements.sort(), [
    `affine-ips-4 10.96.0.10 . udp . 80 . ${first} : 10.244.0.1 . 53`,
    `affine-ips-4 10.96.0.10 . udp . 80 . ${second} : 10.244.0.2 . 53`,
    `affine-nodeports-4 udp . 30053 . ${first} : 10.244.0.1 . 53`,
    `affine-nodeports-4 udp . 30053 . ${second} : 10.244.0.2 . 53`,
    `endpoint-ids-4 10.244.0.1 . 53 : ${first}`,
    `endpoint-ids-4 10.244.0.2 . 53 : ${second}`,
    "service-ips-4 10.96.0.10 . udp . 80 : 4c53:8002",
    "service-nodeports-4 udp . 30053 : 4c53:8002",
    "sticky-ips-4 10.96.0.10 . udp . 80 : 4c60:5",
    "sticky-nodeports-4 udp . 30053 : 4c60:5",
  ]);
});

import { assertEquals } from "@std/assert/equals";
import type { NodeAddresses, ServicePort } from "../agent/model/mod.ts";
import { servicePort, type ServicePortSketch } from "../agent/model/testing/service_ports.ts";
import { destinationsLeft, FlowJudge, type Search } from "./stale_flows.ts";
import { endpointAt, withEndpoints } from "./testing/endpoints.ts";
import { flowTo } from "./testing/udp_flows.ts";

const NODE: NodeAddresses = { IPv4: ["192.168.77.2"], IPv6: ["2001:db8:77::2"] };
const VIP = "10.96.0.10 53";
const [A, B] = ["10.244.0.5 5353", "10.244.0.6 5353"];

function dns(endpoints: readonly string[], sketch: ServicePortSketch = {}): ServicePort {
  return withEndpoints(servicePort({ protocol: "UDP", vips: [VIP], nodePort: 30053, ...sketch }), endpoints);
}

/** With an endpoint that terminates but still serves. */
function ending(port: ServicePort, endpoint: string): ServicePort {
  return { ...port, terminatingEndpoints: { IPv4: [endpointAt(endpoint)], IPv6: [] } };
}

/** With an endpoint of this node, for a policy `Local`. */
function local(port: ServicePort, endpoint: string): ServicePort {
  return { ...port, localEndpoints: { IPv4: [endpointAt(endpoint, true)], IPv6: [] } };
}

Deno.test("destinationsLeft() names where an endpoint is gone, where there is one at last, and nothing else", () => {
  const both = [VIP, "IPv4 NodePort 30053"];
  const cases:
    readonly (readonly [string, ServicePort | undefined, ServicePort | undefined, readonly string[]])[] = [
      ["an endpoint goes", dns([A, B]), dns([A]), both],
      ["an endpoint comes", dns([A]), dns([A, B]), []],
      ["another in its place", dns([A]), dns([B]), both],
      ["the last one goes", dns([A]), dns([]), both],
      ["the first one comes", dns([]), dns([A]), both],
      ["none then, none now", dns([]), dns([]), []],
      ["the Service comes", undefined, dns([A]), both],
      ["the Service comes without endpoints", undefined, dns([]), []],
      ["the Service goes", dns([A]), undefined, both],
      ["a Service without endpoints goes", dns([]), undefined, []],
      ["a VIP comes", dns([A]), dns([A], { vips: [VIP, "192.0.2.1 53"] }), ["192.0.2.1 53"]],
      ["a VIP goes", dns([A], { vips: [VIP, "192.0.2.1 53"] }), dns([A]), ["192.0.2.1 53"]],
      ["another NodePort", dns([A]), dns([A], { nodePort: 30054 }), [
        "IPv4 NodePort 30053",
        "IPv4 NodePort 30054",
      ]],
      ["it begins to terminate", dns([A, B]), ending(dns([A]), B), []],
      ["it has ended", ending(dns([A]), B), dns([A]), both],
      ["traffic policy", dns([A, B]), local(dns([A, B], { externalTrafficPolicy: "Local" }), A), []],
      [
        "this node's last one ends, which only the policy still used",
        local(dns([A], { externalTrafficPolicy: "Local" }), B),
        dns([A], { externalTrafficPolicy: "Local" }),
        both,
      ],
      ["TCP", dns([A], { protocol: "TCP" }), dns([B], { protocol: "TCP" }), []],
      ["SCTP", dns([A], { protocol: "SCTP" }), dns([B], { protocol: "SCTP" }), []],
    ];
  for (const [what, before, after, expected] of cases) {
    assertEquals(destinationsLeft({ before, after }), expected, what);
  }
});

Deno.test("destinationsLeft() tells families apart", () => {
  const sketch = { vips: [VIP, "fd00:96::a 53"], families: ["IPv4", "IPv6"] } as const;
  const before = dns([A, "fd00:244::5 5353"], sketch);
  assertEquals(destinationsLeft({ before, after: dns([A, "fd00:244::6 5353"], sketch) }), [
    "fd00:96::a 53",
    "IPv6 NodePort 30053",
  ]);
});

/** A judge where only these exist. */
function judgeOf(ports: readonly ServicePort[], search: Search): FlowJudge {
  return new FlowJudge(search, {
    nodeAddresses: NODE,
    view: {
      vipOwner: (address, port, protocol) =>
        ports.find(({ name, vips }) =>
          name.protocol === protocol && vips.some((vip) => vip.address === address && vip.port === port)
        ),
      nodePortOwner: (family, nodePort, protocol) =>
        ports.find((port) =>
          port.name.protocol === protocol && port.nodePort === nodePort && port.families.includes(family)
        ),
    },
  });
}

const EVERYWHERE: Search = { destinations: new Set(), everywhere: true };

Deno.test("FlowJudge takes a flow for stale by who answers it", () => {
  const zone = { isInZone: true };
  const cases = [
    ["an endpoint", [dns([A])], flowTo(VIP, A), false],
    ["another address", [dns([A])], flowTo(VIP, B), true],
    ["another port of that address", [dns([A])], flowTo(VIP, "10.244.0.5 53"), true],
    ["not translated", [dns([A])], flowTo(VIP, VIP), true],
    ["not translated, and nobody to go to", [dns([])], flowTo(VIP, VIP), false],
    ["not translated, in a zone", [dns([A])], flowTo(VIP, VIP, zone), false],
    ["translated, in a zone", [dns([A])], flowTo(VIP, B, zone), true],
    ["no endpoint is left", [dns([])], flowTo(VIP, A), true],
    ["an endpoint that terminates", [ending(dns([A]), B)], flowTo(VIP, B), false],
    [
      "one that the policy would not take",
      [
        local(dns([A, B], { internalTrafficPolicy: "Local" }), A),
      ],
      flowTo(VIP, B),
      false,
    ],
    [
      "one only the policy takes",
      [local(dns([A], { internalTrafficPolicy: "Local" }), B)],
      flowTo(VIP, B),
      false,
    ],
    ["another port of the VIP", [dns([A])], flowTo("10.96.0.10 54", B), false],
    ["a NodePort", [dns([A])], flowTo("192.168.77.2 30053", A), false],
    ["a NodePort, another endpoint", [dns([A])], flowTo("192.168.77.2 30053", B), true],
    ["the same port of another machine", [dns([A])], flowTo("192.0.2.9 30053", "192.0.2.9 30053"), false],
    ["the same NodePort of TCP", [dns([A], { protocol: "TCP" })], flowTo("192.168.77.2 30053", B), false],
    ["a NodePort of the other family only", [dns([A])], flowTo("2001:db8:77::2 30053", "fd00::1 53"), false],
    [
      "a VIP before a NodePort",
      [
        dns([A], { vips: ["192.168.77.2 30053"], nodePort: 0 }),
        dns([B], { name: "other" }),
      ],
      flowTo("192.168.77.2 30053", B),
      true,
    ],
    [
      "a NodePort, where the VIP has no endpoint",
      [
        dns([], { vips: ["192.168.77.2 30053"], nodePort: 0 }),
        dns([B], { name: "other" }),
      ],
      flowTo("192.168.77.2 30053", B),
      false,
    ],
    ["nobody's", [], flowTo("8.8.8.8 53", "8.8.8.8 53"), false],
    ["nobody's, translated by somebody", [], flowTo("8.8.8.8 53", "10.0.0.1 53"), false],
  ] as const;
  for (const [what, ports, flow, expected] of cases) {
    assertEquals(judgeOf(ports, EVERYWHERE).isStale(flow), expected, what);
  }
});

Deno.test("FlowJudge looks where it is told to, at what is gone too", () => {
  const other = dns([A], { name: "other", vips: ["10.96.0.11 53"], nodePort: 30054 });
  const judge = judgeOf([other], {
    destinations: new Set([VIP, "IPv4 NodePort 30053"]),
    everywhere: false,
  });
  assertEquals(judge.isStale(flowTo("10.96.0.11 53", B)), false, "not looked for");
  assertEquals(judge.isStale(flowTo("192.168.77.2 30054", B)), false, "not looked for");
  assertEquals(judge.isStale(flowTo(VIP, A)), true, "gone, translated");
  assertEquals(judge.isStale(flowTo(VIP, VIP)), false, "gone, not translated");
  assertEquals(judge.isStale(flowTo("192.168.77.2 30053", A)), true, "a NodePort that is gone");
});

Deno.test("FlowJudge goes by what is so now", () => {
  const ports = [dns([A])];
  const judge = judgeOf(ports, EVERYWHERE);
  assertEquals(judge.isStale(flowTo(VIP, B)), true);
  ports[0] = dns([B]);
  judge.changed();
  assertEquals(judge.isStale(flowTo(VIP, B)), false);
});

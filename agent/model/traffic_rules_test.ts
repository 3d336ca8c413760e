import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import type { Service } from "../kube/objects.ts";
import { service } from "./testing/objects.ts";
import {
  DEFAULT_TRAFFIC_RULES,
  judgeTrafficRules,
  NO_SOURCE_RANGES,
  sourceRangesOf,
  type TrafficRules,
} from "./traffic_rules.ts";
import type { VIP } from "./types.ts";

/** What a Service with these fields says, and what is wrong with it. */
function judge(
  fields: Partial<Service>,
): { readonly rules: TrafficRules; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const rules = judgeTrafficRules(service(fields), (kind, message) => problems.push(`${kind}: ${message}`));
  return { rules, problems };
}

function ranges(...loadBalancerSourceRanges: readonly string[]): unknown {
  return judge({ loadBalancerSourceRanges }).rules.loadBalancerSourceRanges;
}

Deno.test("judgeTrafficRules() of a Service that says nothing, or what holds anyway, is one object for all", () => {
  const says: readonly Partial<Service>[] = [
    {},
    { sessionAffinity: "None", affinityTimeoutSeconds: 10_800 },
    { internalTrafficPolicy: "Cluster", externalTrafficPolicy: "Cluster", type: "NodePort" },
    { loadBalancerSourceRanges: [" 0.0.0.0/0 "] },
    { externalTrafficPolicy: "Local", healthCheckNodePort: 31_000 },
  ];
  for (const fields of says) {
    const { rules, problems } = judge(fields);
    assertEquals([rules === DEFAULT_TRAFFIC_RULES, problems], [true, []], JSON.stringify(fields));
  }
});

Deno.test("judgeTrafficRules(): externalTrafficPolicy is of Services that something else than ClusterIPs leads to", () => {
  const policy = (fields: Partial<Service>): string =>
    judge({ externalTrafficPolicy: "Local", ...fields }).rules.externalTrafficPolicy;
  assertEquals(policy({}), "Cluster");
  assertEquals(policy({ externalIPs: ["192.0.2.1"] }), "Local");
  assertEquals(policy({ type: "NodePort" }), "Local");
  assertEquals(policy({ type: "LoadBalancer" }), "Local");
});

Deno.test("judgeTrafficRules(): load balancers ask only where the policy makes nodes differ", () => {
  const port = (fields: Partial<Service>): number =>
    judge({ healthCheckNodePort: 31_000, externalTrafficPolicy: "Local", ...fields }).rules
      .healthCheckNodePort;
  assertEquals(port({ type: "LoadBalancer" }), 31_000);
  assertEquals(port({ type: "LoadBalancer", externalTrafficPolicy: "Cluster" }), 0);
  assertEquals(port({ type: "NodePort" }), 0);
});

Deno.test("judgeTrafficRules(): a client keeps its endpoint for the timeout, three hours by default", () => {
  const seconds = (sessionAffinity: string, affinityTimeoutSeconds = 0): number =>
    judge({ sessionAffinity, affinityTimeoutSeconds }).rules.affinityTimeoutSeconds;
  assertEquals([seconds("ClientIP"), seconds("ClientIP", 1), seconds("ClientIP", 86_400)], [
    10_800,
    1,
    86_400,
  ]);
  assertEquals([seconds("None", 60), seconds("", 60)], [0, 0]);
});

Deno.test("judgeTrafficRules(): source ranges are canonical, each once, by family", () => {
  assertEquals(ranges("198.51.100.7/24", " 198.51.100.0/24", "FD00::1/16"), {
    IPv4: ["198.51.100.0/24"],
    IPv6: ["fd00::/16"],
  });
  assertEquals(ranges("192.0.2.0/24"), { IPv4: ["192.0.2.0/24"], IPv6: [] });
});

Deno.test("judgeTrafficRules(): a range of everybody restricts nobody, but where other ranges do", () => {
  const everybody = { IPv4: [], IPv6: [] };
  assertEquals(ranges("0.0.0.0/0"), everybody);
  assertEquals(ranges("10.0.0.0/8", "0.0.0.0/0"), everybody);
  assertEquals(ranges("0.0.0.0/0", "::/0"), everybody);
  assertEquals(ranges("0.0.0.0/0", "fd00::/8"), { IPv4: ["0.0.0.0/0"], IPv6: ["fd00::/8"] });
  assertEquals(ranges("1.2.3.4/0", "bad"), everybody, "everybody was meant, whatever else");
});

Deno.test("judgeTrafficRules(): a range that cannot be read lets nobody in", () => {
  assertEquals(ranges("10.0.0.0/8", "10.0.0.0"), { IPv4: ["10.0.0.0/8"], IPv6: [] });
  for (
    const bad of [
      "10.0.0.0",
      "10.0.0.0/33",
      "10.0.0.0/",
      "x/8",
      "/8",
      "10.0.0/8",
      "010.0.0.0/8",
      "fd00::/129",
    ]
  ) {
    assertEquals(ranges(bad), "nobody", bad);
    assertMatch(
      judge({ loadBalancerSourceRanges: [bad] }).problems[0] ?? "",
      /^invalid-address: .* no range/,
    );
  }
  assertEquals(ranges("::ffff:10.0.0.0/104"), "nobody", "IPv4-mapped");
  assertEquals(ranges("", " "), { IPv4: [], IPv6: [] }, "as if it were not written");
});

Deno.test("judgeTrafficRules(): what is not known is named with what holds instead, and closes nothing that was open", () => {
  const cases: readonly (readonly [Partial<Service>, RegExp])[] = [
    [
      { internalTrafficPolicy: "Nearby" },
      /^unsupported: internalTrafficPolicy "Nearby" .* Use Cluster or Local\.$/,
    ],
    [
      { externalTrafficPolicy: "local", type: "NodePort" },
      /^unsupported: externalTrafficPolicy "local" is not known/,
    ],
    [{ sessionAffinity: "Cookie" }, /^unsupported: sessionAffinity "Cookie" .* Use None or ClientIP\.$/],
    [{ trafficDistribution: "PreferSameRack" }, /^unsupported: trafficDistribution .* PreferSameNode\.$/],
    [
      { annotations: { "lightpath.cloud/path": "cloud" } },
      /^invalid-annotation: .* neither "envoy" nor "kernel"/,
    ],
    [
      { type: "LoadBalancer", externalTrafficPolicy: "Cluster", healthCheckNodePort: 70_000 },
      /^$/,
    ],
  ];
  for (const [fields, wanted] of cases) {
    const { rules, problems } = judge(fields);
    assertMatch(problems.join("\n"), wanted);
    assertEquals(rules, DEFAULT_TRAFFIC_RULES);
  }
  const { rules, problems } = judge({
    type: "LoadBalancer",
    externalTrafficPolicy: "Local",
    healthCheckNodePort: 70_000,
  });
  assertMatch(problems.join(), /^invalid-port: healthCheckNodePort 70000/);
  assertEquals(rules.healthCheckNodePort, 0);
  const affinity = judge({ sessionAffinity: "ClientIP", affinityTimeoutSeconds: 86_401 });
  assertMatch(affinity.problems.join(), /timeoutSeconds 86401 is not possible; 10800 holds/);
  assertEquals(affinity.rules.affinityTimeoutSeconds, 10_800);
});

Deno.test("sourceRangesOf() adds the load balancer's own addresses where the node is let in, by family", () => {
  const vips: readonly VIP[] = [
    { address: "10.96.0.10", family: "IPv4", port: 80, kind: "ClusterIP" },
    { address: "203.0.113.1", family: "IPv4", port: 80, kind: "LoadBalancerIP" },
    { address: "203.0.113.2", family: "IPv4", port: 80, kind: "LoadBalancerIP" },
    { address: "2001:db8::1", family: "IPv6", port: 80, kind: "LoadBalancerIP" },
  ];
  const nodeIPs = ["192.0.2.7", "2001:db8:7::7"];
  const of = (...loadBalancerSourceRanges: readonly string[]): unknown =>
    sourceRangesOf(judge({ loadBalancerSourceRanges }).rules, { vips, nodeIPs });
  assertEquals(of("192.0.2.0/24", "203.0.113.2/32", "2001:db8:8::/48"), {
    IPv4: ["192.0.2.0/24", "203.0.113.2/32", "203.0.113.1/32"],
    IPv6: ["2001:db8:8::/48"],
  });
  assertEquals(of("198.51.100.0/24", "2001:db8::/32"), {
    IPv4: ["198.51.100.0/24"],
    IPv6: ["2001:db8::/32", "2001:db8::1/128"],
  });
  for (const nothing of [[], ["x"], ["0.0.0.0/0"]]) assertEquals(of(...nothing), NO_SOURCE_RANGES);
});

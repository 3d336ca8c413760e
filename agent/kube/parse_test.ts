import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import type { EndpointSlice, KubeObject, Service } from "./objects.ts";
import { parseKubeObject } from "./parse.ts";

function parsed(raw: unknown, kind?: KubeObject["kind"]): KubeObject {
  const result = parseKubeObject(raw, kind);
  if (!("object" in result)) throw new Error(JSON.stringify(result));
  return result.object;
}

function service(fields: Record<string, unknown>): Service {
  const object = parsed({ metadata: { name: "s" }, ...fields }, "Service");
  if (object.kind !== "Service") throw new Error(object.kind);
  return object;
}

function slice(fields: Record<string, unknown>): EndpointSlice {
  const object = parsed({ metadata: { name: "e" }, ...fields }, "EndpointSlice");
  if (object.kind !== "EndpointSlice") throw new Error(object.kind);
  return object;
}

Deno.test("parse: a full Service, reduced to what is read", () => {
  assertEquals(
    parsed({
      apiVersion: "v1",
      kind: "Service",
      metadata: {
        namespace: "shop",
        name: "web",
        uid: "u",
        resourceVersion: "42",
        creationTimestamp: "2026-01-02T03:04:05Z",
        labels: { "service.kubernetes.io/service-proxy-name": "lightpath.cloud", app: "web" },
        annotations: {
          "config.lightpath.cloud/timeout": "5s",
          "lightpath.cloud/x": "y",
          "other/z": "dropped",
        },
        managedFields: [{ manager: "kubectl" }],
      },
      spec: {
        type: "LoadBalancer",
        clusterIP: "10.96.0.7",
        clusterIPs: ["10.96.0.7", "fd00:96::7"],
        externalIPs: ["192.0.2.7"],
        loadBalancerSourceRanges: ["198.51.100.0/24"],
        sessionAffinity: "ClientIP",
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } },
        internalTrafficPolicy: "Local",
        externalTrafficPolicy: "Local",
        healthCheckNodePort: 31234,
        trafficDistribution: "PreferClose",
        ports: [
          { name: "http", port: 80, targetPort: "http", nodePort: 30080, appProtocol: "kubernetes.io/h2c" },
          { name: "dns", protocol: "UDP", port: 53 },
        ],
      },
      status: {
        loadBalancer: {
          ingress: [{ ip: "192.0.2.8" }, { hostname: "lb.example" }, { ip: "192.0.2.9", ipMode: "Proxy" }],
        },
      },
    }),
    {
      kind: "Service",
      uid: "u",
      namespace: "shop",
      name: "web",
      namespacedName: "shop/web",
      resourceVersion: "42",
      creationTimestampMs: Date.UTC(2026, 0, 2, 3, 4, 5),
      type: "LoadBalancer",
      clusterIPs: ["10.96.0.7", "fd00:96::7"],
      externalIPs: ["192.0.2.7"],
      loadBalancerIngress: [{ ip: "192.0.2.8", ipMode: "VIP" }, { ip: "192.0.2.9", ipMode: "Proxy" }],
      loadBalancerSourceRanges: ["198.51.100.0/24"],
      sessionAffinity: "ClientIP",
      affinityTimeoutSeconds: 600,
      internalTrafficPolicy: "Local",
      externalTrafficPolicy: "Local",
      healthCheckNodePort: 31234,
      trafficDistribution: "PreferClose",
      ports: [
        { name: "http", protocol: "TCP", port: 80, nodePort: 30080, appProtocol: "kubernetes.io/h2c" },
        { name: "dns", protocol: "UDP", port: 53, nodePort: 0, appProtocol: "" },
      ],
      proxyName: "lightpath.cloud",
      headlessLabel: false,
      annotations: { "config.lightpath.cloud/timeout": "5s", "lightpath.cloud/x": "y" },
      malformed: [],
    },
  );
});

Deno.test("parse: a bare Service has the API's defaults", () => {
  assertEquals(service({}), {
    kind: "Service",
    uid: "",
    namespace: "default",
    name: "s",
    namespacedName: "default/s",
    resourceVersion: "",
    creationTimestampMs: 0,
    type: "ClusterIP",
    clusterIPs: [],
    externalIPs: [],
    loadBalancerIngress: [],
    loadBalancerSourceRanges: [],
    sessionAffinity: "",
    affinityTimeoutSeconds: 0,
    internalTrafficPolicy: "",
    externalTrafficPolicy: "",
    healthCheckNodePort: 0,
    trafficDistribution: "",
    ports: [],
    proxyName: "",
    headlessLabel: false,
    annotations: {},
    malformed: [],
  });
  assertEquals(service({ spec: { clusterIP: "10.96.0.1" } }).clusterIPs, ["10.96.0.1"]);
  assertEquals(service({ spec: { clusterIP: "", clusterIPs: null } }).clusterIPs, []);
  const labels = { "service.kubernetes.io/headless": "" };
  assertEquals(service({ metadata: { name: "s", labels } }).headlessLabel, true);
});

/** An endpoint of which nobody says where it is, nor for whom. */
const NOWHERE = { nodeName: "", zone: "", hintedZones: [], hintedNodes: [] };

Deno.test("parse: a full EndpointSlice, and conditions that are unknown", () => {
  assertEquals(
    slice({
      metadata: {
        namespace: "shop",
        name: "web-1",
        labels: { "kubernetes.io/service-name": "web" },
        annotations: { "endpoints.kubernetes.io/last-change-trigger-time": "2026-01-02T03:04:05.5Z" },
      },
      addressType: "IPv4",
      ports: [{ name: "http", port: 8080 }, { name: "dns", port: 5353, protocol: "UDP" }],
      endpoints: [
        {
          addresses: ["10.244.0.1", "10.244.0.2"],
          conditions: { ready: true },
          nodeName: "n1",
          zone: "z1",
          hints: { forZones: [{ name: "z1" }, {}], forNodes: [{ name: "n1" }, { name: "n2" }] },
        },
        { addresses: ["10.244.0.3"], conditions: { ready: false, serving: true, terminating: true } },
        { addresses: ["10.244.0.4"], conditions: { ready: null } },
        { addresses: ["10.244.0.5"], conditions: { ready: false } },
      ],
    }),
    {
      kind: "EndpointSlice",
      namespace: "shop",
      name: "web-1",
      namespacedName: "shop/web-1",
      resourceVersion: "",
      creationTimestampMs: 0,
      serviceName: "web",
      addressType: "IPv4",
      ports: [{ name: "http", protocol: "TCP", port: 8080 }, { name: "dns", protocol: "UDP", port: 5353 }],
      endpoints: [
        {
          address: "10.244.0.1",
          ready: true,
          serving: true,
          terminating: false,
          nodeName: "n1",
          zone: "z1",
          hintedZones: ["z1"],
          hintedNodes: ["n1", "n2"],
        },
        { ...NOWHERE, address: "10.244.0.3", ready: false, serving: true, terminating: true },
        { ...NOWHERE, address: "10.244.0.4", ready: true, serving: true, terminating: false },
        { ...NOWHERE, address: "10.244.0.5", ready: false, serving: false, terminating: false },
      ],
      lastChangeTriggerTimeMs: Date.UTC(2026, 0, 2, 3, 4, 5, 500),
      malformed: [],
    },
  );
  assertEquals(slice({ endpoints: null, ports: null }).malformed, []);
});

Deno.test("parse: a field of another type is left out and named", () => {
  const cases: [Record<string, unknown>, string][] = [
    [{ spec: { ports: [{ port: "80" }] } }, 'spec.ports[0].port is the text "80", not a number'],
    [{ spec: { ports: [{}] } }, "spec.ports[0].port is missing: the port is left out"],
    [{ spec: { ports: [7] } }, "spec.ports[0] is the number 7, not an object"],
    [{ spec: { ports: {} } }, "spec.ports is an object, not a list"],
    [
      { spec: { ports: [{ port: 80, nodePort: "x" }] } },
      'spec.ports[0].nodePort is the text "x", not a number',
    ],
    [{ spec: { clusterIPs: [1] } }, "spec.clusterIPs[0] is the number 1, not a text"],
    [{ spec: "none" }, 'spec is the text "none", not an object'],
    [{ spec: { type: true } }, "spec.type is the boolean true, not a text"],
    [
      { spec: { sessionAffinityConfig: { clientIP: { timeoutSeconds: "1h" } } } },
      'spec.sessionAffinityConfig.clientIP.timeoutSeconds is the text "1h", not a number',
    ],
    [{ spec: { healthCheckNodePort: "x" } }, 'spec.healthCheckNodePort is the text "x", not a number'],
    [
      { status: { loadBalancer: { ingress: [null] } } },
      "status.loadBalancer.ingress[0] is null, not an object",
    ],
    [
      { metadata: { name: "s", annotations: { "lightpath.cloud/x": 5 } } },
      "metadata.annotations.lightpath.cloud/x is the number 5, not a text",
    ],
    [
      { metadata: { name: "s", creationTimestamp: "yesterday" } },
      'metadata.creationTimestamp is the text "yesterday", not a time as RFC 3339 writes it',
    ],
  ];
  for (const [fields, sentence] of cases) assertEquals(service(fields).malformed, [sentence]);
  assertEquals(service({ spec: { ports: [{ port: "80" }, { port: 81 }] } }).ports.map((port) => port.port), [
    81,
  ]);
  assertEquals(slice({ endpoints: [{ addresses: [] }, { addresses: ["10.0.0.1"] }] }).endpoints.length, 1);
  assertEquals(slice({ endpoints: [{ addresses: ["a"], conditions: { ready: "yes" } }] }).malformed, [
    'endpoints[0].conditions.ready is the text "yes", not true or false',
  ]);
  assertEquals(slice({ endpoints: [{ addresses: ["a"], hints: { forZones: ["z"] } }] }).malformed, [
    'endpoints[0].hints.forZones[0] is the text "z", not an object',
  ]);
});

Deno.test("parse: what is none of our business, and what has no name", () => {
  const cases: [unknown, string][] = [
    [null, "invalid"],
    ["text", "invalid"],
    [[], "invalid"],
    [{}, "invalid"],
    [{ kind: 7 }, "invalid"],
    [{ kind: "Deployment" }, "ignored"],
    [{ kind: "Service", apiVersion: "serving.knative.dev/v1", metadata: { name: "s" } }, "ignored"],
    [{ kind: "EndpointSlice", apiVersion: "discovery.k8s.io/v1beta1", metadata: { name: "e" } }, "ignored"],
    [{ kind: "Service", metadata: { name: "s" } }, "invalid"],
    [{ kind: "Service", apiVersion: "v1" }, "invalid"],
    [{ kind: "Service", apiVersion: "v1", metadata: { name: 5 } }, "invalid"],
    [{ kind: "Service", apiVersion: "v1", metadata: { name: "a/b" } }, "invalid"],
    [{ kind: "Service", apiVersion: "v1", metadata: { name: "s" } }, "object"],
  ];
  for (const [raw, outcome] of cases) {
    assertEquals(Object.keys(parseKubeObject(raw)), [outcome], JSON.stringify(raw));
  }
});

Deno.test("parse: random garbage in every place never throws, and what comes out has the types it claims", () => {
  let seed = 7;
  const random = (count: number): number => (seed = (seed * 48271) % 2147483647) % count;
  const garbage = (depth: number): unknown => {
    switch (random(depth > 3 ? 6 : 9)) {
      case 0:
        return null;
      case 1:
        return random(100_000) - 5;
      case 2:
        return random(2) === 0;
      case 3:
      case 4:
        return ["", "x", "10.0.0.1", "2026-01-01T00:00:00Z"][random(4)];
      case 5:
        return NaN;
      case 6:
        return Array.from({ length: random(4) }, () => garbage(depth + 1));
      default:
        return Object.fromEntries(
          [
            "metadata",
            "name",
            "namespace",
            "labels",
            "annotations",
            "spec",
            "ports",
            "port",
            "endpoints",
            "addresses",
          ]
            .concat([
              "conditions",
              "ready",
              "status",
              "loadBalancer",
              "ingress",
              "ip",
              "clusterIPs",
              "lightpath.cloud/a",
            ])
            .filter(() => random(3) === 0)
            .map((key) => [key, garbage(depth + 1)]),
        );
    }
  };
  let objects = 0;
  for (let i = 0; i < 5_000; i++) {
    const raw = {
      ...(garbage(0) as object),
      metadata: { name: "n", labels: garbage(2), annotations: garbage(2) },
    };
    const result = parseKubeObject(raw, i % 2 === 0 ? "Service" : "EndpointSlice");
    if (!("object" in result)) continue;
    objects++;
    for (const port of result.object.ports) {
      assert(typeof port.port === "number" && typeof port.name === "string");
    }
    if (result.object.kind === "EndpointSlice") {
      for (const { address, ready } of result.object.endpoints) {
        assert(typeof address === "string" && typeof ready === "boolean");
      }
    }
  }
  assert(objects > 1_000, `only ${objects} objects`);
});

/**
 * What restricts or orders the endpoints: traffic policies, topology, affinity, families.
 * Source: Kubernetes "Virtual IPs and Service Proxies" (traffic policies, session affinity), "Topology Aware Routing",
 * "IPv4/IPv6 dual-stack"; KEP-2433, KEP-3015 (hints).
 * @module
 */
import { OUTSIDE_RANGES } from "../addresses.ts";
import type { Scenario, To } from "../case.ts";
import {
  answered,
  CLUSTER_IP,
  DROPPED,
  EXTERNAL_IP,
  forNode,
  forZone,
  LOAD_BALANCER_IP,
  masqueraded,
  nodePort,
  NOT_SCTP,
  ready,
  REFUSED,
  terminating,
} from "./_words.ts";

function health(node: "node-a" | "node-b"): To {
  return { kind: "HealthCheckNodePort", node };
}

export const POLICIES: readonly Scenario[] = [
  {
    name: "internal-local",
    about: "internalTrafficPolicy Local: each node's own endpoints",
    service: { type: "NodePort", spec: { internalTrafficPolicy: "Local" } },
    slices: ready("a1", "a2", "b1"),
    cases: [
      { from: "pod-a", to: CLUSTER_IP, expect: answered(["a1", "a2"], "even") },
      { from: "pod-b", to: CLUSTER_IP, expect: answered(["b1"]) },
      { from: "node-a", to: CLUSTER_IP, expect: answered(["a1", "a2"]) },
      { from: "outside", to: nodePort("node-a"), expect: masqueraded(["a1", "a2", "b1"], "node-a") },
    ],
  },
  {
    name: "internal-local-elsewhere",
    about: "internalTrafficPolicy Local without an endpoint here: silence",
    service: { spec: { internalTrafficPolicy: "Local" } },
    slices: ready("b1"),
    cases: [
      { from: "pod-a", to: CLUSTER_IP, expect: DROPPED },
      { from: "node-a", to: CLUSTER_IP, expect: DROPPED },
      { from: "pod-b", to: CLUSTER_IP, expect: answered(["b1"]) },
    ],
  },
  {
    name: "internal-local-terminating",
    about: "internalTrafficPolicy Local: a terminating endpoint here comes before ready ones elsewhere",
    service: { spec: { internalTrafficPolicy: "Local" } },
    slices: [{ endpoints: [terminating("a1", { serving: true }), { at: "b1" }] }],
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: answered(["a1"]) }],
  },
  {
    name: "internal-local-none",
    about: "internalTrafficPolicy Local without any endpoint",
    service: { spec: { internalTrafficPolicy: "Local" } },
    slices: [{ endpoints: [] }],
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: REFUSED }],
  },
  {
    name: "external-local",
    about: "externalTrafficPolicy Local: a node's own endpoints, which see the client's address; " +
      "for pods and nodes, all endpoints",
    service: {
      type: "LoadBalancer",
      externalIPs: "own",
      spec: { externalTrafficPolicy: "Local" },
    },
    slices: ready("a1", "a2", "b1"),
    cases: [
      { from: "outside", to: LOAD_BALANCER_IP, expect: answered(["a1", "a2"], "even") },
      { from: "outside", to: nodePort("node-a"), expect: answered(["a1", "a2"]) },
      { from: "outside", to: EXTERNAL_IP, expect: answered(["a1", "a2"]) },
      { from: "pod-a", to: LOAD_BALANCER_IP, expect: answered(["a1", "a2", "b1"]) },
      { from: "pod-a", to: nodePort("node-a"), expect: answered(["a1", "a2", "b1"]) },
      { from: "pod-a", to: EXTERNAL_IP, expect: answered(["a1", "a2", "b1"]) },
      { from: "node-a", to: LOAD_BALANCER_IP, expect: masqueraded(["a1", "a2", "b1"], "node-a") },
      { from: "node-a", to: nodePort("node-a"), expect: masqueraded(["a1", "a2", "b1"], "node-a") },
      { from: "node-b", to: nodePort("node-a"), expect: answered(["a1", "a2"]) },
      { from: "pod-a", to: CLUSTER_IP, expect: answered(["a1", "a2", "b1"]) },
      { from: "outside", to: health("node-a"), expect: { kind: "health", status: 200, localEndpoints: 2 } },
    ],
  },
  {
    name: "external-local-elsewhere",
    about:
      "externalTrafficPolicy Local without an endpoint here: silence to the outside; pods and nodes are served",
    service: { type: "LoadBalancer", externalIPs: "own", spec: { externalTrafficPolicy: "Local" } },
    slices: ready("b1"),
    cases: [
      { from: "outside", to: LOAD_BALANCER_IP, expect: DROPPED },
      { from: "outside", to: nodePort("node-a"), expect: DROPPED },
      { from: "outside", to: EXTERNAL_IP, expect: DROPPED },
      { from: "pod-a", to: LOAD_BALANCER_IP, expect: answered(["b1"]) },
      { from: "node-a", to: LOAD_BALANCER_IP, expect: masqueraded(["b1"], "node-a") },
      { from: "outside", to: health("node-a"), expect: { kind: "health", status: 503, localEndpoints: 0 } },
    ],
  },
  {
    name: "external-local-terminating",
    about: "externalTrafficPolicy Local: a terminating endpoint here is used, but the health check says no",
    service: { type: "LoadBalancer", spec: { externalTrafficPolicy: "Local" } },
    slices: [{ endpoints: [terminating("a1", { serving: true }), { at: "b1" }] }],
    cases: [
      { from: "outside", to: LOAD_BALANCER_IP, expect: answered(["a1"]) },
      { from: "outside", to: health("node-a"), expect: { kind: "health", status: 503, localEndpoints: 0 } },
    ],
  },
  {
    name: "external-local-none",
    about: "externalTrafficPolicy Local without any endpoint",
    service: { type: "LoadBalancer", spec: { externalTrafficPolicy: "Local" } },
    slices: [{ endpoints: [] }],
    cases: [
      { from: "outside", to: LOAD_BALANCER_IP, expect: REFUSED },
      { from: "outside", to: nodePort("node-a"), expect: REFUSED },
    ],
  },
  {
    name: "source-ranges-local",
    about: "loadBalancerSourceRanges with externalTrafficPolicy Local",
    service: {
      type: "LoadBalancer",
      spec: { externalTrafficPolicy: "Local", loadBalancerSourceRanges: OUTSIDE_RANGES },
    },
    slices: ready("a1", "b1"),
    cases: [
      { from: "outside", to: LOAD_BALANCER_IP, expect: answered(["a1"]) },
      { from: "pod-a", to: LOAD_BALANCER_IP, expect: DROPPED },
    ],
  },
  {
    name: "both-local",
    about:
      "Both policies Local, without an endpoint here: pods are served at the load balancer's address only",
    service: {
      type: "LoadBalancer",
      spec: { internalTrafficPolicy: "Local", externalTrafficPolicy: "Local" },
    },
    slices: ready("b1"),
    cases: [
      { from: "pod-a", to: CLUSTER_IP, expect: DROPPED },
      { from: "pod-a", to: LOAD_BALANCER_IP, expect: answered(["b1"]) },
      { from: "outside", to: LOAD_BALANCER_IP, expect: DROPPED },
    ],
  },
  {
    name: "affinity",
    about: "sessionAffinity ClientIP: a client keeps its endpoint, at each kind of destination",
    service: {
      type: "LoadBalancer",
      spec: { sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } } },
    },
    slices: ready("a1", "a2", "b1", "b2"),
    cases: [
      { from: "pod-a", to: CLUSTER_IP, expect: answered(["a1", "a2", "b1", "b2"], "affine") },
      { from: "node-a", to: CLUSTER_IP, expect: answered(["a1", "a2", "b1", "b2"], "affine") },
      {
        from: "outside",
        to: nodePort("node-a"),
        expect: masqueraded(["a1", "a2", "b1", "b2"], "node-a", "affine"),
      },
      {
        from: "outside",
        to: LOAD_BALANCER_IP,
        expect: masqueraded(["a1", "a2", "b1", "b2"], "node-a", "affine"),
      },
    ],
  },
  {
    name: "affinity-forgotten",
    about: "sessionAffinity ClientIP: after its timeout a client may go anywhere",
    service: {
      spec: { sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds: 1 } } },
    },
    slices: ready("a1", "a2", "b1", "b2"),
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: answered(["a1", "a2", "b1", "b2"], "forgetful") }],
  },
  {
    name: "affinity-local",
    about: "sessionAffinity ClientIP with externalTrafficPolicy Local: one of the node's own endpoints",
    service: { type: "LoadBalancer", spec: { sessionAffinity: "ClientIP", externalTrafficPolicy: "Local" } },
    slices: ready("a1", "a2", "b1"),
    cases: [
      { from: "outside", to: LOAD_BALANCER_IP, expect: answered(["a1", "a2"], "affine") },
      { from: "pod-a", to: LOAD_BALANCER_IP, expect: answered(["a1", "a2", "b1"], "affine") },
    ],
  },
  {
    name: "same-zone",
    about: "trafficDistribution PreferSameZone: the endpoints that hints give to the node's zone",
    service: { type: "NodePort", spec: { trafficDistribution: "PreferSameZone" } },
    slices: [{ endpoints: [forZone("a1", "zone-a"), forZone("a2", "zone-a"), forZone("b1", "zone-b")] }],
    cases: [
      { from: "pod-a", to: CLUSTER_IP, expect: answered(["a1", "a2"]) },
      { from: "pod-b", to: CLUSTER_IP, expect: answered(["b1"]) },
      { from: "outside", to: nodePort("node-a"), expect: masqueraded(["a1", "a2"], "node-a") },
    ],
  },
  {
    name: "same-zone-elsewhere",
    about: "PreferSameZone where hints give nothing to the node's zone: all endpoints",
    service: { spec: { trafficDistribution: "PreferSameZone" } },
    slices: [{ endpoints: [forZone("b1", "zone-b"), forZone("b2", "zone-b")] }],
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: answered(["b1", "b2"]) }],
  },
  {
    name: "same-zone-hint-missing",
    about: "PreferSameZone where an endpoint has no hint: all endpoints",
    service: { spec: { trafficDistribution: "PreferSameZone" } },
    slices: [{ endpoints: [forZone("a1", "zone-a"), { at: "b1" }] }],
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: answered(["a1", "b1"]) }],
  },
  {
    name: "same-zone-unhinted",
    about: "PreferSameZone where no endpoint has a hint: all endpoints",
    service: { spec: { trafficDistribution: "PreferSameZone" } },
    slices: ready("a1", "b1"),
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: answered(["a1", "b1"]) }],
  },
  {
    name: "zone-hints",
    about: "Topology Aware Routing: hints that give an endpoint elsewhere to the node's zone are followed",
    service: {},
    slices: [{ endpoints: [forZone("a1", "zone-b"), forZone("b1", "zone-a")] }],
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: answered(["b1"]) }],
  },
  {
    name: "same-node",
    about: "trafficDistribution PreferSameNode: the endpoints that hints give to the node",
    service: { spec: { trafficDistribution: "PreferSameNode" } },
    slices: [{ endpoints: [forNode("a1", "node-a", "zone-a"), forNode("b1", "node-b", "zone-b")] }],
    cases: [
      { from: "pod-a", to: CLUSTER_IP, expect: answered(["a1"]) },
      { from: "pod-b", to: CLUSTER_IP, expect: answered(["b1"]) },
    ],
  },
  {
    name: "same-node-elsewhere",
    about: "PreferSameNode where hints give nothing to the node: its zone's, else all",
    service: { spec: { trafficDistribution: "PreferSameNode" } },
    slices: [{ endpoints: [forNode("b1", "node-b", "zone-b"), forNode("b2", "node-b", "zone-b")] }],
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: answered(["b1", "b2"]) }],
  },
  {
    name: "same-zone-terminating",
    about: "PreferSameZone where the zone has a terminating endpoint only: ready ones elsewhere come first",
    service: { spec: { trafficDistribution: "PreferSameZone" } },
    slices: [{
      endpoints: [
        { ...forZone("a1", "zone-a"), conditions: { ready: false, serving: true, terminating: true } },
        forZone("b1", "zone-b"),
      ],
    }],
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: answered(["b1"]) }],
  },
  {
    name: "ipv4-only",
    about: "A single-stack Service of IPv4; its NodePort is not there over IPv6",
    service: { type: "NodePort", families: ["IPv4"] },
    slices: ready("a1", "b1"),
    cases: [
      { from: "pod-a", to: CLUSTER_IP, expect: answered(["a1", "b1"]) },
      { from: "outside", to: nodePort("node-a"), expect: masqueraded(["a1", "b1"], "node-a") },
      {
        from: "outside",
        to: nodePort("node-a"),
        families: ["IPv6"],
        speeches: NOT_SCTP,
        expect: REFUSED,
      },
    ],
  },
  {
    name: "ipv6-only",
    about: "A single-stack Service of IPv6; its NodePort is not there over IPv4",
    service: { type: "NodePort", families: ["IPv6"] },
    slices: ready("a1", "b1"),
    cases: [
      { from: "pod-a", to: CLUSTER_IP, expect: answered(["a1", "b1"]) },
      { from: "outside", to: nodePort("node-a"), expect: masqueraded(["a1", "b1"], "node-a") },
      {
        from: "outside",
        to: nodePort("node-a"),
        families: ["IPv4"],
        speeches: NOT_SCTP,
        expect: REFUSED,
      },
    ],
  },
];

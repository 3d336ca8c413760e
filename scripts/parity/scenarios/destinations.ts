/**
 * Each kind of destination, from each place, without anything special.
 * Source: Kubernetes "Virtual IPs and Service Proxies"; Service API reference.
 * @module
 */
import { NOBODYS_RANGES, OUTSIDE_RANGES } from "../addresses.ts";
import type { Scenario } from "../case.ts";
import {
  answered,
  CLUSTER_IP,
  DROPPED,
  EXTERNAL_IP,
  LOAD_BALANCER_IP,
  masqueraded,
  nodePort,
  NOT_SCTP,
  ready,
  REFUSED,
} from "./_words.ts";

export const DESTINATIONS: readonly Scenario[] = [
  {
    name: "cluster-ip",
    about: "A ClusterIP is served to pods, to the nodes, and to whoever outside has a route to it",
    service: {},
    slices: ready("a1", "b1"),
    cases: [
      { from: "pod-a", to: CLUSTER_IP, expect: answered(["a1", "b1"], "even") },
      { from: "pod-b", to: CLUSTER_IP, expect: answered(["a1", "b1"]) },
      { from: "node-a", to: CLUSTER_IP, expect: answered(["a1", "b1"]) },
      { from: "node-b", to: CLUSTER_IP, expect: answered(["a1", "b1"]) },
      { from: "outside", to: CLUSTER_IP, expect: masqueraded(["a1", "b1"], "node-a") },
      { from: "pod-a", to: { kind: "ClusterIP", port: 81 }, expect: REFUSED },
      { from: "outside", to: { kind: "ClusterIP", port: 81 }, expect: REFUSED },
      { from: "node-a", to: { kind: "ClusterIP", port: 81 }, speeches: NOT_SCTP, expect: REFUSED },
      { from: "pod-a", to: { kind: "UnallocatedClusterIP" }, expect: DROPPED },
      { from: "outside", to: { kind: "UnallocatedClusterIP" }, expect: DROPPED },
    ],
  },
  {
    name: "three-endpoints",
    about: "Connections are spread evenly over endpoints on all nodes",
    service: {},
    slices: ready("a1", "a2", "b1"),
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: answered(["a1", "a2", "b1"], "even") }],
  },
  {
    name: "node-port",
    about: "A NodePort is served on each node, and its clients' addresses are masqueraded",
    service: { type: "NodePort" },
    slices: ready("a1", "b1"),
    cases: [
      { from: "outside", to: nodePort("node-a"), expect: masqueraded(["a1", "b1"], "node-a", "even") },
      { from: "pod-a", to: nodePort("node-a"), expect: masqueraded(["a1", "b1"], "node-a") },
      { from: "node-a", to: nodePort("node-a"), expect: masqueraded(["a1", "b1"], "node-a") },
      { from: "node-b", to: nodePort("node-a"), expect: masqueraded(["a1", "b1"], "node-a") },
      { from: "pod-b", to: nodePort("node-a"), expect: masqueraded(["a1", "b1"], "node-a") },
    ],
  },
  {
    name: "node-port-addresses",
    about:
      "NodePorts are served at the InternalIPs only, unless --nodeport-addresses says which (node-b: its other ones)",
    service: { type: "NodePort" },
    slices: ready("a1", "b1"),
    cases: [
      { from: "outside", to: nodePort("node-a", "secondary"), expect: REFUSED },
      { from: "pod-a", to: nodePort("node-a", "gateway"), expect: REFUSED },
      { from: "node-a", to: nodePort("node-a", "loopback"), speeches: NOT_SCTP, expect: REFUSED },
      { from: "outside", to: nodePort("node-b"), expect: REFUSED },
      { from: "outside", to: nodePort("node-b", "secondary"), expect: masqueraded(["a1", "b1"], "node-b") },
    ],
  },
  {
    name: "load-balancer",
    about: "A load balancer's address is served like an external one, without leaving the node",
    service: { type: "LoadBalancer" },
    slices: ready("a1", "b1"),
    cases: [
      { from: "outside", to: LOAD_BALANCER_IP, expect: masqueraded(["a1", "b1"], "node-a", "even") },
      { from: "pod-a", to: LOAD_BALANCER_IP, expect: masqueraded(["a1", "b1"], "node-a") },
      { from: "pod-b", to: LOAD_BALANCER_IP, expect: masqueraded(["a1", "b1"], "node-b") },
      { from: "node-a", to: LOAD_BALANCER_IP, expect: masqueraded(["a1", "b1"], "node-a") },
      { from: "outside", to: nodePort("node-a"), expect: masqueraded(["a1", "b1"], "node-a") },
    ],
  },
  {
    name: "load-balancer-proxy",
    about: "ipMode Proxy: the load balancer's address is not served here, the load balancer itself answers",
    service: { type: "LoadBalancer", ipMode: "Proxy" },
    slices: ready("a1", "b1"),
    cases: [
      { from: "pod-a", to: LOAD_BALANCER_IP, expect: answered(["outside"]) },
      { from: "node-a", to: LOAD_BALANCER_IP, expect: answered(["outside"]) },
    ],
  },
  {
    name: "source-ranges",
    about: "loadBalancerSourceRanges: whoever is not in them is not answered at the load balancer's address",
    service: { type: "LoadBalancer", spec: { loadBalancerSourceRanges: OUTSIDE_RANGES } },
    slices: ready("a1", "b1"),
    cases: [
      { from: "outside", to: LOAD_BALANCER_IP, expect: masqueraded(["a1", "b1"], "node-a") },
      { from: "pod-a", to: LOAD_BALANCER_IP, expect: DROPPED },
      { from: "node-a", to: LOAD_BALANCER_IP, expect: DROPPED },
    ],
  },
  {
    name: "source-ranges-of-nobody",
    about: "loadBalancerSourceRanges do not restrict the ClusterIP, external IPs and NodePorts",
    service: {
      type: "LoadBalancer",
      externalIPs: "own",
      spec: { loadBalancerSourceRanges: NOBODYS_RANGES },
    },
    slices: ready("a1", "b1"),
    cases: [
      { from: "outside", to: LOAD_BALANCER_IP, expect: DROPPED },
      { from: "outside", to: nodePort("node-a"), expect: masqueraded(["a1", "b1"], "node-a") },
      { from: "outside", to: EXTERNAL_IP, expect: masqueraded(["a1", "b1"], "node-a") },
      { from: "pod-a", to: CLUSTER_IP, expect: answered(["a1", "b1"]) },
    ],
  },
  {
    name: "source-ranges-of-one-family",
    about: "loadBalancerSourceRanges of one family do not restrict the other",
    service: { type: "LoadBalancer", spec: { loadBalancerSourceRanges: OUTSIDE_RANGES.slice(0, 1) } },
    slices: ready("a1", "b1"),
    cases: [{ from: "outside", to: LOAD_BALANCER_IP, expect: masqueraded(["a1", "b1"], "node-a") }],
  },
  {
    name: "source-ranges-external-ip-too",
    about:
      "loadBalancerSourceRanges hold at the load balancer's address where that is an external IP as well",
    service: {
      type: "LoadBalancer",
      externalIPs: "load-balancer",
      spec: { loadBalancerSourceRanges: OUTSIDE_RANGES },
    },
    slices: ready("a1", "b1"),
    cases: [
      { from: "outside", to: LOAD_BALANCER_IP, expect: masqueraded(["a1", "b1"], "node-a") },
      { from: "pod-a", to: LOAD_BALANCER_IP, expect: DROPPED },
    ],
  },
  {
    name: "load-balancer-at-node",
    about: "A load balancer's address may be one that a node has",
    service: { type: "LoadBalancer", loadBalancerIPs: "node-a" },
    slices: ready("a1", "b1"),
    cases: [
      { from: "outside", to: LOAD_BALANCER_IP, expect: masqueraded(["a1", "b1"], "node-a") },
      { from: "pod-a", to: LOAD_BALANCER_IP, expect: masqueraded(["a1", "b1"], "node-a") },
      { from: "pod-b", to: LOAD_BALANCER_IP, expect: masqueraded(["a1", "b1"], "node-b") },
      { from: "node-a", to: LOAD_BALANCER_IP, expect: masqueraded(["a1", "b1"], "node-a") },
    ],
  },
  {
    name: "external-ip-at-node",
    about: "An external IP may be a node's InternalIP; one of its endpoints may be a process there",
    service: { externalIPs: "node-a" },
    slices: ready("node-a", "b1"),
    cases: [
      {
        from: "outside",
        to: EXTERNAL_IP,
        expect: { kind: "answered", by: ["node-a", "b1"], source: ["client", "node-a"], spread: "any" },
      },
      {
        from: "pod-a",
        to: EXTERNAL_IP,
        expect: { kind: "answered", by: ["node-a", "b1"], source: ["client", "node-a"], spread: "any" },
      },
      { from: "pod-b", to: EXTERNAL_IP, expect: masqueraded(["node-a", "b1"], "node-b") },
      { from: "node-a", to: EXTERNAL_IP, expect: masqueraded(["node-a", "b1"], "node-a") },
    ],
  },
  {
    name: "external-ip",
    about: "An external IP is served wherever it arrives",
    service: { externalIPs: "own" },
    slices: ready("a1", "b1"),
    cases: [
      { from: "outside", to: EXTERNAL_IP, expect: masqueraded(["a1", "b1"], "node-a", "even") },
      { from: "pod-a", to: EXTERNAL_IP, expect: masqueraded(["a1", "b1"], "node-a") },
      { from: "node-a", to: EXTERNAL_IP, expect: masqueraded(["a1", "b1"], "node-a") },
    ],
  },
  {
    name: "served-by-others",
    about: "A Service that another proxy serves (service-proxy-name) is as if it were not there",
    service: { type: "LoadBalancer", labels: { "service.kubernetes.io/service-proxy-name": "example.com" } },
    slices: ready("a1", "b1"),
    cases: [
      { from: "pod-a", to: CLUSTER_IP, expect: DROPPED },
      { from: "outside", to: nodePort("node-a"), speeches: NOT_SCTP, expect: REFUSED },
    ],
  },
];

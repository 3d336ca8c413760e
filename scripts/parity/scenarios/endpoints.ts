/**
 * Which endpoints a connection may go to, where no policy restricts them.
 * Source: Kubernetes "EndpointSlices" (conditions, topology); KEP-1669 (terminating endpoints).
 * @module
 */
import type { Scenario } from "../case.ts";
import {
  answered,
  CLUSTER_IP,
  EXTERNAL_IP,
  LOAD_BALANCER_IP,
  masqueraded,
  nodePort,
  ready,
  REFUSED,
  terminating,
  unready,
} from "./_words.ts";

export const ENDPOINTS: readonly Scenario[] = [
  {
    name: "no-endpoints",
    about: "What has no endpoints is refused at once, at each kind of destination",
    service: { type: "LoadBalancer", externalIPs: "own" },
    slices: [{ endpoints: [] }],
    cases: [
      { from: "pod-a", to: CLUSTER_IP, expect: REFUSED },
      { from: "node-a", to: CLUSTER_IP, expect: REFUSED },
      { from: "outside", to: nodePort("node-a"), expect: REFUSED },
      { from: "outside", to: LOAD_BALANCER_IP, expect: REFUSED },
      { from: "outside", to: EXTERNAL_IP, expect: REFUSED },
    ],
  },
  {
    name: "unready",
    about: "Endpoints that are not ready get nothing",
    service: {},
    slices: [{ endpoints: [{ at: "a1" }, unready("b1")] }],
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: answered(["a1"]) }],
  },
  {
    name: "only-unready",
    about: "Only endpoints that are not ready are none",
    service: {},
    slices: [{ endpoints: [unready("a1"), unready("b1")] }],
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: REFUSED }],
  },
  {
    name: "publish-not-ready",
    about: "publishNotReadyAddresses: what the EndpointSlice controller then calls ready is used",
    service: { spec: { publishNotReadyAddresses: true } },
    slices: [{ endpoints: [{ at: "b1", conditions: { ready: true, serving: false, terminating: true } }] }],
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: answered(["b1"]) }],
  },
  {
    name: "publish-not-ready-unready",
    about: "publishNotReadyAddresses: a slice that says not ready is believed",
    service: { spec: { publishNotReadyAddresses: true } },
    slices: [{ endpoints: [unready("b1")] }],
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: REFUSED }],
  },
  {
    name: "terminating",
    about: "Terminating endpoints get nothing as long as others are ready",
    service: {},
    slices: [{ endpoints: [{ at: "a1" }, terminating("b1", { serving: true })] }],
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: answered(["a1"]) }],
  },
  {
    name: "only-terminating",
    about: "Where only terminating endpoints are left, those that still serve are used",
    service: { type: "NodePort" },
    slices: [{
      endpoints: [
        terminating("a1", { serving: true }),
        terminating("b1", { serving: true }),
        terminating("b2", { serving: false }),
      ],
    }],
    cases: [
      { from: "pod-a", to: CLUSTER_IP, expect: answered(["a1", "b1"]) },
      { from: "outside", to: nodePort("node-a"), expect: masqueraded(["a1", "b1"], "node-a") },
    ],
  },
  {
    name: "only-ended",
    about: "Terminating endpoints that do not serve any more are none",
    service: {},
    slices: [{ endpoints: [terminating("a1", { serving: false })] }],
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: REFUSED }],
  },
  {
    name: "named-ports",
    about: "A port's number is each slice's own",
    service: {},
    slices: [
      { endpoints: [{ at: "a1" }] },
      { ports: { tcp: 8081, http: 8081, udp: 8081, sctp: 8081 }, endpoints: [{ at: "b1" }] },
    ],
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: answered(["a1", "b1"]) }],
  },
  {
    name: "same-number",
    about: "TCP, UDP and SCTP ports of the same number are ports of their own",
    service: { type: "NodePort" },
    slices: [{
      ports: { tcp: 8080, http: 8081, udp: 8081, sctp: 8080 },
      endpoints: [{ at: "a1" }, { at: "b1" }],
    }],
    cases: [
      { from: "pod-a", to: CLUSTER_IP, expect: answered(["a1", "b1"]) },
      { from: "outside", to: nodePort("node-a"), expect: masqueraded(["a1", "b1"], "node-a") },
    ],
  },
  {
    name: "listed-twice",
    about: "An endpoint that is in two slices counts once",
    service: {},
    slices: [{ endpoints: [{ at: "a1" }, { at: "b1" }] }, { endpoints: [{ at: "a1" }] }],
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: answered(["a1", "b1"], "even") }],
  },
  {
    name: "ipv6-without-endpoints",
    about: "A dual-stack Service whose endpoints are of one family is refused in the other",
    service: { type: "NodePort" },
    slices: [{ families: ["IPv4"], endpoints: [{ at: "a1" }, { at: "b1" }] }],
    cases: [
      { from: "pod-a", to: CLUSTER_IP, families: ["IPv4"], expect: answered(["a1", "b1"]) },
      { from: "pod-a", to: CLUSTER_IP, families: ["IPv6"], expect: REFUSED },
      { from: "outside", to: nodePort("node-a"), families: ["IPv6"], expect: REFUSED },
    ],
  },
  {
    name: "hairpin",
    about: "A server reaches itself through its own Service; it then sees a node's address",
    service: { type: "LoadBalancer" },
    slices: ready("a1"),
    cases: [
      { from: "a1", to: CLUSTER_IP, expect: masqueraded(["a1"], "node-a") },
      { from: "a1", to: nodePort("node-a"), expect: masqueraded(["a1"], "node-a") },
      { from: "a1", to: LOAD_BALANCER_IP, expect: masqueraded(["a1"], "node-a") },
    ],
  },
  {
    name: "hairpin-local",
    about: "The same with externalTrafficPolicy Local",
    service: { type: "LoadBalancer", spec: { externalTrafficPolicy: "Local" } },
    slices: ready("a1"),
    cases: [
      { from: "a1", to: LOAD_BALANCER_IP, expect: masqueraded(["a1"], "node-a") },
      { from: "a1", to: nodePort("node-a"), expect: masqueraded(["a1"], "node-a") },
    ],
  },
  {
    name: "no-hairpin",
    about: "A server that reaches another one through a Service keeps its own address",
    service: {},
    slices: ready("b1"),
    cases: [{ from: "a1", to: CLUSTER_IP, expect: answered(["b1"]) }],
  },
  {
    name: "host-network",
    about:
      "An endpoint in the node's own network, a process of the node; nobody masquerades on the way to it",
    service: { type: "NodePort" },
    slices: ready("node-a"),
    cases: [
      { from: "pod-a", to: CLUSTER_IP, expect: answered(["node-a"]) },
      { from: "pod-b", to: CLUSTER_IP, expect: answered(["node-a"]) },
      { from: "node-a", to: CLUSTER_IP, expect: answered(["node-a"]) },
      { from: "outside", to: nodePort("node-a"), expect: answered(["node-a"]) },
    ],
  },
  {
    name: "beyond-the-nodes",
    about: "An endpoint that is no pod of the cluster",
    service: {},
    slices: ready("outside"),
    cases: [{ from: "pod-a", to: CLUSTER_IP, expect: answered(["outside"]) }],
  },
];

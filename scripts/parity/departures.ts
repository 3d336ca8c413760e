/**
 * Where Lightpath is to do otherwise than the table says, for a reason, and what it does not do yet. Pure.
 *
 * In: a row, a proxy. Out: the departure, if any. docs/parity.md is written from this.
 * Invariants: kube-proxy has none, it is what the table was written from; a pending row that holds as the table says fails the
 * run, so that this list is never longer than it has to be.
 * @module
 */
import type { NodeName } from "../lab/cluster_addresses.ts";
import type { Expectation, Row } from "./case.ts";
import type { ProxyName } from "./proxies.ts";

/** A departure from the table. */
export interface Departure {
  /** `different` is meant to be so; `pending` is not there yet. */
  readonly kind: "different" | "pending";
  /** What holds instead; undefined says that there is nothing to hold on to. */
  readonly expect: Expectation | undefined;
  readonly reason: string;
}

/** What carries a row's connections in Lightpath. */
export type RowCarrier = "envoy" | "kernel";

/** A departure, and the rows it is about. */
export interface DepartureRule {
  readonly kind: Departure["kind"];
  readonly carrier: RowCarrier | "any";
  /** The scenarios whose rows these are. @default all */
  readonly scenarios?: readonly string[];
  /** Of those the rows for which this holds. @default all */
  readonly matches?: (row: Row) => boolean;
  readonly expect?: (row: Row, carrier: RowCarrier) => Expectation;
  readonly reason: string;
}

const HINTS_OF_THE_CONTROLLER =
  "where no endpoint of a Service that asks for trafficDistribution has hints, those hold that the EndpointSlice controller " +
  "would write: manifests without a control plane need it";
const ENVOY_S_OWN_ADDRESS = "servers see the node's address where they should see the client's";
const NEEDS_CLUSTER_CIDR =
  "pods and the node itself get the node's own endpoints only where externalTrafficPolicy is Local, as the outside does";

/** The first that is about a row holds. */
export const DEPARTURES: readonly DepartureRule[] = [
  {
    kind: "different",
    carrier: "any",
    scenarios: ["same-zone-unhinted"],
    expect: (row, carrier) =>
      seenFromNode(
        { ...row, expect: { kind: "answered", by: ["a1"], source: "client", spread: "any" } },
        carrier,
      ),
    reason: HINTS_OF_THE_CONTROLLER,
  },
  {
    kind: "different",
    carrier: "envoy",
    scenarios: ["affinity-forgotten"],
    expect: (row) => ({
      kind: "answered",
      by: ["a1", "a2", "b1", "b2"],
      source: proxyingNode(row),
      spread: "affine",
    }),
    reason: "a hash of the client's address decides, without an end: nothing has to be remembered",
  },
  {
    kind: "different",
    carrier: "kernel",
    scenarios: ["affinity-forgotten"],
    expect: () => ({ kind: "answered", by: ["a1", "a2", "b1", "b2"], source: "client", spread: "affine" }),
    reason: "the timeout of sessionAffinity is rounded up, to no less than 5 s (redirect/affinity.ts): " +
      "a rule of nftables can name constants only, and iptables is given the same plan",
  },
  {
    kind: "different",
    carrier: "any",
    scenarios: ["source-ranges-of-one-family"],
    matches: ({ family }) => family === "IPv6",
    expect: () => ({ kind: "dropped" }),
    reason: "where ranges name addresses of one family, nobody of the other family may come: " +
      "who names the networks that may come means all others not to",
  },
  {
    kind: "pending",
    carrier: "kernel",
    scenarios: ["cluster-ip"],
    matches: ({ from }) => from === "outside",
    reason: "who comes from outside to a ClusterIP is not masqueraded",
  },
  {
    kind: "pending",
    carrier: "any",
    scenarios: ["cluster-ip", "served-by-others"],
    matches: ({ from, to, expect }) =>
      from === "pod-a" && expect.kind === "dropped" &&
      (to.kind === "UnallocatedClusterIP" || to.kind === "ClusterIP"),
    reason:
      "addresses of the service CIDR that no Service here has are not dropped, but go where the node's routes lead",
  },
  {
    kind: "pending",
    carrier: "any",
    scenarios: ["external-local", "external-local-elsewhere", "both-local"],
    matches: ({ from, to }) => from !== "outside" && to.kind !== "ClusterIP",
    reason: NEEDS_CLUSTER_CIDR,
  },
  {
    kind: "pending",
    carrier: "any",
    matches: ({ to }) => to.kind === "ClusterIP" && to.port !== undefined,
    reason: "ports that a Service does not have are not refused at its ClusterIP",
  },
  {
    kind: "pending",
    carrier: "envoy",
    matches: ({ expect, from, scenario }) =>
      expect.kind === "answered" && expect.source === "client" && !from.startsWith("node-") &&
      scenario !== "load-balancer-proxy",
    expect: seenFromNode,
    reason: ENVOY_S_OWN_ADDRESS,
  },
];

/** What a proxy does otherwise in a row. */
export function departureOf(row: Row, proxy: ProxyName): Departure | undefined {
  if (proxy === "kube-proxy") return undefined;
  const carrier = carrierOf(proxy, row);
  const rule = DEPARTURES.find((one) => isAbout(one, row, carrier));
  return rule && { kind: rule.kind, expect: rule.expect?.(row, carrier), reason: rule.reason };
}

/** Whether a departure is about a row that is carried so. */
export function isAbout(rule: DepartureRule, row: Row, carrier: RowCarrier): boolean {
  const { scenarios, matches } = rule;
  return (rule.carrier === "any" || rule.carrier === carrier) &&
    (scenarios?.includes(row.scenario) ?? true) && (matches?.(row) ?? true);
}

/** Envoy carries TCP only, and that only where it is asked to. */
export function carrierOf(
  proxy: Exclude<ProxyName, "kube-proxy">,
  { speech }: Pick<Row, "speech">,
): RowCarrier {
  return proxy !== "lightpath-kernel" && (speech === "tcp" || speech === "http") ? "envoy" : "kernel";
}

/** The node whose proxy a row's connections meet first. */
function proxyingNode({ from, to }: Row): NodeName {
  if (to.kind === "NodePort") return to.node;
  return from === "pod-b" || from === "node-b" ? "node-b" : "node-a";
}

/** What is expected; through Envoy, the servers are asked from the node's own address. */
function seenFromNode(row: Row, carrier: RowCarrier): Expectation {
  const { expect } = row;
  if (expect.kind !== "answered" || carrier === "kernel") return expect;
  return { ...expect, source: proxyingNode(row) };
}

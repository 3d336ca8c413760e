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

/** What carries a row's connections in Lightpath: Envoy, in its clients' names or in the node's, or the kernel. */
export type RowCarrier = "envoy" | "envoy-as-node" | "kernel";

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

/** The first that is about a row holds. */
export const DEPARTURES: readonly DepartureRule[] = [
  {
    kind: "different",
    carrier: "any",
    scenarios: ["same-zone-unhinted"],
    expect: (row, carrier) =>
      seenBy({ ...row, expect: { kind: "answered", by: ["a1"], source: "client", spread: "any" } }, carrier),
    reason: HINTS_OF_THE_CONTROLLER,
  },
  {
    kind: "different",
    carrier: "envoy-as-node",
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
    carrier: "any",
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
    kind: "different",
    carrier: "envoy",
    scenarios: ["cluster-ip"],
    matches: ({ from, expect }) => from === "outside" && expect.kind === "answered",
    expect: ({ expect }) => expect.kind === "answered" ? { ...expect, source: ["client", "node-a"] } : expect,
    reason:
      "who comes from outside to a ClusterIP is masqueraded on the way to endpoints of other nodes; those of this node, " +
      "which answer here anyhow, see the client",
  },
  {
    kind: "different",
    carrier: "envoy-as-node",
    matches: (row) =>
      row.expect.kind === "answered" && row.expect.source === "client" && row.from !== proxyingNode(row) &&
      row.scenario !== "load-balancer-proxy",
    expect: seenBy,
    reason:
      "servers see the node's address where they should see the client's: what Envoy's connections are for stands in " +
      "their sockets' priority, and no match of iptables reads that",
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

/** Envoy carries TCP only, and that only where it is asked to; and not from inside to what is Local for the outside. */
export function carrierOf(proxy: Exclude<ProxyName, "kube-proxy">, row: Row): RowCarrier {
  const isInside = OUTSIDE_LOCAL.includes(row.scenario) && row.to.kind !== "ClusterIP" &&
    (row.from.startsWith("pod-") || row.from === proxyingNode(row));
  const isTCP = row.speech === "tcp" || row.speech === "http";
  if (proxy === "lightpath-kernel" || !isTCP || isInside) return "kernel";
  return proxy === "lightpath" ? "envoy" : "envoy-as-node";
}

/** Scenarios with externalTrafficPolicy Local, as far as pods and nodes ask for anything but the ClusterIP. */
const OUTSIDE_LOCAL: readonly string[] = [
  "external-local",
  "external-local-elsewhere",
  "both-local",
  "affinity-local",
];

/** The node whose proxy a row's connections meet first. */
function proxyingNode({ from, to }: Row): NodeName {
  if (to.kind === "NodePort") return to.node;
  return from === "pod-b" || from === "node-b" ? "node-b" : "node-a";
}

/** What is expected; through an Envoy that connects in the node's name, the servers are asked from the node's own address. */
function seenBy(row: Row, carrier: RowCarrier): Expectation {
  const { expect } = row;
  if (expect.kind !== "answered" || carrier !== "envoy-as-node") return expect;
  return { ...expect, source: proxyingNode(row) };
}

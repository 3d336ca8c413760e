/**
 * Short words for what scenarios say often. Pure.
 * @module
 */
import type { NodeName } from "../../lab/cluster_addresses.ts";
import type { Speech } from "../../lab/whoami.ts";
import type { Backend, EndpointShape, Expectation, SliceShape, To } from "../case.ts";

export const CLUSTER_IP: To = { kind: "ClusterIP" };
export const LOAD_BALANCER_IP: To = { kind: "LoadBalancerIP" };
export const EXTERNAL_IP: To = { kind: "ExternalIP" };

export const REFUSED: Expectation = { kind: "refused" };
export const DROPPED: Expectation = { kind: "dropped" };

/**
 * Where a node itself has to refuse: one that has a raw socket for SCTP open, as servers and clients have in this lab, is
 * silent instead.
 */
export const NOT_SCTP: readonly Speech[] = ["tcp", "http", "udp"];

/** A node's NodePort. */
export function nodePort(
  node: NodeName,
  address: Extract<To, { kind: "NodePort" }>["address"] = "primary",
): To {
  return { kind: "NodePort", node, address };
}

/** All of these answer the client's own address. */
export function answered(
  by: readonly Backend[],
  spread: "any" | "even" | "affine" | "forgetful" = "any",
): Expectation {
  return { kind: "answered", by, source: "client", spread };
}

/** All of these answer an address of the node that masqueraded. */
export function masqueraded(
  by: readonly Backend[],
  source: NodeName,
  spread: "any" | "even" | "affine" = "any",
): Expectation {
  return { kind: "answered", by, source, spread };
}

/** One slice per family with these endpoints, all ready. */
export function ready(...at: readonly Backend[]): SliceShape[] {
  return [{ endpoints: at.map((one) => ({ at: one })) }];
}

/** An endpoint whose pod is about to end. */
export function terminating(at: Backend, { serving }: { readonly serving: boolean }): EndpointShape {
  return { at, conditions: { ready: false, serving, terminating: true } };
}

/** An endpoint that is not ready. */
export function unready(at: Backend): EndpointShape {
  return { at, conditions: { ready: false, serving: false, terminating: false } };
}

/** An endpoint that the EndpointSlice controller meant for the clients of a zone. */
export function forZone(at: Backend, zone: string): EndpointShape {
  return { at, hints: { forZones: [{ name: zone }], forNodes: [] } };
}

/** An endpoint that the EndpointSlice controller meant for the clients of a node. */
export function forNode(at: Backend, node: NodeName, zone: string): EndpointShape {
  return { at, hints: { forZones: [{ name: zone }], forNodes: [{ name: node }] } };
}

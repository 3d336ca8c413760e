/**
 * The words of the table of cases: which Services there are, who asks whom, and what has to come of it.
 *
 * A `Scenario` is one Service and what is asked of it; a case of it is expanded over protocols and families into `Row`s
 * (`rows.ts`). Everything is data: what kube-proxy does is written once and holds for every proxy, and what a proxy does
 * otherwise stands in `departures.ts`.
 * @module
 */
import type { IPFamily } from "../../agent/model/mod.ts";
import type { NodeName } from "../lab/cluster_addresses.ts";
import type { Speech } from "../lab/whoami.ts";

/** Servers: two pods on each node, a process on node-a in the node's own network, and a machine beyond the nodes. */
export type Backend = "a1" | "a2" | "b1" | "b2" | "node-a" | "outside";

/** Who asks: a pod of a node that serves nothing, a process on a node, the machine beyond, or a server's own pod. */
export type Place = "pod-a" | "pod-b" | NodeName | "outside" | "a1";

/** What is asked. */
export type To =
  /** The Service's own address; `port` is one it does not have. */
  | { readonly kind: "ClusterIP" | "LoadBalancerIP" | "ExternalIP"; readonly port?: number }
  /** A node's address: its InternalIP, its other one, the one its pods know it by, or that of the loopback interface. */
  | {
    readonly kind: "NodePort";
    readonly node: NodeName;
    readonly address: "primary" | "secondary" | "gateway" | "loopback";
  }
  /** The same of the port at which load balancers ask whether a node has endpoints. */
  | { readonly kind: "HealthCheckNodePort"; readonly node: NodeName }
  /** A ClusterIP that nobody has. */
  | { readonly kind: "UnallocatedClusterIP" };

/** Whose address a server may see. */
export type AddressOf = "client" | NodeName;

/** What has to come of a case. */
export type Expectation =
  | {
    readonly kind: "answered";
    /** All of these answer, and nobody else. */
    readonly by: readonly Backend[];
    /** Whose address they see: the client's own, or that of a node, which masqueraded; one of several. */
    readonly source: AddressOf | readonly AddressOf[];
    /**
     * Over several: `any` is no more than each once; `even` each about as often; `affine` one of them, always the same;
     * `forgetful` the same as asked with pauses longer than the affinity's timeout: not always the same.
     */
    readonly spread: "any" | "even" | "affine" | "forgetful";
  }
  /** At once, by a reset or an ICMP error that means it. */
  | { readonly kind: "refused" }
  /** Silence. */
  | { readonly kind: "dropped" }
  /** What a load balancer is told, as kube-proxy's JSON says it. */
  | { readonly kind: "health"; readonly status: 200 | 503; readonly localEndpoints: number };

/** One thing asked of a scenario's Service. */
export interface Case {
  readonly from: Place;
  readonly to: To;
  readonly expect: Expectation;
  /** Default: all that the Service has. */
  readonly speeches?: readonly Speech[];
  readonly families?: readonly IPFamily[];
}

/** An endpoint as an EndpointSlice has it. */
export interface EndpointShape {
  readonly at: Backend;
  /** @default { ready: true } */
  readonly conditions?: Readonly<Record<"ready" | "serving" | "terminating", boolean>>;
  readonly hints?: Readonly<Record<"forZones" | "forNodes", readonly { readonly name: string }[]>>;
}

/** A number at which servers answer. */
export type ServerPort = 8080 | 8081;

/** Endpoints of a Service whose ports have these numbers; one slice per family. */
export interface SliceShape {
  /** @default 8080 for all */
  readonly ports?: Readonly<Record<Speech, ServerPort>>;
  /** @default the Service's */
  readonly families?: readonly IPFamily[];
  readonly endpoints: readonly EndpointShape[];
}

/** A Service as far as it is not like all others (`objects.ts`). */
export interface ServiceShape {
  /** @default "ClusterIP" */
  readonly type?: "ClusterIP" | "NodePort" | "LoadBalancer";
  /** @default both, IPv4 first */
  readonly families?: readonly IPFamily[];
  /** One of each family: its own, the load balancer's too, or a node's. @default none */
  readonly externalIPs?: "own" | "load-balancer" | NodeName;
  /** The same of a load balancer's: its own, or what a node has beside its InternalIP. @default "own" */
  readonly loadBalancerIPs?: "own" | NodeName;
  readonly labels?: Readonly<Record<string, string>>;
  /** Laid over the spec. */
  readonly spec?: Readonly<Record<string, unknown>>;
  /** @default "VIP" */
  readonly ipMode?: "VIP" | "Proxy";
}

/** A Service, and what is asked of it. */
export interface Scenario {
  /** The Service's name. */
  readonly name: string;
  /** What it is about, for docs/parity.md. */
  readonly about: string;
  readonly service: ServiceShape;
  readonly slices: readonly SliceShape[];
  readonly cases: readonly Case[];
}

/** A case of one protocol and family: what is programmed, probed and judged. */
export interface Row {
  /** Unique: `affinity: pod-a to ClusterIP, tcp, IPv4`. */
  readonly name: string;
  readonly scenario: string;
  readonly from: Place;
  readonly to: To;
  readonly speech: Speech;
  readonly family: IPFamily;
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** At which port each server has to be asked. */
  readonly serverPorts: ReadonlyMap<Backend, number>;
  readonly expect: Expectation;
}

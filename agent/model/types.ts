/**
 * The vocabulary of the service model: what both data planes are derived from.
 *
 * A `ServicePort` is the unit of change: Kubernetes objects are joined into it by `reduce`, `xds/` translates it into
 * Clusters and a ClusterLoadAssignment, `redirect/` into set elements. It holds decisions (which endpoints are
 * usable, which VIPs this port owns, which way its traffic takes), not raw objects, so neither side decides again.
 * @module
 */

import type { NamespacedName } from "../kube/objects.ts";
import type { AnnotationFaultKind, PortSettings } from "./annotations/mod.ts";

/** As `Service.spec.ipFamilies` and `EndpointSlice.addressType` spell it. */
export type IPFamily = "IPv4" | "IPv6";

/** Both families, in the order in which everything is emitted. */
export const IP_FAMILIES: readonly IPFamily[] = ["IPv4", "IPv6"];

/** Addresses by family: canonical text, without brackets, each once. */
export type NodeAddresses = Readonly<Record<IPFamily, readonly string[]>>;

/** As `ServicePort.protocol` in the Kubernetes API. */
export type Protocol = "TCP" | "UDP" | "SCTP";

/** Names a port of a Service, as kube-proxy's type of this name does. */
export interface ServicePortName {
  readonly namespace: string;
  readonly name: string;
  /** The port's name; empty for the single unnamed port. */
  readonly port: string;
  readonly protocol: Protocol;
}

/** `namespace/name:port/PROTOCOL` or `namespace/name/PROTOCOL`: the text form of a ServicePortName, used as map key. */
export type ServicePortKey = string;

/** What a TCP port speaks, which decides the listener and the upstream protocol. */
export type AppProtocol =
  /** Opaque bytes. */
  | "tcp"
  /** HTTP/1.1, or HTTP/2 with prior knowledge where the client uses it: the client's version goes upstream. */
  | "http"
  /** HTTP/2 with prior knowledge (h2c, gRPC) upstream, whatever the client speaks. */
  | "http2"
  /** Redis' protocol: each command goes to the endpoint its key belongs to. */
  | "redis";

/**
 * Which way new connections to a destination (a VIP or NodePort) take.
 * - `envoy-tcp`, `envoy-http`: to the constant listener of that name.
 * - `kernel`: balanced by the kernel.
 * - `reject`: refused at once, because no endpoint is usable.
 * - `drop`: dropped, because usable endpoints exist, but the traffic policy `Local` allows none of them. A client is not told
 *   that nobody listens, since on other nodes somebody does (kube-proxy does the same).
 */
export type Path = "envoy-tcp" | "envoy-http" | "kernel" | "reject" | "drop";

/** What carries the connections of a ServicePort that has usable endpoints. UDP and SCTP: always the kernel. */
export type Carrier = "envoy" | "kernel";

/** Whose endpoints answer: all, or only this node's. As `internalTrafficPolicy` and `externalTrafficPolicy` spell it. */
export type TrafficPolicy = "Cluster" | "Local";

/** Why an address is served. */
export type VIPKind = "ClusterIP" | "ExternalIP" | "LoadBalancerIP";

/** What a client may connect to. */
export type DestinationKind = VIPKind | "NodePort";

/** An address and port that is answered on behalf of a ServicePort. */
export interface VIP {
  /** Canonical text: dotted quad, or RFC 5952 for IPv6. */
  readonly address: string;
  readonly family: IPFamily;
  readonly port: number;
  readonly kind: VIPKind;
}

/** A usable endpoint of a ServicePort. */
export interface Endpoint {
  /** Canonical text, without brackets. */
  readonly address: string;
  readonly port: number;
  /** Empty when unknown. */
  readonly zone: string;
  /** It runs on this node. */
  readonly isLocal: boolean;
  /** Nobody says on which node it runs: it may be this one. */
  readonly nodeUnknown?: true;
  /** How far it comes behind the nearest ones (`nearness.ts`), 1 or 2; absent: it is among those used first. */
  readonly tier?: number;
}

/** A port of a Service with everything decided that this node needs to know. Immutable: a change makes a new one. */
export interface ServicePort {
  readonly key: ServicePortKey;
  readonly name: ServicePortName;
  readonly appProtocol: AppProtocol;
  readonly carrier: Carrier;
  /** What its annotations ask for; all defaults for ports other than TCP. */
  readonly settings: PortSettings;
  /** The VIPs this port owns, in the order of `VIPKind`; one that another Service claimed first is not in here. */
  readonly vips: readonly VIP[];
  /** The NodePort this port owns, for the families below; 0 when there is none. */
  readonly nodePort: number;
  /** The families of the Service, in the order of `IP_FAMILIES`. */
  readonly families: readonly IPFamily[];
  /** Whether some endpoints may come before others (`nearness.ts`): its Clusters must know, without knowing endpoints. */
  readonly prefersNear: boolean;
  /** Of the traffic to ClusterIPs. */
  readonly internalTrafficPolicy: TrafficPolicy;
  /** Of the traffic to all other destinations. */
  readonly externalTrafficPolicy: TrafficPolicy;
  /** How long a client (its source address) keeps its endpoint after its last new connection, seconds; 0: not at all. */
  readonly affinityTimeoutSeconds: number;
  /** Who may use the LoadBalancerIPs: canonical CIDRs by family. Both lists empty: everybody; one: nobody of that family. */
  readonly loadBalancerSourceRanges: Readonly<Record<IPFamily, readonly string[]>>;
  /** Usable endpoints by family, sorted by zone, address, port, without duplicates. Empty means: reject. */
  readonly endpoints: Readonly<Record<IPFamily, readonly Endpoint[]>>;
  /** The same for the policy `Local`: usable endpoints of this node. Empty lists where neither policy is `Local`. */
  readonly localEndpoints: Readonly<Record<IPFamily, readonly Endpoint[]>>;
  /**
   * Endpoints that terminate but still serve, by family, also where others are used: what began with them may end there. Of
   * UDP only, whose flows the kernel goes on with for as long as somebody sends; empty lists otherwise.
   */
  readonly terminatingEndpoints: Readonly<Record<IPFamily, readonly Endpoint[]>>;
}

/** What a change did to one ServicePort. At least one side is present. */
export interface ServicePortChange {
  readonly before: ServicePort | undefined;
  readonly after: ServicePort | undefined;
}

/** What load balancers ask this node about a Service with `externalTrafficPolicy: Local`: whether it has endpoints here. */
export interface HealthCheck {
  readonly namespace: string;
  readonly name: string;
  /** `healthCheckNodePort`. */
  readonly port: number;
  /** How many ready endpoints run on this node, for the families of the Service; those that terminate do not count. */
  readonly localEndpoints: Readonly<Partial<Record<IPFamily, number>>>;
}

/** Something in the user's input that could not be served as written. */
export interface Problem {
  /** The object to mend, e.g. `Service default/echo`. */
  readonly object: string;
  /** Closed set, used as a metric label. */
  readonly kind: ProblemKind;
  /** One sentence: what is wrong, what Lightpath does instead, how to mend it. */
  readonly message: string;
  /** Of an invalid annotation: in which way. Closed set, used as a metric label. */
  readonly fault?: AnnotationFaultKind;
  /**
   * The Service, where the fault is in what it says itself and an API server has it: whoever wrote it can be told. What two
   * Services dispute is none of these: who has it changes with every one that comes and goes.
   */
  readonly service?: ServiceReference;
}

/** A Service as the API server knows it. */
export interface ServiceReference {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** Values of the label `kind` on `lightpath_problems`. */
export type ProblemKind =
  | "malformed"
  | "invalid-port"
  | "invalid-address"
  | "wrong-family"
  | "unknown-protocol"
  | "vip-conflict"
  | "node-port-conflict"
  | "health-check-port"
  | "duplicate-port"
  | "invalid-annotation"
  | "unsupported";

/** What one batch of events did to the model: exactly the touched ServicePorts, and the problems that came or went. */
export interface ModelDelta {
  /** The health checks that came, changed, or went (undefined). */
  readonly healthChecks: ReadonlyMap<NamespacedName, HealthCheck | undefined>;
  /** Keyed by ServicePortKey; equal (before, after) pairs are dropped. */
  readonly changes: ReadonlyMap<ServicePortKey, ServicePortChange>;
  readonly problemsAppeared: readonly Problem[];
  readonly problemsResolved: readonly Problem[];
  /** `lastChangeTriggerTimeMs` of the EndpointSlices that caused `changes`; without zeros. */
  readonly triggerTimesMs: readonly number[];
}

/** What the data planes may ask of the model. Every lookup is O(1). */
export interface ModelView {
  /** The ServicePort of that key, or undefined. */
  servicePort(key: ServicePortKey): ServicePort | undefined;
  /** All ServicePorts; for start and resync only, never on a per-change path. */
  servicePorts(): Iterable<ServicePort>;
  /** The ServicePort that owns a VIP (canonical address, port; TCP unless said otherwise), or undefined. */
  vipOwner(address: string, port: number, protocol?: Protocol): ServicePort | undefined;
  /** The ServicePort that owns a NodePort (TCP unless said otherwise) for a family, or undefined. */
  nodePortOwner(family: IPFamily, port: number, protocol?: Protocol): ServicePort | undefined;
}

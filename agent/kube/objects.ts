/**
 * The two Kubernetes objects Lightpath reads, reduced to the fields it reads, and the events both sources of
 * truth (the API server, a folder of manifests) deliver.
 *
 * In: decoded JSON or YAML of a `v1` Service or a `discovery.k8s.io/v1` EndpointSlice, of unknown shape.
 * Out: a `Service` or an `EndpointSlice` in which every field has the type it claims. What had another type is
 * left out and named in `malformed`; nothing here throws for the sake of one bad field.
 * What the values *mean* (an address of the wrong family, port 0, an unknown protocol) is judged in `agent/model/`.
 *
 * Source of the shapes: Kubernetes API reference, "Service v1" and "EndpointSlice v1 discovery.k8s.io".
 * @module
 */

/** `namespace/name`. Neither part can hold a slash (RFC 1123 labels and subdomains), so the text is unique. */
export type NamespacedName = string;

/** The parts of `ObjectMeta` that are read. */
export interface ObjectMeta {
  readonly namespace: string;
  readonly name: string;
  /** The key of every table that knows the object: one text for all of them, so that it is kept once. */
  readonly namespacedName: NamespacedName;
  /** Opaque; compared for equality only. Empty for manifests that carry none. */
  readonly resourceVersion: string;
  /** Milliseconds since the epoch; 0 when the object carries none (manifests). */
  readonly creationTimestampMs: number;
}

/** `spec.ports[]` of a Service, unjudged. */
export interface ServicePortSpec {
  /** Empty when the Service has a single unnamed port. */
  readonly name: string;
  /** As written; the API's default `TCP` is filled in. */
  readonly protocol: string;
  readonly port: number;
  /** 0 when the port has none. */
  readonly nodePort: number;
  /** Empty when not set. */
  readonly appProtocol: string;
}

/** `status.loadBalancer.ingress[]` entries that carry an IP (host names need no data plane). */
export interface LoadBalancerIngress {
  readonly ip: string;
  /** `VIP` (default) or `Proxy` (KEP-1860); with `Proxy` traffic must not be short-cut on the node. */
  readonly ipMode: string;
}

/** A `v1` Service, reduced. */
export interface Service extends ObjectMeta {
  readonly kind: "Service";
  /** Tells it from one of the same name before or after it; empty for manifests, which carry none. */
  readonly uid: string;
  /** `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`; the API's default is filled in. */
  readonly type: string;
  /** `spec.clusterIPs`, or `[spec.clusterIP]`; `["None"]` for a headless Service; empty when unallocated. */
  readonly clusterIPs: readonly string[];
  readonly externalIPs: readonly string[];
  readonly loadBalancerIngress: readonly LoadBalancerIngress[];
  /** `spec.loadBalancerSourceRanges`: who may use the load balancer's addresses; empty: everybody. */
  readonly loadBalancerSourceRanges: readonly string[];
  /** `spec.sessionAffinity`; empty when not set. */
  readonly sessionAffinity: string;
  /** `spec.sessionAffinityConfig.clientIP.timeoutSeconds`; 0 when not set. */
  readonly affinityTimeoutSeconds: number;
  /** `spec.internalTrafficPolicy`; empty when not set. */
  readonly internalTrafficPolicy: string;
  /** `spec.externalTrafficPolicy`; empty when not set. */
  readonly externalTrafficPolicy: string;
  /** `spec.healthCheckNodePort`; 0 when there is none. */
  readonly healthCheckNodePort: number;
  /** `spec.trafficDistribution`; empty when not set. */
  readonly trafficDistribution: string;
  readonly ports: readonly ServicePortSpec[];
  /** Label `service.kubernetes.io/service-proxy-name` (KEP-2447); empty when absent. */
  readonly proxyName: string;
  /** Label `service.kubernetes.io/headless` is present: kube-proxy ignores such a Service. */
  readonly headlessLabel: boolean;
  /** Annotations under `config.lightpath.cloud/` and `lightpath.cloud/`; all others are dropped. */
  readonly annotations: Readonly<Record<string, string>>;
  /** One sentence for each field that could not be read. */
  readonly malformed: readonly string[];
}

/** `ports[]` of an EndpointSlice, unjudged. A slice resolves a Service's named `targetPort` for its own pods. */
export interface EndpointSlicePort {
  /** Equals the Service port's `name`; empty when unnamed. */
  readonly name: string;
  readonly protocol: string;
  readonly port: number;
}

/** `endpoints[]` of an EndpointSlice. */
export interface SliceEndpoint {
  /** All addresses are of the slice's `addressType`; consumers use the first (API reference). */
  readonly address: string;
  /** Unset in the API means unknown, to be read as `true`. */
  readonly ready: boolean;
  /** Unset means: same as `ready`. */
  readonly serving: boolean;
  readonly terminating: boolean;
  /** Empty when unknown. */
  readonly nodeName: string;
  /** Empty when unknown. */
  readonly zone: string;
  /** `hints.forZones`: the zones whose clients should use it; empty: no hint. */
  readonly hintedZones: readonly string[];
  /** `hints.forNodes`: the nodes whose clients should use it; empty: no hint. */
  readonly hintedNodes: readonly string[];
}

/** A `discovery.k8s.io/v1` EndpointSlice, reduced. */
export interface EndpointSlice extends ObjectMeta {
  readonly kind: "EndpointSlice";
  /** Label `kubernetes.io/service-name`; empty when the slice belongs to no Service. */
  readonly serviceName: string;
  /** `IPv4`, `IPv6`, or `FQDN` (which no proxy serves). */
  readonly addressType: string;
  readonly ports: readonly EndpointSlicePort[];
  readonly endpoints: readonly SliceEndpoint[];
  /**
   * Annotation `endpoints.kubernetes.io/last-change-trigger-time`, milliseconds since the epoch; 0 when absent.
   * kube-proxy measures `network_programming_duration_seconds` from it.
   */
  readonly lastChangeTriggerTimeMs: number;
  /** One sentence for each field that could not be read. */
  readonly malformed: readonly string[];
}

/** Either object; told apart by `kind`. */
export type KubeObject = Service | EndpointSlice;

/** What a source says about one object. `apply` means: it exists and looks like this. */
export type ObjectEvent =
  | { readonly type: "apply"; readonly object: KubeObject }
  | { readonly type: "delete"; readonly kind: KubeObject["kind"]; readonly namespacedName: NamespacedName };

/** Who takes what a source says. Both are called in order, and finish before the source goes on. */
export interface ObjectSink {
  /** A batch of events, never empty. Before `synced` they are a part of the state, from which nothing may be served. */
  take(events: readonly ObjectEvent[]): void;
  /** What was taken so far is the complete state of both kinds, possibly none. Called once. */
  synced(): void;
}

/**
 * Where objects come from. After `synced` each batch is a change; a relist arrives as exactly the differences, missed
 * deletions included.
 *
 * `run` returns when the signal aborts and rejects only for a fault that no retry can mend.
 */
export interface ObjectSource {
  run(sink: ObjectSink, signal: AbortSignal): Promise<void>;
  /**
   * A Service as it is now, also one that `run` passes over because it cannot be this agent's. Undefined when there is none.
   * @throws {Error} with one sentence when that cannot be found out; the signal's reason when it aborts
   */
  findService(name: NamespacedName, signal: AbortSignal): Promise<Service | undefined>;
}

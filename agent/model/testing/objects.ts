/**
 * Builders of Services and EndpointSlices for tests: everything defaulted, each test names only what it is about.
 * @module
 */
import type {
  EndpointSlice,
  NamespacedName,
  Service,
  ServicePortSpec,
  SliceEndpoint,
} from "../../kube/objects.ts";

/** A port named `http`, 80/TCP, unless said otherwise. */
export function portSpec(overrides: Partial<ServicePortSpec> = {}): ServicePortSpec {
  return { name: "http", protocol: "TCP", port: 80, nodePort: 0, appProtocol: "", ...overrides };
}

/** `default/echo` with ClusterIP 10.96.0.10 and the port of `portSpec()`, unless said otherwise. */
export function service(overrides: Partial<Service> = {}): Service {
  return named({
    kind: "Service",
    uid: "",
    namespace: "default",
    name: "echo",
    resourceVersion: "1",
    creationTimestampMs: 0,
    type: "ClusterIP",
    clusterIPs: ["10.96.0.10"],
    externalIPs: [],
    loadBalancerIngress: [],
    loadBalancerSourceRanges: [],
    sessionAffinity: "",
    affinityTimeoutSeconds: 0,
    internalTrafficPolicy: "",
    externalTrafficPolicy: "",
    healthCheckNodePort: 0,
    trafficDistribution: "",
    ports: [portSpec()],
    proxyName: "",
    headlessLabel: false,
    annotations: {},
    malformed: [],
    ...overrides,
  });
}

/** A ready endpoint on no node and in no zone. */
export function endpoint(address: string, overrides: Partial<SliceEndpoint> = {}): SliceEndpoint {
  return {
    address,
    ready: true,
    serving: true,
    terminating: false,
    nodeName: "",
    zone: "",
    hintedZones: [],
    hintedNodes: [],
    ...overrides,
  };
}

/** `default/echo-1` of Service `echo`: IPv4, port `http` at 8080, no endpoints, unless said otherwise. */
export function slice(overrides: Partial<EndpointSlice> = {}): EndpointSlice {
  return named({
    kind: "EndpointSlice",
    namespace: "default",
    name: "echo-1",
    resourceVersion: "1",
    creationTimestampMs: 0,
    serviceName: "echo",
    addressType: "IPv4",
    ports: [{ name: "http", protocol: "TCP", port: 8080 }],
    endpoints: [],
    lastChangeTriggerTimeMs: 0,
    malformed: [],
    ...overrides,
  });
}

function named<T extends { readonly namespace: string; readonly name: string }>(
  object: T,
): T & { readonly namespacedName: NamespacedName } {
  return { ...object, namespacedName: `${object.namespace}/${object.name}` };
}

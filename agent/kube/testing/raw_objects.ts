/**
 * Services and EndpointSlices as an API server holds them, with all fields that are read and many that are not.
 * @module
 */
import type { Json } from "./protobuf_encoder.ts";

/** Decoded JSON of an object. */
export type RawFields = { readonly [key: string]: Json };

const MANAGED_FIELDS: Json = [{
  manager: "kube-controller-manager",
  operation: "Update",
  apiVersion: "v1",
  time: "2026-01-02T03:04:05Z",
  fieldsType: "FieldsV1",
  fieldsV1: {
    "f:spec": { "f:ports": { ".": {}, 'k:{"port":80,"protocol":"TCP"}': { ".": {}, "f:port": {} } } },
  },
}];

/** A Service in which everything is set. */
export const FULL_SERVICE: RawFields = {
  metadata: {
    namespace: "shop",
    name: "web",
    uid: "0d2f6a0e-8a53-4f3c-9d0e-1f2a3b4c5d6e",
    resourceVersion: "123456789012",
    generation: 3,
    creationTimestamp: "2026-01-02T03:04:05Z",
    labels: {
      app: "web",
      "service.kubernetes.io/service-proxy-name": "lightpath.cloud",
      "service.kubernetes.io/headless": "",
    },
    annotations: {
      "lightpath.cloud/note": "größer ☃ 🚀",
      "config.lightpath.cloud/timeout": "5s",
      "other.example/long": "x".repeat(300),
    },
    managedFields: MANAGED_FIELDS,
  },
  spec: {
    type: "LoadBalancer",
    clusterIP: "10.96.0.7",
    clusterIPs: ["10.96.0.7", "fd00:96::7"],
    externalIPs: ["192.0.2.7", "2001:db8::7"],
    loadBalancerSourceRanges: ["198.51.100.0/24"],
    selector: { app: "web" },
    sessionAffinity: "ClientIP",
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } },
    externalTrafficPolicy: "Local",
    internalTrafficPolicy: "Cluster",
    trafficDistribution: "PreferSameZone",
    ipFamilyPolicy: "PreferDualStack",
    ipFamilies: ["IPv4", "IPv6"],
    allocateLoadBalancerNodePorts: true,
    publishNotReadyAddresses: false,
    healthCheckNodePort: 31234,
    ports: [
      {
        name: "http",
        protocol: "TCP",
        port: 80,
        targetPort: "web",
        nodePort: 30080,
        appProtocol: "kubernetes.io/h2c",
      },
      { name: "dns", protocol: "UDP", port: 53, targetPort: 5353, nodePort: 0 },
      { name: "sctp", protocol: "SCTP", port: 65535, targetPort: 1 },
    ],
  },
  status: {
    loadBalancer: {
      ingress: [
        { ip: "192.0.2.8", ipMode: "VIP" },
        { hostname: "lb.example" },
        { ip: "192.0.2.9", ipMode: "Proxy" },
        { ip: "192.0.2.10" },
      ],
    },
  },
};

/** An EndpointSlice in which everything is set. */
export const FULL_SLICE: RawFields = {
  metadata: {
    namespace: "shop",
    name: "web-abcde",
    generateName: "web-",
    uid: "1d2f6a0e-8a53-4f3c-9d0e-1f2a3b4c5d6e",
    resourceVersion: "7",
    creationTimestamp: "2026-01-02T03:04:06Z",
    labels: { "kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": "controller" },
    annotations: { "endpoints.kubernetes.io/last-change-trigger-time": "2026-01-02T03:04:05.5Z" },
    managedFields: MANAGED_FIELDS,
  },
  addressType: "IPv4",
  ports: [
    { name: "http", protocol: "TCP", port: 8080, appProtocol: "http" },
    { name: "dns", protocol: "UDP", port: 5353 },
    { name: "any", protocol: "TCP" },
    { port: 9090 },
  ],
  endpoints: [
    {
      addresses: ["10.244.0.1", "10.244.0.2"],
      conditions: { ready: true, serving: true, terminating: false },
      hostname: "web-0",
      targetRef: { kind: "Pod", namespace: "shop", name: "web-0", uid: "u" },
      nodeName: "node-1",
      zone: "zone-a",
      hints: { forZones: [{ name: "zone-a" }, { name: "zone-b" }], forNodes: [{ name: "node-1" }] },
    },
    { addresses: ["10.244.0.3"], conditions: { ready: false, serving: true, terminating: true } },
    { addresses: ["10.244.0.4"], conditions: { ready: false } },
    { addresses: ["10.244.0.5"], conditions: {} },
    { addresses: ["10.244.0.6"], nodeName: "node-ü" },
    { addresses: [], nodeName: "nowhere" },
  ],
};

/** A Service in which nothing is set that need not be. */
export const BARE_SERVICE: RawFields = {
  metadata: { namespace: "default", name: "s", resourceVersion: "1" },
};

/** An EndpointSlice in which nothing is set that need not be. */
export const BARE_SLICE: RawFields = {
  metadata: { namespace: "default", name: "e", resourceVersion: "2" },
};

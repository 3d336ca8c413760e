/**
 * The objects of a benchmark: N Services with two endpoints each, as an API server would hold them.
 *
 * In: a shape (how many Services, which of them are used and by whom they are answered) and, per Service, how often it
 * has been changed. Out: its Service and EndpointSlices as decoded JSON. Pure: equal input gives equal objects.
 * Invariants: Services 0 … used-1 lead to real backends, all others to addresses of nobody; every VIP is its own; each
 * change is one that clusters make every day, and undoes itself when it is made often enough. Labels, annotations, owner references and managed fields are about as many as Helm, the endpointslice
 * controller and the API server leave on real objects, so that the cost of reading them is an honest one.
 * @module
 */

/** What kind of cluster. */
export interface WorldShape {
  /** At most {@linkcode MAX_SERVICES}. */
  readonly services: number;
  /** Addresses that answer on {@linkcode BACKEND_PORT}, at least three. */
  readonly backends: readonly string[];
}

/** How often a Service was changed so far, by kind of change. */
export interface Generation {
  /** One of the two endpoints moves, and comes back. */
  readonly endpoints: number;
  /** The port becomes another one, and 80 again. */
  readonly port: number;
  /** The endpoints move from one slice to two, to the other, and back. */
  readonly slices: number;
  /** Both endpoints are no longer ready, and are again. */
  readonly readiness: number;
  /** The Service and its slices are deleted, and created again. */
  readonly presence: number;
}

/** What is changed of a Service. */
export type ChangeKind = keyof Generation;

/** An object as its API sends it. */
export type RawObject = {
  readonly apiVersion: string;
  readonly kind: "Service" | "EndpointSlice";
  readonly metadata: Readonly<Record<string, unknown>> & {
    readonly namespace: string;
    readonly name: string;
  };
} & Readonly<Record<string, unknown>>;

/** As many VIPs as 10.96.0.0/16 holds in the scheme of `vipOf`. */
export const MAX_SERVICES = 250 * 250;
/** How many Services the node uses. */
export const USED_SERVICES = 100;
/** Where the backends answer. */
export const BACKEND_PORT = 8080;

/** A Service as it was created. */
export const UNCHANGED: Generation = { endpoints: 0, port: 0, slices: 0, readiness: 0, presence: 0 };

const NAMESPACES = 50;
const SERVICE_PORT = 80;
const CREATED = "2026-01-15T09:30:00Z";

/** How many of a world's Services lead to real backends. */
export function usedServices({ services }: WorldShape): number {
  return Math.min(services, USED_SERVICES);
}

/** The namespace of a Service and its slice. */
export function namespaceOf(index: number): string {
  return `team-${index % NAMESPACES}`;
}

/** All namespaces of a world. */
export function namespaces(shape: WorldShape): string[] {
  return Array.from({ length: Math.min(NAMESPACES, shape.services) }, (_, index) => namespaceOf(index));
}

/** The name of a Service. */
export function nameOf(index: number): string {
  return `application-${index}`;
}

/** The VIP of a Service. */
export function vipOf(index: number): string {
  return `10.96.${1 + Math.floor(index / 250)}.${1 + index % 250}`;
}

/** The port of a Service: 80, and something else every other time. */
export function portOf({ port }: Pick<Generation, "port">): number {
  return port % 2 === 0 ? SERVICE_PORT : 8000 + port % 1000;
}

/** The addresses behind a Service, two. */
export function endpointsOf(
  shape: WorldShape,
  index: number,
  { endpoints }: Pick<Generation, "endpoints">,
): string[] {
  const { backends } = shape;
  if (index < usedServices(shape)) {
    return [backends[index % backends.length]!, backends[(index + 1 + endpoints % 2) % backends.length]!];
  }
  // 10.128.0.0/9 is nobody's in the lab.
  const moved = (index * 2 + 1 + (endpoints % 2) * MAX_SERVICES * 2) % (127 * 250 * 250);
  return [nobody(index * 2), nobody(moved)];
}

function nobody(host: number): string {
  return `10.${128 + Math.floor(host / 62_500)}.${Math.floor(host / 250) % 250}.${1 + host % 250}`;
}

/** Whether a Service is there. */
export function isPresent({ presence }: Pick<Generation, "presence">): boolean {
  return presence % 2 === 0;
}

/** What an API server holds of a Service: it and its slices, or nothing. */
export function objectsOf(shape: WorldShape, index: number, generation: Generation): RawObject[] {
  if (!isPresent(generation)) return [];
  return [serviceObject(index, generation), ...sliceObjects(shape, index, generation)];
}

/** The Service. Every other one is HTTP, the rest plain TCP. */
function serviceObject(index: number, generation: Generation): RawObject {
  const name = nameOf(index);
  const manager = { manager: "helm", operation: "Update", apiVersion: "v1", time: CREATED };
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      ...identity(index, "service"),
      labels: labelsOf(index),
      annotations: {
        "meta.helm.sh/release-name": name,
        "meta.helm.sh/release-namespace": namespaceOf(index),
        "prometheus.io/port": "9090",
        "prometheus.io/scrape": "true",
      },
      managedFields: [{
        ...manager,
        fieldsType: "FieldsV1",
        fieldsV1: {
          "f:metadata": {
            "f:annotations": { ".": {}, "f:meta.helm.sh/release-name": {}, "f:prometheus.io/scrape": {} },
            "f:labels": { ".": {}, "f:app.kubernetes.io/instance": {}, "f:app.kubernetes.io/name": {} },
          },
          "f:spec": {
            "f:internalTrafficPolicy": {},
            "f:ports": { ".": {}, 'k:{"port":80,"protocol":"TCP"}': { ".": {}, "f:name": {}, "f:port": {} } },
            "f:selector": {},
            "f:sessionAffinity": {},
            "f:type": {},
          },
        },
      }],
    },
    spec: {
      ports: [{
        name: "main",
        protocol: "TCP",
        appProtocol: index % 2 === 0 ? "http" : "kubernetes.io/wss",
        port: portOf(generation),
        targetPort: BACKEND_PORT,
      }],
      selector: { "app.kubernetes.io/name": name, "app.kubernetes.io/instance": name },
      clusterIP: vipOf(index),
      clusterIPs: [vipOf(index)],
      type: "ClusterIP",
      sessionAffinity: "None",
      ipFamilies: ["IPv4"],
      ipFamilyPolicy: "SingleStack",
      internalTrafficPolicy: "Cluster",
    },
    status: { loadBalancer: {} },
  };
}

/** Which slices hold the first and the second endpoint, as often as the slices were changed. */
const LAYOUTS: readonly (readonly ["a" | "b", "a" | "b"])[] = [["a", "a"], ["a", "b"], ["b", "b"]];

function sliceObjects(shape: WorldShape, index: number, generation: Generation): RawObject[] {
  const layout = LAYOUTS[generation.slices % LAYOUTS.length]!;
  const endpoints = endpointObjects(shape, index, generation);
  return [...new Set(layout)].map((slice) =>
    sliceObject(index, slice, endpoints.filter((_, which) => layout[which] === slice))
  );
}

function sliceObject(index: number, which: "a" | "b", endpoints: readonly unknown[]): RawObject {
  const { uid: owner } = identity(index, "service");
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      ...identity(index, which),
      labels: {
        ...labelsOf(index),
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "kubernetes.io/service-name": nameOf(index),
      },
      annotations: { "endpoints.kubernetes.io/last-change-trigger-time": CREATED },
      ownerReferences: [{
        apiVersion: "v1",
        kind: "Service",
        name: nameOf(index),
        uid: owner,
        controller: true,
        blockOwnerDeletion: true,
      }],
      managedFields: [{
        manager: "kube-controller-manager",
        operation: "Update",
        apiVersion: "discovery.k8s.io/v1",
        time: CREATED,
        fieldsType: "FieldsV1",
        fieldsV1: {
          "f:addressType": {},
          "f:endpoints": {},
          "f:metadata": {
            "f:annotations": { ".": {}, "f:endpoints.kubernetes.io/last-change-trigger-time": {} },
            "f:generateName": {},
            "f:labels": { ".": {}, "f:kubernetes.io/service-name": {} },
            "f:ownerReferences": { ".": {}, [`k:{"uid":"${owner}"}`]: {} },
          },
          "f:ports": {},
        },
      }],
    },
    addressType: "IPv4",
    ports: [{ name: "main", protocol: "TCP", port: BACKEND_PORT }],
    endpoints,
  };
}

function endpointObjects(shape: WorldShape, index: number, generation: Generation): unknown[] {
  const ready = generation.readiness % 2 === 0;
  return endpointsOf(shape, index, generation).map((address, which) => ({
    addresses: [address],
    conditions: { ready, serving: ready, terminating: false },
    nodeName: `node-${(index * 7 + which) % 200}`,
    zone: `zone-${"abc"[(index + which) % 3]}`,
    targetRef: {
      kind: "Pod",
      namespace: namespaceOf(index),
      name: `${nameOf(index)}-6d5f8b7c9d-${(index * 2 + which).toString(36).padStart(5, "0")}`,
      uid: uid(index * 4 + which, "pod"),
    },
  }));
}

function identity(
  index: number,
  of: "service" | "a" | "b",
): RawObject["metadata"] & { readonly uid: string } {
  return {
    name: of === "service" ? nameOf(index) : `${nameOf(index)}-${index.toString(36).padStart(4, "0")}${of}`,
    namespace: namespaceOf(index),
    uid: uid(index, of),
    creationTimestamp: CREATED,
  };
}

function labelsOf(index: number): Readonly<Record<string, string>> {
  return {
    "app.kubernetes.io/instance": nameOf(index),
    "app.kubernetes.io/managed-by": "Helm",
    "app.kubernetes.io/name": nameOf(index),
    "app.kubernetes.io/part-of": `product-${index % 40}`,
    "app.kubernetes.io/version": "1.42.0",
    "helm.sh/chart": "application-3.7.1",
  };
}

/** Looks like a UUID, and is another for each object. */
function uid(index: number, of: "service" | "a" | "b" | "pod"): string {
  const kind = { service: "a", a: "b", b: "d", pod: "c" }[of];
  return `${index.toString(16).padStart(8, "0")}-77aa-4${kind}07-9f3e-5b2d41c8e6f0`;
}

/**
 * Turns decoded JSON or YAML of unknown shape into a `Service` or an `EndpointSlice` with only the fields we read.
 *
 * In: one object, from an API server's list or watch, or from a manifest.
 * Out: the object; or why it is none of our business (`ignored`); or why it cannot be named (`invalid`).
 * Invariants: nothing throws. A field of the wrong type is left out and named in `malformed`; what a value means is
 * judged by the model. The API's defaults are filled in, because manifests have not been through an API server.
 * Source: Kubernetes API reference, "Service v1" and "EndpointSlice v1 discovery.k8s.io".
 * @module
 */
import { FieldReader, isFields } from "./_fields.ts";
import type {
  EndpointSlice,
  EndpointSlicePort,
  KubeObject,
  LoadBalancerIngress,
  ObjectMeta,
  Service,
  ServicePortSpec,
  SliceEndpoint,
} from "./objects.ts";

/** What {@linkcode parseKubeObject} made of its input. */
export type ParseResult =
  | { readonly object: KubeObject }
  /** Another kind of object, or another API version; nothing is wrong. */
  | { readonly ignored: string }
  /** Claims to be one of ours, or nothing at all, and has no usable name. */
  | { readonly invalid: string };

/** The `apiVersion` each kind is read in. */
export const API_VERSIONS: Readonly<Record<KubeObject["kind"], string>> = {
  Service: "v1",
  EndpointSlice: "discovery.k8s.io/v1",
};

/** Label (KEP-2447) by which a Service chooses a proxy other than kube-proxy. */
export const SERVICE_PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name";
/** Label that marks a headless Service, or a slice of one. */
export const HEADLESS_LABEL = "service.kubernetes.io/headless";

/** Label of a slice: the Service it belongs to. */
export const SERVICE_NAME_LABEL = "kubernetes.io/service-name";
/** Annotation of a slice: when what it tells happened. */
export const LAST_CHANGE_TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time";
/** Annotations of a Service that are read begin with one of these. */
export const ANNOTATION_PREFIXES: readonly string[] = ["config.lightpath.cloud/", "lightpath.cloud/"];

/**
 * Reads one object.
 *
 * @param raw Decoded JSON or YAML.
 * @param kind What the object is when it does not say so itself: items of a list carry neither kind nor apiVersion.
 */
export function parseKubeObject(raw: unknown, kind?: KubeObject["kind"]): ParseResult {
  if (!isFields(raw)) return { invalid: "not an object with apiVersion, kind and metadata" };
  const claimedKind = raw["kind"] ?? kind;
  if (typeof claimedKind !== "string") return { invalid: "kind is missing" };
  if (claimedKind !== "Service" && claimedKind !== "EndpointSlice") {
    return { ignored: `kind ${claimedKind.slice(0, 60)} is not read` };
  }
  const wanted = API_VERSIONS[claimedKind];
  const apiVersion = raw["apiVersion"] ?? (kind === undefined ? undefined : wanted);
  if (apiVersion === undefined) return { invalid: `apiVersion is missing: ${claimedKind} needs ${wanted}` };
  // Other groups have kinds of this name too (a Knative Service), and old versions have other fields.
  if (apiVersion !== wanted) {
    return { ignored: `${claimedKind} of ${String(apiVersion).slice(0, 60)} is not read` };
  }

  const malformed: string[] = [];
  const root = new FieldReader(raw, "", malformed);
  const metadata = root.object("metadata");
  // As kubectl does for manifests; an API server always gives one.
  const namespace = metadata.sharedText("namespace") || "default";
  const name = metadata.text("name");
  const meta: ObjectMeta = {
    namespace,
    name,
    namespacedName: `${namespace}/${name}`,
    resourceVersion: metadata.text("resourceVersion"),
    creationTimestampMs: metadata.timeMs("creationTimestamp"),
  };
  if (name === "") return { invalid: `${claimedKind} without metadata.name` };
  if (name.includes("/") || namespace.includes("/")) {
    return { invalid: `${claimedKind} ${namespace}/${name}: a name cannot hold a slash` };
  }
  switch (claimedKind) {
    case "Service":
      return { object: { kind: claimedKind, ...meta, ...readService(root, metadata), malformed } };
    case "EndpointSlice":
      return { object: { kind: claimedKind, ...meta, ...readEndpointSlice(root, metadata), malformed } };
    default: {
      const unreachable: never = claimedKind;
      return { ignored: String(unreachable) };
    }
  }
}

/** What a kind holds beyond its metadata. */
type Body<T extends KubeObject> = Omit<T, keyof ObjectMeta | "kind" | "malformed">;

function readService(root: FieldReader, metadata: FieldReader): Body<Service> {
  const labels = metadata.object("labels");
  const spec = root.object("spec");
  const clusterIPs = spec.texts("clusterIPs");
  const clusterIP = spec.text("clusterIP");
  return {
    uid: metadata.text("uid"),
    type: spec.sharedText("type", "ClusterIP"),
    clusterIPs: clusterIPs.length > 0 || clusterIP === "" ? clusterIPs : [clusterIP],
    externalIPs: spec.texts("externalIPs"),
    loadBalancerIngress: root.object("status").object("loadBalancer").objects("ingress").flatMap(readIngress),
    loadBalancerSourceRanges: spec.texts("loadBalancerSourceRanges"),
    sessionAffinity: spec.sharedText("sessionAffinity"),
    affinityTimeoutSeconds:
      spec.object("sessionAffinityConfig").object("clientIP").number("timeoutSeconds") ?? 0,
    internalTrafficPolicy: spec.sharedText("internalTrafficPolicy"),
    externalTrafficPolicy: spec.sharedText("externalTrafficPolicy"),
    healthCheckNodePort: spec.number("healthCheckNodePort") ?? 0,
    trafficDistribution: spec.sharedText("trafficDistribution"),
    ports: spec.objects("ports").flatMap(readServicePort),
    proxyName: labels.text(SERVICE_PROXY_NAME_LABEL),
    headlessLabel: labels.has(HEADLESS_LABEL),
    annotations: readAnnotations(metadata.object("annotations")),
  };
}

function readIngress(reader: FieldReader): LoadBalancerIngress[] {
  const ip = reader.text("ip");
  return ip === "" ? [] : [{ ip, ipMode: reader.sharedText("ipMode", "VIP") }];
}

function readServicePort(reader: FieldReader): ServicePortSpec[] {
  const port = reader.number("port");
  if (port === undefined) {
    if (!reader.has("port")) reader.missing("port", "the port is left out");
    return [];
  }
  return [{
    name: reader.sharedText("name"),
    protocol: reader.sharedText("protocol", "TCP"),
    port,
    nodePort: reader.number("nodePort") ?? 0,
    appProtocol: reader.sharedText("appProtocol"),
  }];
}

function readAnnotations(reader: FieldReader): Record<string, string> {
  const annotations: Record<string, string> = {};
  for (const key of reader.keys()) {
    if (!ANNOTATION_PREFIXES.some((prefix) => key.startsWith(prefix))) continue;
    const value = reader.optionalText(key);
    if (value !== undefined) annotations[key] = value;
  }
  return annotations;
}

function readEndpointSlice(root: FieldReader, metadata: FieldReader): Body<EndpointSlice> {
  return {
    serviceName: metadata.object("labels").text(SERVICE_NAME_LABEL),
    addressType: root.sharedText("addressType"),
    // In the order of the fields' numbers, so that faults are named in the order in which protobuf shows them.
    endpoints: root.objects("endpoints").flatMap(readEndpoint),
    ports: root.objects("ports").flatMap(readSlicePort),
    lastChangeTriggerTimeMs: metadata.object("annotations").timeMs(LAST_CHANGE_TRIGGER_TIME),
  };
}

function readSlicePort(reader: FieldReader): EndpointSlicePort[] {
  const port = reader.number("port");
  if (port === undefined) {
    // The API allows it ("not restricted"), for consumers other than a service proxy; kube-proxy skips it too.
    if (!reader.has("port")) reader.missing("port", "the port is left out");
    return [];
  }
  return [{ name: reader.sharedText("name"), protocol: reader.sharedText("protocol", "TCP"), port }];
}

function readEndpoint(reader: FieldReader): SliceEndpoint[] {
  const address = reader.texts("addresses")[0];
  if (address === undefined) {
    reader.missing("addresses", "the endpoint is left out");
    return [];
  }
  const conditions = reader.object("conditions");
  const hints = reader.object("hints");
  const ready = conditions.boolean("ready") ?? true;
  return [{
    address,
    ready,
    serving: conditions.boolean("serving") ?? ready,
    terminating: conditions.boolean("terminating") ?? false,
    nodeName: reader.sharedText("nodeName"),
    zone: reader.sharedText("zone"),
    hintedZones: readNames(hints.objects("forZones")),
    hintedNodes: readNames(hints.objects("forNodes")),
  }];
}

/** For what most endpoints do not have: one list for all of them. */
const NONE: readonly never[] = [];

/** The names of a list of objects that have nothing else. */
function readNames(readers: readonly FieldReader[]): readonly string[] {
  if (readers.length === 0) return NONE;
  return readers.map((reader) => reader.sharedText("name")).filter((name) => name !== "");
}

/**
 * Reads the fields we read of a Service, from protobuf.
 *
 * In: a message `v1.Service`. Out: what `parseKubeObject` makes of the same Service in JSON.
 * Source: `generated.proto` of k8s.io/api/core/v1. What is not set is absent or, where Go has no pointer, empty or 0;
 * both read the same.
 * @module
 */
import type { LoadBalancerIngress, Service, ServicePortSpec } from "../objects.ts";
import { NO_METADATA, readMetadata } from "./protobuf_metadata.ts";
import { bytesTag, numberTag, type ProtobufReader } from "./protobuf_reader.ts";

const SERVICE = { metadata: bytesTag(1), spec: bytesTag(2), status: bytesTag(3) };
const SERVICE_SPEC = {
  ports: bytesTag(1),
  clusterIP: bytesTag(3),
  type: bytesTag(4),
  externalIPs: bytesTag(5),
  sessionAffinity: bytesTag(7),
  loadBalancerSourceRanges: bytesTag(9),
  externalTrafficPolicy: bytesTag(11),
  healthCheckNodePort: numberTag(12),
  sessionAffinityConfig: bytesTag(14),
  clusterIPs: bytesTag(18),
  internalTrafficPolicy: bytesTag(22),
  trafficDistribution: bytesTag(23),
};
const SESSION_AFFINITY_CONFIG = { clientIP: bytesTag(1) };
const CLIENT_IP_CONFIG = { timeoutSeconds: numberTag(1) };
const SERVICE_PORT = {
  name: bytesTag(1),
  protocol: bytesTag(2),
  port: numberTag(3),
  nodePort: numberTag(5),
  appProtocol: bytesTag(6),
};
const SERVICE_STATUS = { loadBalancer: bytesTag(1) };
const LOAD_BALANCER_STATUS = { ingress: bytesTag(1) };
const LOAD_BALANCER_INGRESS = { ip: bytesTag(1), ipMode: bytesTag(3) };

/** For what most Services do not have: one list for all of them. */
const NONE: readonly never[] = [];

/** Reads the message at hand to its end. @throws {SyntaxError} when it is not protobuf */
export function readService(wire: ProtobufReader): Service {
  let metadata = NO_METADATA;
  let spec = NO_SPEC;
  let loadBalancerIngress: readonly LoadBalancerIngress[] = NONE;
  while (wire.more()) {
    switch (wire.tag()) {
      case SERVICE.metadata:
        metadata = readMetadata(wire);
        break;
      case SERVICE.spec:
        spec = readSpec(wire);
        break;
      case SERVICE.status:
        loadBalancerIngress = readStatus(wire);
        break;
      default:
        wire.skip();
    }
  }
  return {
    kind: "Service",
    namespace: metadata.namespace,
    name: metadata.name,
    namespacedName: metadata.namespacedName,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    creationTimestampMs: metadata.creationTimestampMs,
    type: spec.type,
    clusterIPs: spec.clusterIPs,
    externalIPs: spec.externalIPs,
    loadBalancerIngress,
    loadBalancerSourceRanges: spec.loadBalancerSourceRanges,
    sessionAffinity: spec.sessionAffinity,
    affinityTimeoutSeconds: spec.affinityTimeoutSeconds,
    internalTrafficPolicy: spec.internalTrafficPolicy,
    externalTrafficPolicy: spec.externalTrafficPolicy,
    healthCheckNodePort: spec.healthCheckNodePort,
    trafficDistribution: spec.trafficDistribution,
    ports: spec.ports,
    proxyName: metadata.proxyName,
    headlessLabel: metadata.headlessLabel,
    annotations: metadata.annotations,
    malformed: NONE,
  };
}

type Spec = Pick<
  Service,
  | "type"
  | "clusterIPs"
  | "externalIPs"
  | "loadBalancerSourceRanges"
  | "sessionAffinity"
  | "affinityTimeoutSeconds"
  | "internalTrafficPolicy"
  | "externalTrafficPolicy"
  | "healthCheckNodePort"
  | "trafficDistribution"
  | "ports"
>;

const NO_SPEC: Spec = {
  type: "ClusterIP",
  clusterIPs: NONE,
  externalIPs: NONE,
  loadBalancerSourceRanges: NONE,
  sessionAffinity: "",
  affinityTimeoutSeconds: 0,
  internalTrafficPolicy: "",
  externalTrafficPolicy: "",
  healthCheckNodePort: 0,
  trafficDistribution: "",
  ports: NONE,
};

function readSpec(wire: ProtobufReader): Spec {
  let type = "";
  let clusterIP = "";
  let clusterIPs: string[] | undefined;
  let externalIPs: string[] | undefined;
  let loadBalancerSourceRanges: string[] | undefined;
  let sessionAffinity = "";
  let affinityTimeoutSeconds = 0;
  let internalTrafficPolicy = "";
  let externalTrafficPolicy = "";
  let healthCheckNodePort = 0;
  let trafficDistribution = "";
  const ports: ServicePortSpec[] = [];
  const outer = wire.enter();
  while (wire.more()) {
    switch (wire.tag()) {
      case SERVICE_SPEC.ports:
        ports.push(readPort(wire));
        break;
      case SERVICE_SPEC.clusterIP:
        clusterIP = wire.text();
        break;
      case SERVICE_SPEC.type:
        type = wire.sharedText();
        break;
      case SERVICE_SPEC.externalIPs:
        externalIPs = withText(externalIPs, wire.text());
        break;
      case SERVICE_SPEC.loadBalancerSourceRanges:
        loadBalancerSourceRanges = withText(loadBalancerSourceRanges, wire.text());
        break;
      case SERVICE_SPEC.sessionAffinity:
        sessionAffinity = wire.sharedText();
        break;
      case SERVICE_SPEC.sessionAffinityConfig:
        affinityTimeoutSeconds = readSessionAffinityConfig(wire);
        break;
      case SERVICE_SPEC.internalTrafficPolicy:
        internalTrafficPolicy = wire.sharedText();
        break;
      case SERVICE_SPEC.externalTrafficPolicy:
        externalTrafficPolicy = wire.sharedText();
        break;
      case SERVICE_SPEC.healthCheckNodePort:
        healthCheckNodePort = wire.int32();
        break;
      case SERVICE_SPEC.clusterIPs:
        clusterIPs = withText(clusterIPs, wire.text());
        break;
      case SERVICE_SPEC.trafficDistribution:
        trafficDistribution = wire.sharedText();
        break;
      default:
        wire.skip();
    }
  }
  wire.leave(outer);
  return {
    type: type || NO_SPEC.type,
    clusterIPs: clusterIPs ?? withText(undefined, clusterIP) ?? NONE,
    externalIPs: externalIPs ?? NONE,
    loadBalancerSourceRanges: loadBalancerSourceRanges ?? NONE,
    sessionAffinity,
    affinityTimeoutSeconds,
    internalTrafficPolicy,
    externalTrafficPolicy,
    healthCheckNodePort,
    trafficDistribution,
    ports,
  };
}

function readSessionAffinityConfig(wire: ProtobufReader): number {
  let timeoutSeconds = 0;
  const outer = wire.enter();
  while (wire.more()) {
    if (wire.tag() === SESSION_AFFINITY_CONFIG.clientIP) timeoutSeconds = readClientIPConfig(wire);
    else wire.skip();
  }
  wire.leave(outer);
  return timeoutSeconds;
}

function readClientIPConfig(wire: ProtobufReader): number {
  let timeoutSeconds = 0;
  const outer = wire.enter();
  while (wire.more()) {
    if (wire.tag() === CLIENT_IP_CONFIG.timeoutSeconds) timeoutSeconds = wire.int32();
    else wire.skip();
  }
  wire.leave(outer);
  return timeoutSeconds;
}

function readPort(wire: ProtobufReader): ServicePortSpec {
  let name = "";
  let protocol = "";
  let port = 0;
  let nodePort = 0;
  let appProtocol = "";
  const outer = wire.enter();
  while (wire.more()) {
    switch (wire.tag()) {
      case SERVICE_PORT.name:
        name = wire.sharedText();
        break;
      case SERVICE_PORT.protocol:
        protocol = wire.sharedText();
        break;
      case SERVICE_PORT.port:
        port = wire.int32();
        break;
      case SERVICE_PORT.nodePort:
        nodePort = wire.int32();
        break;
      case SERVICE_PORT.appProtocol:
        appProtocol = wire.sharedText();
        break;
      default:
        wire.skip();
    }
  }
  wire.leave(outer);
  return { name, protocol: protocol || "TCP", port, nodePort, appProtocol };
}

function readStatus(wire: ProtobufReader): readonly LoadBalancerIngress[] {
  let ingress: readonly LoadBalancerIngress[] = NONE;
  const outer = wire.enter();
  while (wire.more()) {
    if (wire.tag() === SERVICE_STATUS.loadBalancer) ingress = readLoadBalancer(wire);
    else wire.skip();
  }
  wire.leave(outer);
  return ingress;
}

function readLoadBalancer(wire: ProtobufReader): readonly LoadBalancerIngress[] {
  const ingress: LoadBalancerIngress[] = [];
  const outer = wire.enter();
  while (wire.more()) {
    if (wire.tag() === LOAD_BALANCER_STATUS.ingress) readIngress(wire, ingress);
    else wire.skip();
  }
  wire.leave(outer);
  return ingress.length === 0 ? NONE : ingress;
}

function readIngress(wire: ProtobufReader, ingress: LoadBalancerIngress[]): void {
  let ip = "";
  let ipMode = "";
  const outer = wire.enter();
  while (wire.more()) {
    switch (wire.tag()) {
      case LOAD_BALANCER_INGRESS.ip:
        ip = wire.text();
        break;
      case LOAD_BALANCER_INGRESS.ipMode:
        ipMode = wire.sharedText();
        break;
      default:
        wire.skip();
    }
  }
  wire.leave(outer);
  if (ip !== "") ingress.push({ ip, ipMode: ipMode || "VIP" });
}

/** The list with one more text; empty ones do not count. */
function withText(texts: string[] | undefined, text: string): string[] | undefined {
  if (text === "") return texts;
  if (texts === undefined) return [text];
  texts.push(text);
  return texts;
}

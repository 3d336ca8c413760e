/**
 * Judges a Service: which ports and VIPs it asks for, and what of it cannot be served.
 *
 * In: a Service that is this agent's (`isServed`). Out: a JudgedService with one WantedPort for each servable port, in
 * the order of the keys, and a Problem for each thing left out. Nothing here knows of other Services: who owns a VIP that
 * two ask for is decided in `claims.ts`.
 *
 * This is what is kept of every Service of the cluster, so nothing stands in it twice: names, addresses and families are
 * the Service's, and a VIP is one of its addresses with the port of one of its ports.
 *
 * Source: Service API reference; KEP-1860 (ipMode); kube-proxy serves external and load-balancer addresses only in
 * the families of the Service.
 * @module
 */
import type { NamespacedName, Service, ServicePortSpec } from "../kube/objects.ts";
import {
  type AnnotationFaultKind,
  DEFAULT_SETTINGS,
  type PortSettings,
  settingsOf,
} from "./annotations/mod.ts";
import { appProtocolOf } from "./app_protocol.ts";
import { type CarriedPort, carrierOf, needsEnvoy } from "./carrier.ts";
import { exactly } from "./exactly.ts";
import { parseIPAddress, unusableAddress } from "./ip_address.ts";
import { isPortNumber, parseProtocol } from "./port.ts";
import { PATH_ANNOTATION, PROXY_ANNOTATION, PROXY_DISABLED } from "./selection.ts";
import { servicePortKey } from "./service_port_name.ts";
import { judgeTrafficRules, type TrafficRules } from "./traffic_rules.ts";
import {
  type AppProtocol,
  type Carrier,
  IP_FAMILIES,
  type IPFamily,
  type Problem,
  type ProblemKind,
  type Protocol,
  type ServicePortKey,
  type ServicePortName,
  type VIP,
  type VIPKind,
} from "./types.ts";

/** What a Service asks for, for one of its ports. */
export interface WantedPort {
  readonly service: JudgedService;
  /** Empty for the single unnamed port. */
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** 0 when there is none. */
  readonly nodePort: number;
  /** As written: what it means is decided when it is needed, and why can be said then too. */
  readonly appProtocol: string;
  readonly settings: PortSettings;
}

/** An address that all ports of a Service ask for. */
export type WantedAddress = Omit<VIP, "port">;

/** The outcome of judging a Service. */
export interface JudgedService {
  readonly namespace: string;
  readonly name: string;
  readonly namespacedName: NamespacedName;
  /** Seconds since the epoch, as exact as the API: V8 keeps it in the object, and milliseconds in one of their own. */
  readonly creationTimestamp: number;
  /** Sorted by kind in the order of `VIPKind`, then as written; each address once. */
  readonly addresses: readonly WantedAddress[];
  /** Those of the ClusterIPs, in the order of `IP_FAMILIES`. */
  readonly families: readonly IPFamily[];
  /** Most Services share one object. */
  readonly trafficRules: TrafficRules;
  readonly ports: readonly WantedPort[];
  readonly problems: readonly Problem[];
}

type Report = (kind: ProblemKind, message: string, fault?: AnnotationFaultKind) => void;

/** The name of a wanted port, spelled out. */
export function servicePortNameOf({ service, name, protocol }: WantedPort): ServicePortName {
  return { namespace: service.namespace, name: service.name, port: name, protocol };
}

/** What a wanted port speaks. What is not TCP is not looked into. */
export function spokenBy(port: WantedPort): AppProtocol {
  return port.protocol === "TCP" ? appProtocolOf(port) : "tcp";
}

/** What decides which of Envoy and kernel carries a wanted port, on a node that carries TCP by `tcpPath`. */
export function carriedPort(port: WantedPort, tcpPath: Carrier): CarriedPort {
  const { protocol, service: { trafficRules: { tcpCarrier: asked } } } = port;
  return { protocol, appProtocol: spokenBy(port), asked, tcpPath };
}

/** The key of a wanted port. */
export function keyOf(port: WantedPort): ServicePortKey {
  return servicePortKey(servicePortNameOf(port));
}

/**
 * Judges one Service for a node that serves these families, and carries TCP by `tcpPath`. Never throws.
 * Cost: its own ports times its own addresses.
 *
 * @param namespacedName The Service's, in the copy that is kept.
 */
export function judgeService(
  service: Service,
  { namespacedName, served, tcpPath }: {
    readonly namespacedName: NamespacedName;
    readonly served: readonly IPFamily[];
    readonly tcpPath: Carrier;
  },
): JudgedService {
  const object = `Service ${namespacedName}`;
  const problems: Problem[] = [];
  const { namespace, name, uid } = service;
  // Manifests have no uid, and no API server to tell.
  const whose = uid === "" ? {} : { service: { namespace, name, uid } };
  const report: Report = (kind, message, fault) =>
    void problems.push({ object, kind, message, ...(fault === undefined ? {} : { fault }), ...whose });
  for (const sentence of service.malformed) report("malformed", sentence);

  const trafficRules = judgeTrafficRules(service, report);
  const addresses = exactly(
    wantedAddresses(service, trafficRules, report).filter(({ family }) => served.includes(family)),
  );
  const judged: { -readonly [field in keyof JudgedService]: JudgedService[field] } = {
    namespace: service.namespace,
    name: service.name,
    namespacedName,
    creationTimestamp: Math.floor(service.creationTimestampMs / 1000),
    addresses,
    families: familiesOf(addresses),
    trafficRules,
    ports: [],
    problems: NO_PROBLEMS,
  };
  const wanted = new Map<ServicePortKey, WantedPort>();
  for (const spec of service.ports) {
    const port = wantedPort(judged, spec, report);
    if (port === undefined) continue;
    const key = keyOf(port);
    if (wanted.has(key)) {
      report(
        "duplicate-port",
        `port "${spec.name}" (${spec.protocol}) stands twice; the first one is served.`,
      );
    } else wanted.set(key, port);
  }
  const ports = [...wanted.keys()].sort().map((key) => wanted.get(key)!);
  judged.ports = withSettings(ports, service.annotations, { tcpPath, report });
  judgeOptOut(service.annotations, report);
  if (problems.length > 0) judged.problems = problems;
  return judged;
}

/** Shared by all: thousands of Services have the same few lists. */
const NO_PROBLEMS: readonly Problem[] = [];
const NO_FAMILIES: readonly IPFamily[] = [];
const IPV4_ONLY: readonly IPFamily[] = ["IPv4"];
const IPV6_ONLY: readonly IPFamily[] = ["IPv6"];

/** The families of the ClusterIPs. */
function familiesOf(addresses: readonly WantedAddress[]): readonly IPFamily[] {
  const has = (family: IPFamily): boolean =>
    addresses.some((address) => address.kind === "ClusterIP" && address.family === family);
  if (has("IPv4")) return has("IPv6") ? IP_FAMILIES : IPV4_ONLY;
  return has("IPv6") ? IPV6_ONLY : NO_FAMILIES;
}

/** Gives each port its settings. An annotation without effect is a problem, and changes nothing. */
function withSettings(
  ports: readonly WantedPort[],
  annotations: Readonly<Record<string, string>>,
  { tcpPath, report }: { readonly tcpPath: Carrier; readonly report: Report },
): readonly WantedPort[] {
  const tcp = ports.filter(({ protocol }) => protocol === "TCP");
  const { settings, faults } = settingsOf(
    annotations,
    tcp.map((port) => ({
      name: port.name,
      appProtocol: spokenBy(port),
      carrier: carrierOf(carriedPort(port, tcpPath)),
      keepsClients: port.service.trafficRules.affinityTimeoutSeconds > 0,
    })),
  );
  for (const { annotation, kind, reason } of faults) {
    report("invalid-annotation", `annotation ${annotation} ${reason}`, kind);
  }
  if (settings.every((one) => one === DEFAULT_SETTINGS)) return ports;
  const byPort = new Map(tcp.map((port, index) => [port, settings[index] ?? DEFAULT_SETTINGS]));
  return ports.map((port) => ({ ...port, settings: byPort.get(port) ?? port.settings }));
}

/** Says what is wrong with the annotation by which a Service is left alone; what it means is decided in `selection.ts`. */
function judgeOptOut(annotations: Readonly<Record<string, string>>, report: Report): void {
  const proxy = annotations[PROXY_ANNOTATION];
  if (proxy === undefined || proxy === PROXY_DISABLED) return;
  const message = `annotation ${PROXY_ANNOTATION} ${
    JSON.stringify(proxy.slice(0, 60))
  } is not "${PROXY_DISABLED}"; the Service is served.`;
  report("invalid-annotation", message, "invalid-value");
}

function wantedPort(service: JudgedService, spec: ServicePortSpec, report: Report): WantedPort | undefined {
  const label = spec.name === "" ? "the port" : `port "${spec.name}"`;
  const protocol = parseProtocol(spec.protocol);
  if (protocol === undefined) {
    report(
      "unknown-protocol",
      `${label} has protocol "${spec.protocol}"; it is not served. Use TCP, UDP or SCTP.`,
    );
    return undefined;
  }
  if (!isPortNumber(spec.port)) {
    report("invalid-port", `${label} has number ${spec.port}; it is not served. Use 1 to 65535.`);
    return undefined;
  }
  let nodePort = spec.nodePort;
  if (nodePort !== 0 && !isPortNumber(nodePort)) {
    report("invalid-port", `${label} has nodePort ${nodePort}; the NodePort is not served. Use 1 to 65535.`);
    nodePort = 0;
  }
  const wanted: WantedPort = {
    service,
    name: spec.name,
    protocol,
    port: spec.port,
    nodePort,
    appProtocol: spec.appProtocol,
    settings: DEFAULT_SETTINGS,
  };
  judgeCarrier(wanted, report);
  return wanted;
}

/** Says where the Service asks for the kernel, and only Envoy can do what a port of it asks for. */
function judgeCarrier(port: WantedPort, report: Report): void {
  const spoken = spokenBy(port);
  if (port.service.trafficRules.tcpCarrier !== "kernel" || !needsEnvoy(spoken)) return;
  report(
    "invalid-annotation",
    `annotation ${PATH_ANNOTATION} "kernel" has no effect on port "${port.name}": it speaks ${spoken}, which only Envoy ` +
      "understands. Leave out one of both.",
    "contradiction",
  );
}

/**
 * The Service's addresses in the order of `VIPKind`; each address once.
 *
 * An external IP that is the load balancer's too is the load balancer's: its source ranges hold there.
 */
function wantedAddresses(
  service: Service,
  { loadBalancerSourceRanges }: TrafficRules,
  report: Report,
): readonly WantedAddress[] {
  const wanted = new Map<string, WantedAddress>();
  const add = (text: string, field: string, kind: VIPKind): void => {
    const parsed = parseIPAddress(text);
    const unusable = parsed === undefined ? "is no IP address" : unusableAddress(parsed);
    if (parsed === undefined || unusable !== undefined) {
      report("invalid-address", `${field} "${text}" ${unusable}; it is not served.`);
      return;
    }
    const { address, family } = parsed;
    if (kind !== "ClusterIP" && ![...wanted.values()].some((known) => known.family === family)) {
      report(
        "wrong-family",
        `${field} ${text} is ${family}, but the Service has no ${family} ClusterIP; it is not served. ` +
          `Use an address of the Service's family, or a dual-stack Service.`,
      );
      return;
    }
    if (!wanted.has(address)) wanted.set(address, { address, family, kind });
  };
  for (const text of service.clusterIPs) add(text, "clusterIP", "ClusterIP");
  // With ipMode Proxy the load balancer wants to see the traffic itself (KEP-1860).
  const loadBalancerIPs = service.loadBalancerIngress.filter(({ ipMode }) => ipMode === "VIP");
  for (const { ip } of loadBalancerIPs) add(ip, "load balancer ingress IP", "LoadBalancerIP");
  for (const text of service.externalIPs) add(text, "externalIP", "ExternalIP");
  if (loadBalancerIPs.length > 0 && loadBalancerSourceRanges === "nobody") {
    // Who wrote them wanted to close something. The load balancer knows what, if there is one.
    report(
      "invalid-address",
      "loadBalancerSourceRanges has no range that can be read, so its load balancer IPs are not answered on the node. " +
        "Traffic to them goes to the load balancer itself.",
    );
  }
  const addresses = [...wanted.values()];
  return VIP_KINDS.flatMap((kind) =>
    kind === "LoadBalancerIP" && loadBalancerSourceRanges === "nobody"
      ? []
      : addresses.filter((address) => address.kind === kind)
  );
}

const VIP_KINDS: readonly VIPKind[] = ["ClusterIP", "ExternalIP", "LoadBalancerIP"];

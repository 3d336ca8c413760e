/**
 * Judges a Service: which ports and VIPs it asks for, and what of it cannot be served.
 *
 * In: a Service that is this agent's (`isServed`). Out: one WantedPort for each servable port, in the order of the
 * keys, and a Problem for each thing left out. Nothing here knows of other Services: who owns a VIP that two ask for
 * is decided in `claims.ts`.
 *
 * Source: Service API reference; KEP-1860 (ipMode); kube-proxy serves external and load-balancer addresses only in
 * the families of the Service.
 * @module
 */
import type { Service, ServicePortSpec } from "../kube/objects.ts";
import { appProtocolOf } from "./app_protocol.ts";
import { parseIPAddress, unusableAddress } from "./ip_address.ts";
import { isPortNumber, parseProtocol } from "./port.ts";
import { servicePortKey } from "./service_port_name.ts";
import {
  type AppProtocol,
  IP_FAMILIES,
  type IPFamily,
  type Problem,
  type ProblemKind,
  type ServicePortKey,
  type ServicePortName,
  type VIP,
  type VIPKind,
} from "./types.ts";

/** What a Service asks for, for one of its ports. */
export interface WantedPort {
  readonly key: ServicePortKey;
  readonly name: ServicePortName;
  readonly appProtocol: AppProtocol;
  /** Sorted by kind in the order of `VIPKind`, then as written; without duplicates. */
  readonly vips: readonly VIP[];
  /** 0 when there is none. */
  readonly nodePort: number;
  readonly families: readonly IPFamily[];
}

/** The outcome of judging a Service. */
export interface JudgedService {
  readonly ports: readonly WantedPort[];
  readonly problems: readonly Problem[];
}

type Report = (kind: ProblemKind, message: string) => void;
type Address = Omit<VIP, "port">;

/**
 * Judges one Service for a node that serves these families. Never throws.
 * Cost: its own ports times its own addresses.
 */
export function judgeService(service: Service, served: readonly IPFamily[]): JudgedService {
  const object = `Service ${service.namespace}/${service.name}`;
  const problems: Problem[] = [];
  const report: Report = (kind, message) => void problems.push({ object, kind, message });
  for (const sentence of service.malformed) report("malformed", sentence);

  const addresses = wantedAddresses(service, report).filter(({ family }) => served.includes(family));
  const families = familiesOf(addresses);
  const ports = new Map<ServicePortKey, WantedPort>();
  for (const spec of service.ports) {
    const port = wantedPort(service, spec, { addresses, families, report });
    if (port === undefined) continue;
    if (ports.has(port.key)) {
      report(
        "duplicate-port",
        `port "${spec.name}" (${spec.protocol}) stands twice; the first one is served.`,
      );
    } else ports.set(port.key, port);
  }
  return {
    ports: [...ports.values()].sort((a, b) => (a.key < b.key ? -1 : 1)),
    problems: problems.length === 0 ? NO_PROBLEMS : problems,
  };
}

/** Shared by all: thousands of Services have the same few lists. */
const NO_PROBLEMS: readonly Problem[] = [];
const NO_FAMILIES: readonly IPFamily[] = [];
const IPV4_ONLY: readonly IPFamily[] = ["IPv4"];
const IPV6_ONLY: readonly IPFamily[] = ["IPv6"];

/** The families of the ClusterIPs. */
function familiesOf(addresses: readonly Address[]): readonly IPFamily[] {
  const has = (family: IPFamily): boolean =>
    addresses.some((address) => address.kind === "ClusterIP" && address.family === family);
  if (has("IPv4")) return has("IPv6") ? IP_FAMILIES : IPV4_ONLY;
  return has("IPv6") ? IPV6_ONLY : NO_FAMILIES;
}

function wantedPort(
  service: Service,
  spec: ServicePortSpec,
  { addresses, families, report }: {
    readonly addresses: readonly Address[];
    readonly families: readonly IPFamily[];
    readonly report: Report;
  },
): WantedPort | undefined {
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
  const name: ServicePortName = {
    namespace: service.namespace,
    name: service.name,
    port: spec.name,
    protocol,
  };
  return {
    key: servicePortKey(name),
    name,
    appProtocol: protocol === "TCP" ? appProtocolOf(spec) : "tcp",
    vips: addresses.map(({ address, family, kind }) => ({ address, family, port: spec.port, kind })),
    nodePort,
    families,
  };
}

/** The Service's addresses in the order ClusterIP, ExternalIP, LoadBalancerIP; each address once. */
function wantedAddresses(service: Service, report: Report): readonly Address[] {
  const wanted = new Map<string, Address>();
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
  for (const text of service.externalIPs) add(text, "externalIP", "ExternalIP");
  // With ipMode Proxy the load balancer wants to see the traffic itself (KEP-1860).
  const loadBalancerIPs = service.loadBalancerIngress.filter(({ ipMode }) => ipMode === "VIP");
  if (loadBalancerIPs.length > 0 && service.loadBalancerSourceRanges.length > 0) {
    // To answer everybody would lift a firewall. Left alone, the traffic goes to the load balancer, which has one.
    report(
      "unsupported",
      "loadBalancerSourceRanges cannot be enforced here yet, so its load balancer IPs are not answered on the node. " +
        "Traffic to them goes to the load balancer itself.",
    );
  } else for (const { ip } of loadBalancerIPs) add(ip, "load balancer ingress IP", "LoadBalancerIP");
  return [...wanted.values()];
}

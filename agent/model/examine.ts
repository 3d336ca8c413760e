/**
 * Says of a port of a Service what was decided about it and why, for a person who looks for a fault.
 *
 * In: a wanted port, the ServicePort it became, the slices of its Service. Out: an ExaminedPort. Pure. Nothing here
 * decides: which endpoints are used is read from the ServicePort, and a reason is found for it.
 * @module
 */
import type { NamespacedName } from "../kube/objects.ts";
import { whyAppProtocol } from "./app_protocol.ts";
import { candidatesOf } from "./candidates.ts";
import { whyCarrier } from "./carrier.ts";
import { carriedPort, type WantedPort } from "./judge_service.ts";
import type { JudgedEndpoint, JudgedSlice } from "./judge_slice.ts";
import { destinationKindsOf, trafficPolicyOf } from "./path.ts";
import type { TrafficRules } from "./traffic_rules.ts";
import type {
  Carrier,
  Endpoint,
  HealthCheck,
  IPFamily,
  Problem,
  ServicePort,
  TrafficPolicy,
} from "./types.ts";
import { isLocal, type PortedEndpoint } from "./usable_endpoints.ts";

/** An endpoint of a port, used or not. */
export interface ExaminedEndpoint extends Endpoint {
  readonly family: IPFamily;
  /** For which traffic policies; empty: it is not used. Only policies that some destination of the port has. */
  readonly usedFor: readonly TrafficPolicy[];
  /** Its condition, in a few words. */
  readonly why: string;
}

/** A port of a Service. */
export interface ExaminedPort {
  readonly servicePort: ServicePort;
  /** The Service's port number, also where it owns no VIP. */
  readonly port: number;
  /** The end of "speaks … because". */
  readonly whyAppProtocol: string;
  /** The end of "carried by … because". */
  readonly whyCarrier: string;
  /** Those in use first, in their order; each once. */
  readonly endpoints: readonly ExaminedEndpoint[];
  /** By family without any endpoint: what is missing. */
  readonly missing: Readonly<Partial<Record<IPFamily, string>>>;
}

/** A Service that is served. */
export interface ExaminedService {
  readonly name: NamespacedName;
  readonly trafficRules: TrafficRules;
  readonly ports: readonly ExaminedPort[];
  /** Undefined when it has no `healthCheckNodePort`. */
  readonly healthCheck: HealthCheck | undefined;
  /** Of the Service and of its slices. */
  readonly problems: readonly Problem[];
}

/** Examines one port. Cost: the endpoints of its Service. */
export function examinePort(
  wanted: WantedPort,
  { servicePort, slices, tcpPath }: {
    readonly servicePort: ServicePort;
    readonly slices: readonly JudgedSlice[];
    readonly tcpPath: Carrier;
  },
): ExaminedPort {
  const endpoints: ExaminedEndpoint[] = [];
  const missing: Partial<Record<IPFamily, string>> = {};
  for (const family of servicePort.families) {
    const found = examineEndpoints(candidatesOf(wanted, family, slices), servicePort, family);
    endpoints.push(...found);
    if (found.length === 0) missing[family] = whyNone(wanted, family, slices);
  }
  return {
    servicePort,
    port: wanted.port,
    whyAppProtocol: wanted.protocol === "TCP" ? whyAppProtocol(wanted) : `it is ${wanted.protocol}`,
    whyCarrier: whyCarrier(carriedPort(wanted, tcpPath)),
    endpoints,
    missing,
  };
}

function examineEndpoints(
  candidates: readonly PortedEndpoint[],
  servicePort: ServicePort,
  family: IPFamily,
): readonly ExaminedEndpoint[] {
  // Of an endpoint in two slices the more usable copy is what counts (usable_endpoints.ts).
  const bySocket = new Map<string, PortedEndpoint>();
  for (const candidate of candidates) {
    const socket = socketOf({ address: candidate.endpoint.address, port: candidate.port });
    const other = bySocket.get(socket);
    if (other === undefined || rank(candidate.endpoint) > rank(other.endpoint)) {
      bySocket.set(socket, candidate);
    }
  }
  const policies = policiesOf(servicePort, family);
  const lists = { Cluster: servicePort.endpoints[family], Local: servicePort.localEndpoints[family] };
  const used = new Map<string, { readonly endpoint: Endpoint; readonly usedFor: TrafficPolicy[] }>();
  for (const policy of policies) {
    for (const endpoint of lists[policy]) {
      const socket = socketOf(endpoint);
      const other = used.get(socket);
      if (other === undefined) used.set(socket, { endpoint, usedFor: [policy] });
      else other.usedFor.push(policy);
    }
  }
  const inUse = [...used].map(([socket, { endpoint, usedFor }]): ExaminedEndpoint => {
    const condition = bySocket.get(socket)?.endpoint;
    return { ...endpoint, family, usedFor, why: whyUsed(condition, usedFor) };
  });
  const usable = new Set(lists.Cluster.map(socketOf));
  const others = [...bySocket].filter(([socket]) => !used.has(socket));
  return [
    ...inUse,
    ...others.map(([socket, { endpoint, port }]): ExaminedEndpoint => {
      const { address, place: { zone } } = endpoint;
      const why = usable.has(socket)
        ? "on another node, and the traffic policy is Local"
        : whyUnused(endpoint);
      return { address, port, zone, isLocal: isLocal(endpoint), family, usedFor: [], why };
    }),
  ];
}

/** Those of the destinations it has in a family, `Cluster` first; of one that owns none, of all it could have. */
function policiesOf(servicePort: ServicePort, family: IPFamily): readonly TrafficPolicy[] {
  const kinds = destinationKindsOf(servicePort, family);
  const asked = kinds.length === 0 ? (["ClusterIP"] as const) : kinds;
  return (["Cluster", "Local"] as const).filter((policy) =>
    asked.some((kind) => trafficPolicyOf(servicePort, kind) === policy)
  );
}

function whyUsed(condition: JudgedEndpoint | undefined, usedFor: readonly TrafficPolicy[]): string {
  if (condition?.ready !== false) return "ready";
  const none = usedFor.includes("Cluster") ? "none is ready" : "none is ready on this node";
  return `terminating, but it still serves, and ${none}`;
}

function rank({ ready, serving, terminating }: JudgedEndpoint): number {
  return ready ? 2 : serving && terminating ? 1 : 0;
}

function whyUnused({ serving, terminating }: JudgedEndpoint): string {
  if (!terminating) return "not ready";
  return serving ? "terminating, and others are ready" : "terminating, and it does not serve any more";
}

function whyNone({ service, name }: WantedPort, family: IPFamily, slices: readonly JudgedSlice[]): string {
  const ofFamily = slices.filter((slice) => slice.family === family);
  if (ofFamily.length === 0) {
    return `no ${family} EndpointSlice has the label kubernetes.io/service-name: ${service.name}`;
  }
  const filled = ofFamily.filter(({ endpoints }) => endpoints.length > 0);
  if (filled.length === 0) {
    return "its EndpointSlices are empty: does its selector match running pods?";
  }
  const offered = [...new Set(filled.flatMap(({ ports }) => ports.map((port) => `"${port.name}"`)))];
  const has = offered.length === 0 ? "none" : offered.join(", ");
  return `its EndpointSlices have no port named "${name}" (they have ${has})`;
}

function socketOf({ address, port }: Pick<Endpoint, "address" | "port">): string {
  return `${address} ${port}`;
}

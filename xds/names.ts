/**
 * The names of xDS resources.
 *
 * A Cluster is named by the destination that reaches it, exactly as Envoy prints `%DOWNSTREAM_LOCAL_ADDRESS%`:
 * `10.96.0.10:80`, `[fd00::1]:80` (RFC 5952). A ClusterLoadAssignment is named by the service port and family its
 * endpoints belong to, so that all VIPs and NodePorts of a port share one: `default/echo:http/IPv4`. Those of them for which
 * the traffic policy `Local` holds share another: `default/echo:http/IPv4/local`.
 * @module
 */
import {
  IP_FAMILIES,
  type IPFamily,
  parseIPAddress,
  type ServicePort,
  type ServicePortKey,
  servicePortLabel,
  type TrafficPolicy,
} from "../agent/model/mod.ts";

/** What a Cluster's name says: where a connection was going. */
export interface Destination {
  /** Canonical text, without brackets. */
  readonly address: string;
  readonly family: IPFamily;
  readonly port: number;
}

/** The name of the Cluster for a destination; the address must be canonical. */
export function clusterName(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Reads a Cluster's name; undefined when it names no destination in canonical form. */
export function parseClusterName(name: string): Destination | undefined {
  const colon = name.lastIndexOf(":");
  const host = name.slice(0, colon);
  const parsed = parseIPAddress(host.startsWith("[") ? host.slice(1, -1) : host);
  if (colon < 0 || parsed === undefined) return undefined;
  const destination = { ...parsed, port: Number(name.slice(colon + 1)) };
  return clusterName(destination.address, destination.port) === name ? destination : undefined;
}

/** What a port is called in the names of statistics: as Envoy writes the `alt_stat_name` of its Clusters, without colons. */
export function statisticsName(servicePort: ServicePort): string {
  return servicePortLabel(servicePort.name).replaceAll(":", "_");
}

/** The name of the ClusterLoadAssignment that holds a TCP port's endpoints of one family, of all nodes or of this one. */
export function loadAssignmentName(
  servicePort: ServicePort,
  family: IPFamily,
  policy: TrafficPolicy = "Cluster",
): string {
  return `${servicePortLabel(servicePort.name)}/${family}${policy === "Local" ? LOCAL : ""}`;
}

/** Ends the names of those that hold this node's endpoints only. */
const LOCAL = "/local";

/** Reads a ClusterLoadAssignment's name; undefined when it is none. */
export function parseLoadAssignmentName(
  name: string,
):
  | { readonly key: ServicePortKey; readonly family: IPFamily; readonly policy: TrafficPolicy }
  | undefined {
  const policy = name.endsWith(LOCAL) ? "Local" : "Cluster";
  const whole = policy === "Local" ? name.slice(0, -LOCAL.length) : name;
  const slash = whole.lastIndexOf("/");
  const family = IP_FAMILIES.find((family) => family === whole.slice(slash + 1));
  return slash < 0 || family === undefined
    ? undefined
    : { key: `${whole.slice(0, slash)}/TCP`, family, policy };
}

/**
 * Which destinations a change opens: where the kernel is to begin to send connections to Envoy, or to another of its
 * listeners, so that Envoy had better be prepared.
 *
 * In: a ServicePortChange, the node's addresses (NodePorts are served at each). Out: destinations. Pure.
 *
 * - From nowhere or from `reject`: Envoy may still hold the Cluster without endpoints, and would fail the connection.
 * - From `envoy-tcp` to `envoy-http`: over the Cluster of a TCP port the HTTP listener speaks the client's version, which need
 *   not be the endpoints', and repeats nothing.
 * - Not from `envoy-http` to `envoy-tcp`: the TCP listener passes bytes and needs nothing of a Cluster but endpoints, so
 *   there the kernel may go first.
 * @module
 */
import {
  type DestinationKind,
  type IPFamily,
  type NodeAddresses,
  type Path,
  pathOf,
  type ServicePort,
  type ServicePortChange,
} from "../agent/model/mod.ts";

/** Where connections go to. */
export interface OpenedDestination {
  readonly address: string;
  readonly port: number;
}

/** The destinations a change opens; none for most changes. Cost: that of the port's VIPs. */
export function openings(
  { before, after }: ServicePortChange,
  nodeAddresses: NodeAddresses,
): OpenedDestination[] {
  if (after === undefined) return [];
  const opened: OpenedDestination[] = [];
  for (const { address, port, family, kind } of after.vips) {
    const had = before?.vips.some((vip) => vip.address === address && vip.port === port) ?? false;
    if (opens(pathAt(before, family, kind, had), pathOf(after, family, kind))) opened.push({ address, port });
  }
  if (after.nodePort === 0) return opened;
  for (const family of after.families) {
    const had = before?.nodePort === after.nodePort && before.families.includes(family);
    if (!opens(pathAt(before, family, "NodePort", had), pathOf(after, family, "NodePort"))) continue;
    for (const address of nodeAddresses[family]) opened.push({ address, port: after.nodePort });
  }
  return opened;
}

/** The path of a destination before the change; undefined where it was not one. */
function pathAt(
  servicePort: ServicePort | undefined,
  family: IPFamily,
  kind: DestinationKind,
  had: boolean,
): Path | undefined {
  return servicePort === undefined || !had ? undefined : pathOf(servicePort, family, kind);
}

function opens(from: Path | undefined, to: Path): boolean {
  switch (to) {
    case "envoy-http":
      return from !== "envoy-http";
    case "envoy-tcp":
      return from !== "envoy-http" && from !== "envoy-tcp";
    case "reject":
    case "drop":
    case "kernel":
      return false;
    default:
      return to satisfies never;
  }
}

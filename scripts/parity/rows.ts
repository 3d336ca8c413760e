/**
 * Expands scenarios into rows: each case over the protocols and families where it applies. Pure.
 *
 * In: scenarios. Out: rows with the address and port to ask, in the scenarios' order.
 * @module
 */
import type { IPFamily } from "../../agent/model/mod.ts";
import type { Speech } from "../lab/whoami.ts";
import { NODE_ADDRESSES, type NodeName } from "../lab/cluster_addresses.ts";
import { addressOf, type ByFamily, byFamily, serviceAddresses, UNALLOCATED } from "./addresses.ts";
import type { Backend, Case, Row, Scenario, To } from "./case.ts";
import { familiesOf, HEALTH_CHECK, PORTS, serverPort, SPEECHES } from "./objects.ts";

/** All rows of the table. */
export function rowsOf(scenarios: readonly Scenario[]): Row[] {
  return scenarios.flatMap((scenario, index) =>
    scenario.cases.flatMap((one) => expand(one, { scenario, index }))
  );
}

function expand(one: Case, { scenario, index }: { scenario: Scenario; index: number }): Row[] {
  const { from, to, expect, speeches, families } = one;
  // Load balancers ask over HTTP only.
  const spoken = to.kind === "HealthCheckNodePort" ? ["http" as const] : speeches ?? SPEECHES;
  return spoken.flatMap((speech) =>
    (families ?? familiesOf(scenario)).map((family): Row => ({
      name: `${scenario.name}: ${from} to ${nameOf(to)}, ${speech}, ${family}`,
      scenario: scenario.name,
      ...{ from, to, speech, family, expect },
      host: hostOf(to, { family, index, scenario }),
      port: portOf(to, { speech, index, scenario }),
      serverPorts: serverPortsOf(scenario, { to, speech }),
    }))
  );
}

/** A destination in a row's name. */
export function nameOf(to: To): string {
  switch (to.kind) {
    case "NodePort":
      return `NodePort of ${to.node}${to.address === "primary" ? "" : ` (${to.address})`}`;
    case "HealthCheckNodePort":
      return `health check NodePort of ${to.node}`;
    case "UnallocatedClusterIP":
      return "an unallocated ClusterIP";
    default:
      return to.port === undefined ? to.kind : `${to.kind}, another port`;
  }
}

function hostOf(
  to: To,
  { family, index, scenario }: {
    readonly family: IPFamily;
    readonly index: number;
    readonly scenario: Scenario;
  },
): string {
  const own = serviceAddresses(scenario, index);
  switch (to.kind) {
    case "ClusterIP":
      return own.clusterIPs[family];
    case "ExternalIP":
      return own.externalIPs[family];
    case "LoadBalancerIP":
      return (scenario.service.ipMode === "Proxy" ? addressOf("outside") : own.loadBalancerIPs)[family];
    case "NodePort":
      return nodeAddress(to.node, to.address)[family];
    case "HealthCheckNodePort":
      return nodeAddress(to.node, "primary")[family];
    case "UnallocatedClusterIP":
      return UNALLOCATED[family];
    default:
      throw new TypeError(`unknown destination ${to satisfies never}`);
  }
}

function nodeAddress(
  node: NodeName,
  which: "primary" | "secondary" | "gateway" | "loopback",
): ByFamily {
  if (which === "loopback") return { IPv4: "127.0.0.1", IPv6: "::1" };
  return byFamily(NODE_ADDRESSES[node][which]);
}

function portOf(
  to: To,
  { speech, index, scenario }: {
    readonly speech: Speech;
    readonly index: number;
    readonly scenario: Scenario;
  },
): number {
  const own = serviceAddresses(scenario, index);
  switch (to.kind) {
    case "NodePort":
      return own.nodePort + PORTS[speech].nodePort;
    case "HealthCheckNodePort":
      return own.nodePort + HEALTH_CHECK;
    case "UnallocatedClusterIP":
      return PORTS[speech].port;
    default:
      return to.port ?? PORTS[speech].port;
  }
}

function serverPortsOf(
  { service, slices }: Scenario,
  { to, speech }: { readonly to: To; readonly speech: Speech },
): ReadonlyMap<Backend, number> {
  // What a load balancer that is a proxy itself would hand on.
  const itself = service.ipMode === "Proxy" && to.kind === "LoadBalancerIP";
  return new Map([
    ...slices.flatMap((slice) => slice.endpoints.map(({ at }) => [at, serverPort(slice, speech)] as const)),
    ...(itself ? [["outside", PORTS[speech].port] as const] : []),
  ]);
}

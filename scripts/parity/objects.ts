/**
 * The Kubernetes objects of a scenario: a Service and its EndpointSlices, as a kube-apiserver takes them. Pure.
 *
 * Every Service has the ports of `PORTS`: TCP, UDP and SCTP share a number, and what speaks HTTP has its own.
 * @module
 */
import type { IPFamily } from "../../agent/model/mod.ts";
import type { Speech } from "../lab/whoami.ts";
import { addressOf, nodeOf, serviceAddresses, ZONES } from "./addresses.ts";
import type { EndpointShape, Scenario, SliceShape } from "./case.ts";

/** An object with what all objects have. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: "Service" | "EndpointSlice";
  readonly metadata:
    & { readonly namespace: "default"; readonly name: string }
    & Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

/** The ports by what is spoken there; `nodePort` is added to the Service's first. */
export const PORTS: Readonly<
  Record<Speech, { readonly protocol: string; readonly port: number; readonly nodePort: number }>
> = {
  tcp: { protocol: "TCP", port: 80, nodePort: 0 },
  http: { protocol: "TCP", port: 8000, nodePort: 1 },
  udp: { protocol: "UDP", port: 80, nodePort: 0 },
  sctp: { protocol: "SCTP", port: 80, nodePort: 0 },
};

/** What is spoken, in the order of the Services' ports; it is also a port's name. */
export const SPEECHES: readonly Speech[] = ["tcp", "http", "udp", "sctp"];

/** Where a slice's servers are asked. */
export function serverPort({ ports }: Pick<SliceShape, "ports">, speech: Speech): number {
  return ports?.[speech] ?? 8080;
}

/** Added to a Service's first NodePort: where load balancers ask. */
export const HEALTH_CHECK = 9;

/** The families of a scenario's Service. */
export function familiesOf({ service }: Scenario): readonly IPFamily[] {
  return service.families ?? ["IPv4", "IPv6"];
}

/** All objects of a scenario. */
export function objectsOf(scenario: Scenario, index: number): KubeObject[] {
  const slices = familiesOf(scenario).flatMap((family) =>
    scenario.slices.flatMap((shape, number) =>
      shape.families?.includes(family) === false ? [] : [slice(scenario, { family, shape, number })]
    )
  );
  return [service(scenario, index), ...slices];
}

function service(scenario: Scenario, index: number): KubeObject {
  const { name, service: { type = "ClusterIP", spec = {}, labels = {}, ipMode, externalIPs } } = scenario;
  const addresses = serviceAddresses(scenario, index);
  const families = familiesOf(scenario);
  const exposed = type !== "ClusterIP";
  const ports = SPEECHES.map((speech) => ({
    name: speech,
    protocol: PORTS[speech].protocol,
    port: PORTS[speech].port,
    targetPort: "served",
    ...(exposed ? { nodePort: addresses.nodePort + PORTS[speech].nodePort } : {}),
  }));
  const checked = type === "LoadBalancer" && spec["externalTrafficPolicy"] === "Local";
  const ingress = families.map((family) =>
    ipMode === "Proxy"
      ? { ip: addressOf("outside")[family], ipMode }
      : { ip: addresses.loadBalancerIPs[family], ipMode: "VIP" }
  );
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: "default", name, labels },
    spec: {
      type,
      clusterIP: addresses.clusterIPs[families[0] ?? "IPv4"],
      clusterIPs: families.map((family) => addresses.clusterIPs[family]),
      ipFamilies: families,
      ipFamilyPolicy: families.length > 1 ? "RequireDualStack" : "SingleStack",
      ports,
      ...(externalIPs !== undefined
        ? { externalIPs: families.map((family) => addresses.externalIPs[family]) }
        : {}),
      ...(checked ? { healthCheckNodePort: addresses.nodePort + HEALTH_CHECK } : {}),
      ...spec,
    },
    ...(type === "LoadBalancer" ? { status: { loadBalancer: { ingress } } } : {}),
  };
}

function slice(
  { name }: Scenario,
  options: { readonly family: IPFamily; readonly shape: SliceShape; readonly number: number },
): KubeObject {
  const { family, shape, number } = options;
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      namespace: "default",
      name: `${name}-${family.toLowerCase()}-${number}`,
      labels: { "kubernetes.io/service-name": name },
    },
    addressType: family,
    ports: SPEECHES.map((speech) => ({
      name: speech,
      protocol: PORTS[speech].protocol,
      port: serverPort(shape, speech),
    })),
    endpoints: shape.endpoints.map((endpoint) => endpointOf(endpoint, family)),
  };
}

function endpointOf({ at, conditions, hints }: EndpointShape, family: IPFamily): Record<string, unknown> {
  const node = nodeOf(at);
  return {
    addresses: [addressOf(at)[family]],
    conditions: conditions ?? { ready: true, serving: true, terminating: false },
    ...(node === undefined ? {} : { nodeName: node, zone: ZONES[node] }),
    ...(hints === undefined ? {} : { hints }),
  };
}

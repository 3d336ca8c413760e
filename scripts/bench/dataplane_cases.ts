/**
 * What `bench dataplane` compares: a request on its way through Lightpath, through kube-proxy, and without either.
 *
 * In: nothing. Out: the cases by protocol, in the order in which they are shown; the Service they are measured at. Pure.
 * @module
 */
import { type Manifest, service, slice } from "../../commands/testing/manifests.ts";

/** Where an endpoint listens: HTTP, and a UDP echo. */
export const ENDPOINT_PORTS = { http: 8080, udp: 8078 } as const;

/** Who programs a node. */
export type Side = "none" | "lightpath" | "kube-proxy";

/** Names of the cases. */
export type CaseName =
  | "udp-direct"
  | "udp-kube-proxy"
  | "udp-kernel"
  | "tcp-direct"
  | "tcp-kube-proxy"
  | "tcp-kernel"
  | "tcp-envoy"
  | "http-envoy";

/** One way of a request. */
export interface Case {
  readonly label: string;
  readonly side: Side;
  readonly scheme: "http" | "udp";
  /** The Service that is asked; none: a server is. */
  readonly service?: ServiceName;
  /** Whether kube-proxy is the measure of it. @default false */
  readonly hasTarget?: boolean;
}

/** The Services, by name; each has a VIP of its own. */
export type ServiceName = "udp" | "tcp-kernel" | "tcp-envoy" | "http-envoy";

interface ServiceShape {
  readonly vip: string;
  readonly port: number;
  readonly protocol: "TCP" | "UDP";
  /** By it Lightpath knows what is spoken. */
  readonly portName: string;
  readonly targetPort: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

const TCP = { protocol: "TCP", targetPort: ENDPOINT_PORTS.http } as const;

const SERVICES: Readonly<Record<ServiceName, ServiceShape>> = {
  "udp": {
    vip: "10.96.0.10",
    port: 5300,
    protocol: "UDP",
    portName: "udp",
    targetPort: ENDPOINT_PORTS.udp,
  },
  "tcp-kernel": {
    ...TCP,
    vip: "10.96.0.11",
    port: 9000,
    portName: "tcp",
    annotations: { "lightpath.cloud/path": "kernel" },
  },
  "tcp-envoy": { ...TCP, vip: "10.96.0.12", port: 9000, portName: "tcp" },
  "http-envoy": { ...TCP, vip: "10.96.0.13", port: 80, portName: "http" },
};

/** All of them. Where bytes pass as they are, what they say is HTTP too. */
export const CASES: Readonly<Record<CaseName, Case>> = {
  "udp-direct": { label: "UDP, no proxy", side: "none", scheme: "udp" },
  "udp-kube-proxy": { label: "  kube-proxy", side: "kube-proxy", scheme: "udp", service: "udp" },
  "udp-kernel": {
    label: "  Lightpath, the kernel",
    side: "lightpath",
    scheme: "udp",
    service: "udp",
    hasTarget: true,
  },
  "tcp-direct": { label: "TCP, no proxy", side: "none", scheme: "http" },
  "tcp-kube-proxy": { label: "  kube-proxy", side: "kube-proxy", scheme: "http", service: "tcp-kernel" },
  "tcp-kernel": {
    label: "  Lightpath, the kernel",
    side: "lightpath",
    scheme: "http",
    service: "tcp-kernel",
    hasTarget: true,
  },
  "tcp-envoy": { label: "  Lightpath, Envoy", side: "lightpath", scheme: "http", service: "tcp-envoy" },
  "http-envoy": {
    label: "  Lightpath, Envoy, as HTTP",
    side: "lightpath",
    scheme: "http",
    service: "http-envoy",
  },
};

/** What is compared with each other: without a proxy, with kube-proxy, with Lightpath. */
export interface Group {
  readonly direct: CaseName;
  readonly kubeProxy: CaseName;
  readonly lightpath: readonly CaseName[];
}

/** By protocol. */
export const GROUPS: readonly Group[] = [
  { direct: "udp-direct", kubeProxy: "udp-kube-proxy", lightpath: ["udp-kernel"] },
  {
    direct: "tcp-direct",
    kubeProxy: "tcp-kube-proxy",
    lightpath: ["tcp-kernel", "tcp-envoy", "http-envoy"],
  },
];

/** The cases of a group. */
export function casesOf({ direct, kubeProxy, lightpath }: Group): readonly CaseName[] {
  return [direct, kubeProxy, ...lightpath];
}

/** In the order in which they are shown. */
export const CASE_NAMES: readonly CaseName[] = GROUPS.flatMap(casesOf);

/** Where a case is reached; `direct` is the address of a server that is reached without a Service. */
export function urlOf(name: CaseName, direct: string): string {
  const { scheme, service } = CASES[name];
  const { vip, port } = service === undefined
    ? { vip: direct, port: ENDPOINT_PORTS[scheme] }
    : SERVICES[service];
  return `${scheme}://${vip}:${port}/${scheme === "http" ? "echo" : ""}`;
}

/** The Services with their endpoint, the same for both proxies. */
export function manifests(
  endpoint: string,
): { readonly service: Manifest; readonly slice: Manifest }[] {
  return Object.entries(SERVICES).map((
    [name, { vip, port, protocol, portName, targetPort, annotations = {} }],
  ) => ({
    service: service(name, {
      clusterIPs: [vip],
      ports: [{ name: portName, port, targetPort, protocol }],
      annotations,
    }),
    slice: slice(name, { addresses: [endpoint], ports: [{ name: portName, port: targetPort, protocol }] }),
  }));
}

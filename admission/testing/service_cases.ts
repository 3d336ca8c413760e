/**
 * Services as people write them, and whether they are to be given the label: asked of the decision itself, of the webhook and of
 * the policy, both at a real API server, and of `adopt`.
 * @module
 */

/** A Service to create. */
export interface ServiceCase {
  readonly name: string;
  /** @default "default" */
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** @default one TCP port */
  readonly spec?: Readonly<Record<string, unknown>>;
  /** What its label says in the end; undefined: it has none. */
  readonly proxyName: string | undefined;
}

/** The label in question. */
export const PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name";

const OURS = "lightpath.cloud";
const PORTS = [{ port: 80 }];

/** See the module's comment. Names differ, so that all can be created in one cluster. */
export const SERVICE_CASES: readonly ServiceCase[] = [
  { name: "plain", proxyName: OURS },
  { name: "labels", labels: { app: "echo" }, proxyName: OURS },
  { name: "annotations", annotations: { "config.lightpath.cloud/num-retries": "1" }, proxyName: OURS },
  { name: "opt-in", annotations: { "lightpath.cloud/proxy": "enabled" }, proxyName: OURS },
  { name: "node-port", spec: { type: "NodePort", ports: PORTS }, proxyName: OURS },
  { name: "load-balancer", spec: { type: "LoadBalancer", ports: PORTS }, proxyName: OURS },
  { name: "udp", spec: { ports: [{ port: 53, protocol: "UDP" }] }, proxyName: OURS },
  { name: "sctp", spec: { ports: [{ port: 9, protocol: "SCTP" }] }, proxyName: OURS },
  {
    name: "several",
    spec: { ports: [{ name: "a", port: 53, protocol: "UDP" }, { name: "b", port: 53, protocol: "TCP" }] },
    proxyName: OURS,
  },
  { name: "kubernetes", namespace: "team", proxyName: OURS },
  { name: "foreign", labels: { [PROXY_NAME_LABEL]: "cilium" }, proxyName: "cilium" },
  { name: "empty", labels: { [PROXY_NAME_LABEL]: "" }, proxyName: "" },
  { name: "opt-out", annotations: { "lightpath.cloud/proxy": "disabled" }, proxyName: undefined },
  { name: "headless", spec: { clusterIP: "None", ports: PORTS }, proxyName: undefined },
  { name: "headless-without-ports", spec: { clusterIP: "None" }, proxyName: undefined },
  { name: "headless-by-label", labels: { "service.kubernetes.io/headless": "" }, proxyName: undefined },
  { name: "alias", spec: { type: "ExternalName", externalName: "example.org" }, proxyName: undefined },
  {
    name: "alias-with-port",
    spec: { type: "ExternalName", externalName: "example.org", ports: PORTS },
    proxyName: undefined,
  },
  { name: "dns", namespace: "kube-system", proxyName: undefined },
  { name: "own", namespace: "lightpath-system", proxyName: undefined },
  { name: "certificates", namespace: "cert-manager", proxyName: undefined },
];

/** The object to post. */
export function toService({ name, namespace = "default", labels, annotations, spec }: ServiceCase): {
  readonly apiVersion: "v1";
  readonly kind: "Service";
  readonly metadata: Readonly<Record<string, unknown>> & {
    readonly name: string;
    readonly namespace: string;
  };
  readonly spec: unknown;
} {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name,
      namespace,
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
    },
    spec: spec ?? { ports: PORTS },
  };
}

/**
 * Pods as the local backend reads them, and what follows from their fields alone. Pure.
 *
 * In: a Pod's spec, its ConfigMaps, its addresses. Out: the environment and command of its containers.
 * Source: Kubernetes API reference (Pod v1), "Define Environment Variables for a Container" (`$(NAME)`).
 * @module
 */
import type { DualStack } from "../../lab/cluster_addresses.ts";
import type { SecurityContext } from "./container_root.ts";

/** What a probe asks; over HTTP, no other kind is known here. */
export interface Probe {
  readonly httpGet: { readonly host?: string; readonly port: number | string; readonly path?: string };
  readonly periodSeconds?: number;
  readonly failureThreshold?: number;
}

/** An entry of `env`. */
export interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath: string } };
}

/** A container, or an init container. */
export interface ContainerSpec {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly EnvVar[];
  readonly envFrom?: readonly { readonly configMapRef?: { readonly name: string } }[];
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
  /** Of init containers: `Always` makes it a sidecar. */
  readonly restartPolicy?: string;
  readonly startupProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly lifecycle?: { readonly preStop?: { readonly sleep?: { readonly seconds: number } } };
  readonly securityContext?: SecurityContext;
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}

/** A volume; others than these two are refused. */
export interface Volume {
  readonly name: string;
  readonly emptyDir?: unknown;
  readonly hostPath?: { readonly path: string };
}

/** A Pod. */
export interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
    readonly deletionGracePeriodSeconds?: number;
  };
  readonly spec: {
    readonly nodeName?: string;
    readonly nodeSelector?: Readonly<Record<string, string>>;
    readonly affinity?: { readonly nodeAffinity?: NodeAffinity };
    readonly hostNetwork?: boolean;
    readonly serviceAccountName?: string;
    readonly initContainers?: readonly ContainerSpec[];
    readonly containers: readonly ContainerSpec[];
    readonly volumes?: readonly Volume[];
    readonly securityContext?: SecurityContext;
    readonly terminationGracePeriodSeconds?: number;
  };
}

/** Of node affinity the one form that the DaemonSet controller writes. */
export interface NodeAffinity {
  readonly requiredDuringSchedulingIgnoredDuringExecution?: {
    readonly nodeSelectorTerms: readonly {
      readonly matchFields?: readonly { readonly key: string; readonly values: readonly string[] }[];
    }[];
  };
}

/** What a pod is told of where it runs. */
export interface PodPlace {
  readonly nodeName: string;
  readonly hostIPs: DualStack;
  readonly podIPs: DualStack;
}

/** A container's environment. @throws {TypeError} with what of it is not understood here */
export function containerEnv(
  { metadata, spec }: Pod,
  container: ContainerSpec,
  { place: { nodeName, hostIPs, podIPs }, configMaps, base }: {
    readonly place: PodPlace;
    /** `data` by name. */
    readonly configMaps: ReadonlyMap<string, Readonly<Record<string, string>>>;
    /** What its image and its kubelet set. */
    readonly base: Readonly<Record<string, string>>;
  },
): Readonly<Record<string, string>> {
  const fields: Readonly<Record<string, string>> = {
    "metadata.name": metadata.name,
    "metadata.namespace": metadata.namespace,
    "spec.nodeName": nodeName,
    "spec.serviceAccountName": spec.serviceAccountName ?? "",
    "status.hostIP": hostIPs.ipv4,
    "status.hostIPs": `${hostIPs.ipv4},${hostIPs.ipv6}`,
    "status.podIP": podIPs.ipv4,
    "status.podIPs": `${podIPs.ipv4},${podIPs.ipv6}`,
  };
  const env: Record<string, string> = { ...base };
  for (const { configMapRef } of container.envFrom ?? []) {
    const data = configMapRef === undefined ? undefined : configMaps.get(configMapRef.name);
    if (data === undefined) throw new TypeError(`there is no ConfigMap ${configMapRef?.name}`);
    Object.assign(env, data);
  }
  for (const { name, value, valueFrom } of container.env ?? []) {
    const path = valueFrom?.fieldRef?.fieldPath;
    const label = /^metadata\.labels\['(.+)'\]$/.exec(path ?? "")?.[1];
    if (path === undefined) env[name] = expand(value ?? "", env);
    else if (label !== undefined) env[name] = metadata.labels?.[label] ?? "";
    else env[name] = fields[path] ?? refuse(`${name} is taken from ${path}`);
  }
  return env;
}

/** `$(NAME)` in commands and arguments; `$$` is a dollar. */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([^)]+)\)/g, (all, name?: string) => {
    if (name === undefined) return "$";
    return env[name] ?? all;
  });
}

/** The number of a port that may be given by name. */
export function portNumber(port: number | string, { ports = [], name }: ContainerSpec): number {
  if (typeof port === "number") return port;
  const found = ports.find((one) => one.name === port)?.containerPort;
  return found ?? refuse(`the container ${name} has no port ${port}`);
}

/** Which of the nodes a pod may be on, by their names and labels. */
export function nodesFor(
  { spec: { nodeSelector = {}, affinity } }: Pod,
  nodes: readonly { readonly name: string; readonly labels: Readonly<Record<string, string>> }[],
): string[] {
  const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  const wanted = terms?.flatMap(({ matchFields = [] }) => matchFields.flatMap(({ values }) => values));
  return nodes.filter(({ name, labels }) =>
    Object.entries(nodeSelector).every(([key, value]) => labels[key] === value) &&
    (wanted === undefined || wanted.includes(name))
  ).map(({ name }) => name);
}

function refuse(what: string): never {
  throw new TypeError(`${what}, which the local backend does not know`);
}

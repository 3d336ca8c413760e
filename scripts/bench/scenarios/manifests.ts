/**
 * Reads what `kustomize build` makes of a scenario, as far as the lab plays it.
 *
 * In: objects that are a cluster's too. Out: namespaces, Services, replicas with their environment, loads. Pure.
 *
 * What the lab does not know it refuses: a manifest that means more in a cluster than here would be another scenario there.
 * @module
 */
import { SERVICE_PROXY_NAME_LABEL } from "../../../agent/kube/mod.ts";
import type { KubeObject } from "../../lab/object_path.ts";
import type { Side } from "./catalog.ts";

/** A Service and the labels of its pods. */
export interface PlayedService {
  readonly namespace: string;
  readonly name: string;
  readonly selector: Readonly<Record<string, string>>;
  /** Its only port. */
  readonly port: { readonly name: string; readonly port: number };
  readonly side: Side;
  /** As the API server is to take it. */
  readonly object: KubeObject;
}

/** Replicas that are alike. */
export interface PlayedDeployment {
  readonly namespace: string;
  readonly name: string;
  readonly replicas: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string>>;
}

/** What is done while a load runs. */
export type Disturbance = "rolling-restart";

/** A client. */
export interface PlayedLoad {
  readonly namespace: string;
  /** Of fortio. */
  readonly args: readonly string[];
  readonly during: Disturbance | undefined;
}

/** A scenario, ready to be played. */
export interface Play {
  readonly namespaces: readonly string[];
  readonly services: readonly PlayedService[];
  readonly deployments: readonly PlayedDeployment[];
  readonly loads: readonly PlayedLoad[];
}

interface PodTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: { readonly containers: readonly Container[] };
}

interface Container {
  readonly args?: readonly string[];
  readonly env?: readonly EnvVar[];
}

interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly fieldRef?: { readonly fieldPath: string };
    readonly configMapKeyRef?: { readonly name: string; readonly key: string };
  };
}

const DURING = "bench.lightpath.cloud/during";

/** Reads them. @throws {Error} when there is something that the lab does not play */
export function readPlay(objects: readonly KubeObject[]): Play {
  const configMaps = new Map(
    objects.filter(({ kind }) => kind === "ConfigMap").map((object) => [
      keyOf(object),
      object["data"] as Readonly<Record<string, string>>,
    ]),
  );
  const namespaces: string[] = [];
  const services: PlayedService[] = [];
  const deployments: PlayedDeployment[] = [];
  const loads: PlayedLoad[] = [];
  for (const object of objects) {
    switch (object.kind) {
      case "Namespace":
        namespaces.push(object.metadata.name);
        break;
      case "ConfigMap":
        break;
      case "Service":
        services.push(readService(object));
        break;
      case "Deployment":
        deployments.push(readDeployment(object, configMaps));
        break;
      case "Job":
        loads.push(readLoad(object));
        break;
      default:
        throw new Error(`${object.kind} ${object.metadata.name}: the lab does not play that`);
    }
  }
  return { namespaces, services, deployments, loads };
}

/** The deployments whose pods a Service selects. */
export function selectedBy(
  { namespace, selector }: PlayedService,
  deployments: readonly PlayedDeployment[],
): readonly PlayedDeployment[] {
  return deployments.filter((deployment) =>
    deployment.namespace === namespace &&
    Object.entries(selector).every(([name, value]) => deployment.labels[name] === value)
  );
}

/** Whose Services are in a namespace: a load's name in the results. @throws {Error} when they are not all of one */
export function sideOf({ namespace }: PlayedLoad, services: readonly PlayedService[]): Side {
  const sides = new Set(
    services.filter((service) => service.namespace === namespace).map(({ side }) => side),
  );
  const [side] = sides;
  if (side === undefined || sides.size > 1) throw new Error(`${namespace} is not served by one proxy`);
  return side;
}

/** fortio's arguments with another rate and duration. @throws {Error} when it has none */
export function scaledArgs(
  args: readonly string[],
  { qpsScale, durationMs }: { readonly qpsScale: number; readonly durationMs: number },
): string[] {
  const qps = Number(args.find((arg) => arg.startsWith("-qps="))?.slice("-qps=".length));
  if (!(qps > 0) || !args.some((arg) => arg.startsWith("-t="))) {
    throw new Error(`a load without -qps or -t: ${args.join(" ")}`);
  }
  return args.map((arg) => {
    if (arg.startsWith("-qps=")) return `-qps=${qps * qpsScale}`;
    return arg.startsWith("-t=") ? `-t=${durationMs}ms` : arg;
  });
}

/** The same replicas, each so many times slower. */
export function slowed(play: Play, times: number): Play {
  return {
    ...play,
    deployments: play.deployments.map((deployment) => {
      const slowdown = times * Number(deployment.environment["MOCK_SLOWDOWN"] ?? 1);
      return { ...deployment, environment: { ...deployment.environment, MOCK_SLOWDOWN: String(slowdown) } };
    }),
  };
}

function readService(object: KubeObject): PlayedService {
  const { selector, ports } = object["spec"] as {
    readonly selector: Readonly<Record<string, string>>;
    readonly ports: readonly { readonly name: string; readonly port: number }[];
  };
  const [port, ...others] = ports;
  if (port === undefined || others.length > 0) {
    throw new Error(`Service ${object.metadata.name}: one port is played`);
  }
  return {
    ...placeOf(object),
    selector,
    port,
    side: object.metadata.labels?.[SERVICE_PROXY_NAME_LABEL] === undefined ? "kube-proxy" : "lightpath",
    object,
  };
}

function readDeployment(
  object: KubeObject,
  configMaps: ReadonlyMap<string, Readonly<Record<string, string>>>,
): PlayedDeployment {
  const { replicas = 1, template } = object["spec"] as {
    readonly replicas?: number;
    readonly template: PodTemplate;
  };
  const place = placeOf(object);
  const { labels } = template.metadata;
  const environment = (onlyContainer(object, template).env ?? []).map(({ name, value, valueFrom }) => {
    const found = value ?? labelOf(valueFrom?.fieldRef?.fieldPath, labels) ??
      configMaps.get(`${place.namespace}/${valueFrom?.configMapKeyRef?.name}`)
        ?.[valueFrom?.configMapKeyRef?.key ?? ""];
    if (found === undefined) {
      throw new Error(`Deployment ${place.name}: where ${name} comes from is not played`);
    }
    return [name, found] as const;
  });
  return { ...place, replicas, labels, environment: Object.fromEntries(environment) };
}

function readLoad(object: KubeObject): PlayedLoad {
  const { template } = object["spec"] as { readonly template: PodTemplate };
  const during = object.metadata.annotations?.[DURING];
  if (during !== undefined && during !== "rolling-restart") {
    throw new Error(`Job ${object.metadata.name}: ${DURING} is "${during}", which is not played`);
  }
  const { namespace } = placeOf(object);
  return { namespace, args: onlyContainer(object, template).args ?? [], during };
}

function onlyContainer(
  { kind, metadata: { name } }: KubeObject,
  { spec: { containers } }: PodTemplate,
): Container {
  const [container, ...others] = containers;
  if (container === undefined || others.length > 0) {
    throw new Error(`${kind} ${name}: one container is played`);
  }
  return container;
}

/** `metadata.labels['app']` */
function labelOf(
  path: string | undefined,
  labels: Readonly<Record<string, string>>,
): string | undefined {
  const name = /^metadata\.labels\['(.+)'\]$/.exec(path ?? "")?.[1];
  return name === undefined ? undefined : labels[name];
}

function placeOf(
  { kind, metadata: { name, namespace } }: KubeObject,
): { readonly namespace: string; readonly name: string } {
  if (namespace === undefined) throw new Error(`${kind} ${name} is in no namespace`);
  return { namespace, name };
}

function keyOf({ metadata: { name, namespace } }: KubeObject): string {
  return `${namespace}/${name}`;
}

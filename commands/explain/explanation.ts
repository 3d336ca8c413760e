/**
 * Gathers all that is known of one Service on this node: what the model decided and why, and what Envoy has of it.
 *
 * In: the model, the store, what connected Envoys have of a resource. Out: an Explanation, plain JSON, which is what
 * `lightpath explain --json` prints. Nothing here decides, and nothing is asked of the outside.
 * @module
 */
import { closestString } from "@std/text/closest-string";
import {
  type AppProtocol,
  type Carrier,
  type DestinationKind,
  destinationKindsOf,
  type ExaminedPort,
  type ExaminedService,
  type HealthCheck,
  type IPFamily,
  type Path,
  pathOf,
  type Problem,
  type Protocol,
  type ServiceModel,
  type ServicePort,
  type ServiceSelection,
  type SettingInForce,
  settingsInForce,
  type TrafficPolicy,
  type TrafficRules,
  type VIP,
  whyNotServed,
} from "../../agent/model/mod.ts";
import type { EnvoyResourceState, LeftOutEndpoints, ResourceStore, XdsType } from "../../xds/mod.ts";
import type { Service } from "../../agent/kube/mod.ts";

/** Whose view it is. */
export type Viewpoint =
  | { readonly kind: "agent"; readonly nodeName: string }
  /** Nothing runs: what an agent would decide. */
  | { readonly kind: "manifests" };

/** A Service as it is served here. */
export interface Explanation {
  /** `namespace/name`. */
  readonly service: string;
  readonly viewpoint: Viewpoint;
  /** The node's, by which endpoints are near; empty: unknown, and then none is by it. */
  readonly zone: string;
  readonly traffic: TrafficExplanation;
  readonly ports: readonly PortExplanation[];
  /** Of the Service and its EndpointSlices. */
  readonly problems: readonly Problem[];
  /** Why it is not known which endpoints Envoy leaves out; null when it is, and where there is no Envoy to ask. */
  readonly leftOutUnknown: string | null;
  /** Why endpoints see the node's address and not their clients', where Envoy carries a port; null: they see their clients'. */
  readonly clientAddressLacking: string | null;
}

/** What it says of its traffic as a whole, defaults included. */
export interface TrafficExplanation {
  readonly internalTrafficPolicy: TrafficPolicy;
  readonly externalTrafficPolicy: TrafficPolicy;
  /** 0: a client keeps no endpoint. */
  readonly affinityTimeoutSeconds: number;
  readonly trafficDistribution: string;
  /** Who may use its load-balancer IPs, as in `ServicePort`; both lists empty: everybody. */
  readonly loadBalancerSourceRanges: TrafficRules["loadBalancerSourceRanges"];
  /** What load balancers are told; null where none ask. */
  readonly healthCheck: Pick<HealthCheck, "port" | "localEndpoints"> | null;
}

/** One of its ports. */
export interface PortExplanation {
  /** Empty for the single unnamed port. */
  readonly name: string;
  readonly port: number;
  readonly protocol: Protocol;
  readonly appProtocol: AppProtocol;
  /** What made it so: the end of a sentence that begins with "because". */
  readonly appProtocolBecause: string;
  readonly carrier: Carrier;
  /** The end of a sentence that begins with "because". */
  readonly carrierBecause: string;
  /** What it owns; what another Service has is among the problems. */
  readonly vips: readonly VIP[];
  /** 0 when it owns none. */
  readonly nodePort: number;
  readonly paths: readonly PathExplanation[];
  /** Empty for ports that Envoy does not carry. */
  readonly settings: readonly SettingInForce[];
  readonly endpoints: readonly EndpointExplanation[];
  readonly resources: readonly ResourceExplanation[];
}

/** Which way connections of one family take to some of its destinations. */
export interface PathExplanation {
  readonly family: IPFamily;
  /** Empty where it owns no destination: then the path is what a ClusterIP would have. */
  readonly kinds: readonly DestinationKind[];
  readonly path: Path;
  /** Why there is no endpoint, where there is none; else null. */
  readonly missing: string | null;
}

/** An endpoint, used or not. */
export interface EndpointExplanation {
  readonly address: string;
  readonly port: number;
  readonly family: IPFamily;
  /** Empty when unknown. */
  readonly zone: string;
  /** It runs on this node. */
  readonly local: boolean;
  readonly used: boolean;
  /** For destinations of which traffic policies. */
  readonly usedFor: readonly TrafficPolicy[];
  /** 0: used first; else only when those of the tiers before fail (Envoy), or are not ready (kernel). */
  readonly tier: number;
  /** Its condition, in a few words. */
  readonly because: string;
  /** Clusters in which Envoy leaves it out for a while, because it fails. */
  readonly leftOutOf: readonly string[];
}

/** A resource by which Envoy serves the port. */
export interface ResourceExplanation {
  readonly type: XdsType;
  readonly name: string;
  /** What each connected Envoy has of it; null where there is no agent to know. */
  readonly envoys: readonly EnvoyResourceState[] | null;
}

/** What became of a look for a Service that is not served: it, or that there is none, or why that is not known. */
export type Found = { readonly service: Service | undefined } | { readonly unknown: string };

/** What {@linkcode explainService} reads. */
export interface ExplanationSources {
  readonly viewpoint: Viewpoint;
  readonly selection: ServiceSelection;
  readonly model: ServiceModel;
  readonly store: ResourceStore;
  /** Undefined: there is no agent. */
  readonly resourceStates: ((type: XdsType, name: string) => readonly EnvoyResourceState[]) | undefined;
  /** What Envoy says of it, or why that is not known; undefined: it was not asked. */
  readonly leftOut?: LeftOutEndpoints | string | undefined;
  /** Undefined: nobody looked, because the Service is served. */
  readonly found?: Found | undefined;
  /** What is wrong with a Service on this node alone. @default nothing */
  readonly problemOnNode?: (service: string) => Problem | undefined;
  /** What this node lacks to let endpoints see their clients' addresses through Envoy. @default nothing */
  readonly clientAddressLacking?: string | undefined;
}

/** A Service that is not served, in one sentence. */
export interface NotServed {
  readonly notServed: string;
}

/** Explains a Service. Cost: its own ports and endpoints; for a name that is unknown, all Services. */
export function explainService(name: string, sources: ExplanationSources): Explanation | NotServed {
  const examined = sources.model.examine(name);
  return examined === undefined
    ? { notServed: sayNotServed(name, sources) }
    : explainExamined(examined, sources);
}

function explainExamined(
  { name, trafficRules, healthCheck, ports, problems }: ExaminedService,
  sources: ExplanationSources,
): Explanation {
  const onNode = sources.problemOnNode?.(name);
  return {
    service: name,
    viewpoint: sources.viewpoint,
    zone: sources.model.zone,
    traffic: explainTraffic(trafficRules, healthCheck),
    ports: ports.map((port) => explainPort(port, sources)),
    problems: [...problems, ...(onNode === undefined ? [] : [onNode])].map(({ object, kind, message }) => ({
      object,
      kind,
      message,
    })),
    leftOutUnknown: typeof sources.leftOut === "string" ? sources.leftOut : null,
    clientAddressLacking: ports.some(({ servicePort }) => servicePort.carrier === "envoy")
      ? sources.clientAddressLacking ?? null
      : null,
  };
}

function explainTraffic(rules: TrafficRules, healthCheck: HealthCheck | undefined): TrafficExplanation {
  return {
    internalTrafficPolicy: rules.internalTrafficPolicy,
    externalTrafficPolicy: rules.externalTrafficPolicy,
    affinityTimeoutSeconds: rules.affinityTimeoutSeconds,
    trafficDistribution: rules.trafficDistribution,
    loadBalancerSourceRanges: rules.loadBalancerSourceRanges,
    healthCheck: healthCheck === undefined
      ? null
      : { port: healthCheck.port, localEndpoints: healthCheck.localEndpoints },
  };
}

function explainPort(
  examined: ExaminedPort,
  { store, resourceStates, leftOut }: ExplanationSources,
): PortExplanation {
  const resources = [...store.resourcesOf(examined.servicePort)];
  const clusters = resources.filter(({ type }) => type === "Cluster").map(({ name }) => name);
  const inEnvoy = typeof leftOut === "string" ? undefined : leftOut;
  const { servicePort, port, whyAppProtocol, whyCarrier, endpoints, missing } = examined;
  const { name, appProtocol, carrier, vips, nodePort, families, settings } = servicePort;
  return {
    name: name.port,
    port,
    protocol: name.protocol,
    appProtocol,
    appProtocolBecause: whyAppProtocol,
    carrier,
    carrierBecause: whyCarrier,
    vips,
    nodePort,
    paths: families.flatMap((family) =>
      explainPaths(servicePort, family).map((path) => ({ ...path, missing: missing[family] ?? null }))
    ),
    settings: carrier === "envoy" ? settingsInForce(settings, appProtocol) : [],
    endpoints: endpoints.map(({ address, port, family, zone, isLocal, usedFor, tier = 0, why }) => ({
      address,
      port,
      family,
      zone,
      local: isLocal,
      used: usedFor.length > 0,
      usedFor,
      tier,
      because: why,
      leftOutOf: clusters.filter((cluster) =>
        inEnvoy?.get(cluster)?.some((one) => one.address === address && one.port === port)
      ),
    })),
    resources: resources.map(({ type, name }) => ({
      type,
      name,
      envoys: resourceStates?.(type, name) ?? null,
    })),
  };
}

/** The paths to a port's destinations of a family; those of one path together. */
function explainPaths(
  servicePort: ServicePort,
  family: IPFamily,
): readonly Omit<PathExplanation, "missing">[] {
  const kinds = destinationKindsOf(servicePort, family);
  if (kinds.length === 0) return [{ family, kinds, path: pathOf(servicePort, family, "ClusterIP") }];
  const byPath = new Map<Path, DestinationKind[]>();
  for (const kind of kinds) {
    const path = pathOf(servicePort, family, kind);
    byPath.set(path, [...byPath.get(path) ?? [], kind]);
  }
  return [...byPath].map(([path, kinds]) => ({ family, kinds, path }));
}

/** Why a Service is not served, and of one that does not exist what is served under a similar name. */
function sayNotServed(name: string, { found, selection, model }: ExplanationSources): string {
  if (found === undefined || "unknown" in found) {
    const why = found === undefined ? "" : `; whether there is one is not known (${found.unknown})`;
    return `no Service ${name} is served here${why}; ${nearestTo(name, model.serviceNames())}`;
  }
  const { service } = found;
  if (service === undefined) return `there is no Service ${name}; ${nearestTo(name, model.serviceNames())}`;
  const why = whyNotServed(service, selection);
  return why === undefined
    ? `Service ${name} has just come, and is being read; ask again`
    : `Service ${name} is not served here: it ${why}`;
}

/** The nearest name is looked for among the Services that share the namespace or the name. */
function nearestTo(wanted: string, served: Iterable<string>): string {
  const [namespace = "", name = ""] = wanted.split("/");
  const siblings: string[] = [];
  const namesakes: string[] = [];
  let count = 0;
  for (const one of served) {
    count++;
    if (one.startsWith(`${namespace}/`)) siblings.push(one);
    else if (one.endsWith(`/${name}`)) namesakes.push(one);
  }
  const nearest = namesakes.sort()[0] ??
    (siblings.length === 0 ? undefined : closestString(wanted, siblings));
  if (nearest !== undefined) return `the nearest that is served is ${nearest}`;
  return count === 0
    ? "none is served at all"
    : `none of the ${count} that are served is in namespace ${namespace}`;
}

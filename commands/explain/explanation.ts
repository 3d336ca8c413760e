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
  type ExaminedPort,
  type ExaminedService,
  type IPFamily,
  type Path,
  pathOf,
  type Problem,
  type Protocol,
  PROXY_ANNOTATION,
  PROXY_DISABLED,
  type ServiceModel,
  type SettingInForce,
  settingsInForce,
  type VIP,
} from "../../agent/model/mod.ts";
import type { EnvoyResourceState, ResourceStore, XdsType } from "../../xds/mod.ts";

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
  readonly ports: readonly PortExplanation[];
  /** Of the Service and its EndpointSlices. */
  readonly problems: readonly Problem[];
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
  /** What it owns; what another Service has is among the problems. */
  readonly vips: readonly VIP[];
  /** 0 when it owns none. */
  readonly nodePort: number;
  readonly paths: readonly PathExplanation[];
  /** Empty for ports other than TCP, which Envoy does not carry. */
  readonly settings: readonly SettingInForce[];
  readonly endpoints: readonly EndpointExplanation[];
  readonly resources: readonly ResourceExplanation[];
}

/** Which way connections of one family take. */
export interface PathExplanation {
  readonly family: IPFamily;
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
  readonly used: boolean;
  /** Its condition, in a few words. */
  readonly because: string;
}

/** A resource by which Envoy serves the port. */
export interface ResourceExplanation {
  readonly type: XdsType;
  readonly name: string;
  /** What each connected Envoy has of it; null where there is no agent to know. */
  readonly envoys: readonly EnvoyResourceState[] | null;
}

/** What {@linkcode explainService} reads. */
export interface ExplanationSources {
  readonly viewpoint: Viewpoint;
  readonly model: ServiceModel;
  readonly store: ResourceStore;
  /** Undefined: there is no agent. */
  readonly resourceStates: ((type: XdsType, name: string) => readonly EnvoyResourceState[]) | undefined;
}

/** A Service that is not served, in one sentence. */
export interface NotServed {
  readonly notServed: string;
}

/** Explains a Service. Cost: its own ports and endpoints; for a name that is unknown, all Services. */
export function explainService(name: string, sources: ExplanationSources): Explanation | NotServed {
  const examined = sources.model.examine(name);
  if (examined === undefined) return { notServed: whyNotServed(name, sources.model.serviceNames()) };
  return explainExamined(examined, sources);
}

function explainExamined(
  { name, ports, problems }: ExaminedService,
  sources: ExplanationSources,
): Explanation {
  return {
    service: name,
    viewpoint: sources.viewpoint,
    ports: ports.map((port) => explainPort(port, sources)),
    problems: problems.map(({ object, kind, message }) => ({ object, kind, message })),
  };
}

function explainPort(examined: ExaminedPort, { store, resourceStates }: ExplanationSources): PortExplanation {
  const { servicePort, port, whyAppProtocol, endpoints, missing } = examined;
  const { name, appProtocol, vips, nodePort, families, settings } = servicePort;
  return {
    name: name.port,
    port,
    protocol: name.protocol,
    appProtocol,
    appProtocolBecause: whyAppProtocol,
    vips,
    nodePort,
    paths: families.map((family) => ({
      family,
      path: pathOf(servicePort, family),
      missing: missing[family] ?? null,
    })),
    settings: name.protocol === "TCP" ? settingsInForce(settings, appProtocol) : [],
    endpoints: endpoints.map(({ address, port, family, zone, isUsed, why }) => ({
      address,
      port,
      family,
      zone,
      used: isUsed,
      because: why,
    })),
    resources: [...store.resourcesOf(servicePort)].map(({ type, name }) => ({
      type,
      name,
      envoys: resourceStates?.(type, name) ?? null,
    })),
  };
}

/** What is served under a similar name is looked for among the Services that share the namespace or the name. */
function whyNotServed(wanted: string, served: Iterable<string>): string {
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
  const others = count === 0
    ? "none is served at all"
    : `none of the ${count} that are is in namespace ${namespace}`;
  const hint = nearest === undefined ? others : `the nearest is ${nearest}`;
  return `no Service ${wanted} is served here; ${hint}. A Service that exists is not served when it is headless or of type ` +
    `ExternalName, has no ClusterIP yet, carries the annotation ${PROXY_ANNOTATION}: ${PROXY_DISABLED}, or is another ` +
    "proxy's by its label service.kubernetes.io/service-proxy-name";
}

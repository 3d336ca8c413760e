/**
 * The errors of talking to the Kubernetes API, with sentences that say what to mend.
 *
 * In: an HTTP status with the body's Status object, or a network error. Out: typed errors.
 * Source: Kubernetes API reference, "Status v1 meta"; "API Concepts", HTTP status codes.
 * @module
 */
import { API_VERSIONS } from "./parse.ts";
import type { KubeObject } from "./objects.ts";

/** In which Events are written. */
export const EVENTS_API_VERSION = "events.k8s.io/v1";

/** In which ServiceCIDRs are read. */
export const SERVICE_CIDRS_API_VERSION = "networking.k8s.io/v1";

/** What is asked of the API server; also the verbs of an RBAC rule. */
export type KubeVerb = "list" | "watch" | "create";

/** What it is asked about: what is watched, ServiceCIDRs, which are read now and then, and Events, which are written. */
export type KubeResource = KubeObject["kind"] | "ServiceCIDR" | "Event";

/** Who asked for what, for sentences. */
export interface KubeRequestContext {
  readonly verb: KubeVerb;
  readonly kind: KubeResource;
  /** The API server's URL. */
  readonly server: string;
  /** Where the credentials come from, e.g. `user "lab" of kubeconfig /root/.kube/config`. */
  readonly identity: string;
}

/** The API server could not be reached or did not do what was asked. */
export class KubeApiError extends Error {
  override readonly name = "KubeApiError";
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** `reason` of the Status object (`Forbidden`, `Expired`, …); empty when there was none. */
  readonly reason: string;
  readonly verb: KubeVerb;
  /** Plural name with group, as RBAC messages spell it: `endpointslices.discovery.k8s.io`. */
  readonly resource: string;
  /** From the `Retry-After` header; 0 when not given. */
  readonly retryAfterMs: number;

  constructor(
    message: string,
    details: {
      status: number;
      reason: string;
      request: KubeRequestContext;
      retryAfterMs?: number;
      cause?: unknown;
    },
  ) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.status = details.status;
    this.reason = details.reason;
    this.verb = details.request.verb;
    this.resource = resourceName(details.request.kind);
    this.retryAfterMs = details.retryAfterMs ?? 0;
  }
}

/** Nothing came over a connection for longer than the deadline. */
export class SilentConnectionError extends Error {
  override readonly name = "SilentConnectionError";
}

/** There is no usable kubeconfig: no retry can mend that. */
export class KubeConfigError extends Error {
  override readonly name = "KubeConfigError";
}

/** `services`, `endpointslices.discovery.k8s.io`. */
export function resourceName(kind: KubeResource): string {
  const { group, plural } = resourceOf(kind);
  return group === "" ? plural : `${plural}.${group}`;
}

/** The path of a kind's collection over all namespaces. */
export function resourcePath(kind: KubeObject["kind"]): string {
  const { group, plural } = resourceOf(kind);
  return `${group === "" ? "/api" : "/apis"}/${API_VERSIONS[kind]}/${plural}`;
}

/** The path of a kind's collection in one namespace. */
export function namespacePath(kind: KubeObject["kind"], namespace: string): string {
  const { group, plural } = resourceOf(kind);
  const root = `${group === "" ? "/api" : "/apis"}/${API_VERSIONS[kind]}`;
  return `${root}/namespaces/${encodeURIComponent(namespace)}/${plural}`;
}

/** The path of the Events of a namespace. */
export function eventsPath(namespace: string): string {
  return `/apis/${EVENTS_API_VERSION}/namespaces/${encodeURIComponent(namespace)}/events`;
}

/** The path of all ServiceCIDRs. */
export const SERVICE_CIDRS_PATH = `/apis/${SERVICE_CIDRS_API_VERSION}/servicecidrs`;

/** An answer with a status other than 200; `reason` and `message` are those of its Status object. */
export function errorFromStatus(
  request: KubeRequestContext,
  answer: {
    readonly status: number;
    readonly reason: string;
    readonly message: string;
    readonly retryAfterMs: number;
  },
): KubeApiError {
  const { status, reason, message: said, retryAfterMs } = answer;
  return new KubeApiError(describeStatus(request, { status, reason, said }), {
    status,
    reason,
    request,
    retryAfterMs,
  });
}

/** No answer at all: refused, unreachable, TLS, credentials that could not be had. */
export function errorFromCause(request: KubeRequestContext, cause: unknown): KubeApiError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const message = `cannot ${request.verb} ${resourceName(request.kind)} at ${request.server}: ${why}`;
  return new KubeApiError(message, { status: 0, reason: "", request, cause });
}

function describeStatus(
  request: KubeRequestContext,
  answer: { readonly status: number; readonly reason: string; readonly said: string },
): string {
  const resource = resourceName(request.kind);
  const said = answer.said === "" ? "" : `; the API server says: ${answer.said}`;
  switch (answer.status) {
    case 401:
      return `the API server ${request.server} does not accept the agent's credentials (${request.identity}) ` +
        `to ${request.verb} ${resource}: renew the token or client certificate${said}`;
    case 403: {
      const { group, plural } = resourceOf(request.kind);
      const verbs = VERBS[request.kind].map((verb) => `"${verb}"`).join(", ");
      return `the agent (${request.identity}) may not ${request.verb} ${resource} at cluster scope: grant it by a ` +
        `ClusterRole with the rule {apiGroups: ["${group}"], resources: ["${plural}"], verbs: [${verbs}]}` +
        `${said}`;
    }
    default:
      return `the API server ${request.server} answered ${`${answer.status} ${answer.reason}`.trim()} ` +
        `to ${request.verb} ${resource}${said}`;
  }
}

/** What the agent wants to do with each. */
const VERBS: Readonly<Record<KubeResource, readonly KubeVerb[]>> = {
  Service: ["list", "watch"],
  EndpointSlice: ["list", "watch"],
  ServiceCIDR: ["list"],
  Event: ["create"],
};

function resourceOf(kind: KubeResource): { group: string; plural: string } {
  switch (kind) {
    case "Service":
      return { group: "", plural: "services" };
    case "EndpointSlice":
      return { group: "discovery.k8s.io", plural: "endpointslices" };
    case "ServiceCIDR":
      return { group: "networking.k8s.io", plural: "servicecidrs" };
    case "Event":
      return { group: "events.k8s.io", plural: "events" };
    default: {
      const unreachable: never = kind;
      throw new TypeError(`Unexpected kind ${String(unreachable)}`);
    }
  }
}

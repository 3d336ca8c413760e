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

/** In which the API server is asked what we may do. */
export const ACCESS_REVIEW_API_VERSION = "authorization.k8s.io/v1";

/** In which ServiceCIDRs are read. */
export const SERVICE_CIDRS_API_VERSION = "networking.k8s.io/v1";

/** What is asked of the API server; also the verbs of an RBAC rule. */
export type KubeVerb = "get" | "list" | "watch" | "create" | "update" | "patch";

/** What it is asked about: what nodes read, all the time or (ServiceCIDRs) now and then, Events, which they write, and what the webhook keeps. */
export type KubeResource =
  | KubeObject["kind"]
  | "ServiceCIDR"
  | "Node"
  | "Event"
  | "Secret"
  | "MutatingWebhookConfiguration";

/** Who asked for what, for sentences. */
export interface KubeRequestContext {
  readonly verb: KubeVerb;
  readonly kind: KubeResource;
  /** Where a Role suffices; otherwise it takes a ClusterRole. */
  readonly namespace?: string;
  /** The one object it is about, where there is only one. */
  readonly name?: string;
  /** All verbs the asker needs there, so that one grant is enough. @default the verb */
  readonly needed?: readonly KubeVerb[];
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

/** The `apiVersion` in which a kind is asked for. */
export function apiVersionOf(kind: KubeResource): string {
  switch (kind) {
    case "Event":
      return EVENTS_API_VERSION;
    case "Node":
    case "Secret":
      return "v1";
    case "ServiceCIDR":
      return SERVICE_CIDRS_API_VERSION;
    case "MutatingWebhookConfiguration":
      return "admissionregistration.k8s.io/v1";
    default:
      return API_VERSIONS[kind];
  }
}

/** The path of a kind's collection over all namespaces, or of one that has no namespaces. */
export function resourcePath(kind: KubeResource): string {
  return `${rootOf(kind)}/${resourceOf(kind).plural}`;
}

/** The path of a kind's collection in one namespace. */
export function namespacePath(kind: KubeResource, namespace: string): string {
  return `${rootOf(kind)}/namespaces/${encodeURIComponent(namespace)}/${resourceOf(kind).plural}`;
}

/** An answer with a status other than 200; `reason` and `message` are those of its Status object. */
export function errorFromStatus(
  request: KubeRequestContext,
  answer: {
    readonly status: number;
    readonly reason: string;
    readonly message: string;
    readonly retryAfterMs: number;
    /** Why the credentials are not accepted, with the mend, where it is known. */
    readonly because?: string | undefined;
  },
): KubeApiError {
  const { status, reason, message: said, retryAfterMs, because } = answer;
  return new KubeApiError(describeStatus(request, { status, reason, said, because }), {
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

function rootOf(kind: KubeResource): string {
  return `${resourceOf(kind).group === "" ? "/api" : "/apis"}/${apiVersionOf(kind)}`;
}

function describeStatus(
  request: KubeRequestContext,
  answer: {
    readonly status: number;
    readonly reason: string;
    readonly said: string;
    readonly because: string | undefined;
  },
): string {
  const resource = resourceName(request.kind);
  const said = answer.said === "" ? "" : `; the API server says: ${answer.said}`;
  switch (answer.status) {
    case 401:
      return `the API server ${request.server} does not accept the credentials (${request.identity}) ` +
        `to ${request.verb} ${resource}: ${answer.because ?? "renew the token or client certificate"}${said}`;
    case 403:
      return `Lightpath (${request.identity}) may not ${request.verb} ${resource} ${
        describeScope(request)
      }: grant it by a ` +
        `${renderGrant(request)}${said}`;
    default:
      return `the API server ${request.server} answered ${`${answer.status} ${answer.reason}`.trim()} ` +
        `to ${request.verb} ${resource}${said}`;
  }
}

function describeScope({ namespace, name }: KubeRequestContext): string {
  const scope = namespace === undefined ? "at cluster scope" : `in namespace ${namespace}`;
  return name === undefined ? scope : `${JSON.stringify(name)} ${scope}`;
}

/** The role to write. */
function renderGrant({ verb, kind, namespace, name, needed = [verb] }: KubeRequestContext): string {
  const rule = renderRule({ kind, verbs: needed, ...(name === undefined ? {} : { name }) });
  const role = namespace === undefined ? "ClusterRole" : `Role in namespace ${namespace}`;
  return `${role} with the rule ${rule}`;
}

/** A rule of a Role. A right to create cannot be limited to a name (Kubernetes, "Using RBAC": Referring to resources). */
export function renderRule(
  { kind, verbs, name }: {
    readonly kind: KubeResource;
    readonly verbs: readonly KubeVerb[];
    readonly name?: string;
  },
): string {
  const { group, plural } = resourceOf(kind);
  const fields = [
    ["apiGroups", [group]],
    ["resources", [plural]],
    ...(name === undefined || verbs.includes("create") ? [] : [["resourceNames", [name]]] as const),
    ["verbs", verbs],
  ] as const;
  const rule = fields.map(([field, values]) => `${field}: [${values.map((one) => `"${one}"`).join(", ")}]`);
  return `{${rule.join(", ")}}`;
}

/** Group and plural name, as rules and reviews have them apart. */
export function resourceOf(kind: KubeResource): { group: string; plural: string } {
  switch (kind) {
    case "Service":
      return { group: "", plural: "services" };
    case "EndpointSlice":
      return { group: "discovery.k8s.io", plural: "endpointslices" };
    case "ServiceCIDR":
      return { group: "networking.k8s.io", plural: "servicecidrs" };
    case "Node":
      return { group: "", plural: "nodes" };
    case "Event":
      return { group: "events.k8s.io", plural: "events" };
    case "Secret":
      return { group: "", plural: "secrets" };
    case "MutatingWebhookConfiguration":
      return { group: "admissionregistration.k8s.io", plural: "mutatingwebhookconfigurations" };
    default: {
      const unreachable: never = kind;
      throw new TypeError(`Unexpected kind ${String(unreachable)}`);
    }
  }
}

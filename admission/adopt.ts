/**
 * Gives the label to Services that are there already, or takes it away: what the webhook does at their creation, done once.
 *
 * In: the API server, the rules. Out: an {@linkcode AdoptedService} for each Service, as it is done.
 * Invariants: a Service is changed only as it was judged: the write is for the version that was read, and one that changed
 * meanwhile is read and judged again. One that cannot be changed holds back nobody else. A dry run writes nothing.
 * @module
 */
import {
  type Fields,
  isConflict,
  isFields,
  isNotFound,
  KubeApiError,
  type ObjectClient,
  type ObjectName,
  SERVICE_PROXY_NAME_LABEL,
} from "../agent/kube/mod.ts";
import { type AdoptionRules, judgeAdoption, readCandidate } from "./judge_adoption.ts";

/** What is asked for. */
export interface AdoptOptions {
  readonly client: ObjectClient;
  readonly rules: AdoptionRules;
  /** Take the label away instead. */
  readonly release: boolean;
  readonly dryRun: boolean;
  /** Undefined: all. */
  readonly namespace: string | undefined;
}

/** What is done, or would be. `because` is the end of a sentence that begins with "it". */
export interface AdoptAction {
  readonly kind: "label" | "release" | "leave";
  readonly because: string;
}

/** One Service and what became of it. */
export interface AdoptedService {
  /** `default/echo`. */
  readonly service: string;
  readonly action: AdoptAction;
  /** Why it could not be done; undefined when it was, or nothing was to be. */
  readonly failure: string | undefined;
}

/** How often one Service is judged again because it changed meanwhile. */
const ATTEMPTS = 5;

/**
 * Goes through the Services in the API server's order, by namespace and name.
 * @throws {KubeApiError} when they cannot be listed; the signal's reason when it aborts
 */
export async function* adoptServices(
  options: AdoptOptions,
  signal: AbortSignal,
): AsyncGenerator<AdoptedService> {
  const { client, namespace } = options;
  const scope = namespace === undefined ? {} : { namespace };
  // All of them before the first is changed: the rest of a list is not to be had any more after some minutes.
  const listed: Fields[] = [];
  for await (const services of client.list("Service", scope, signal)) listed.push(...services);
  for (const service of listed) yield await adopt(service, options, signal);
}

/** What is to be done with a Service. Pure. */
export function actionFor(
  service: Fields,
  { rules, release }: Pick<AdoptOptions, "rules" | "release">,
): AdoptAction {
  const candidate = readCandidate(service);
  if ("unreadable" in candidate) {
    return { kind: "leave", because: `cannot be read: ${candidate.unreadable}` };
  }
  const { kind, because } = judgeAdoption(candidate, rules);
  if (!release) return { kind, because };
  if (!candidate.labelled) return { kind: "leave", because: `has no label ${SERVICE_PROXY_NAME_LABEL}` };
  if (candidate.proxyName !== rules.proxyName) return { kind: "leave", because };
  return { kind: "release", because: `has the label ${SERVICE_PROXY_NAME_LABEL}: ${rules.proxyName}` };
}

async function adopt(listed: Fields, options: AdoptOptions, signal: AbortSignal): Promise<AdoptedService> {
  const { client, dryRun } = options;
  const name = nameOf(listed);
  const service = `${name.namespace}/${name.name}`;
  let current = listed;
  for (let attempt = 1;; attempt++) {
    const action = actionFor(current, options);
    const done: AdoptedService = { service, action, failure: undefined };
    if (action.kind === "leave" || dryRun) return done;
    try {
      await client.patch(name, labelling(current, action, options), signal);
      return done;
    } catch (error) {
      if (!isConflict(error)) return { ...done, ...excuse(error) };
      if (attempt === ATTEMPTS) return { ...done, failure: "others go on changing it; try again" };
    }
    try {
      current = await client.get(name, signal);
    } catch (error) {
      return { ...done, ...excuse(error) };
    }
  }
}

/** What became of a Service at which a request failed. @throws what is no answer about this Service */
function excuse(error: unknown): Partial<AdoptedService> {
  if (isNotFound(error)) return { action: { kind: "leave", because: "was deleted meanwhile" } };
  if (error instanceof KubeApiError && error.status !== 0) return { failure: error.message };
  throw error;
}

/** A merge patch for the version that was judged; `null` removes (RFC 7386). */
function labelling(
  service: Fields,
  action: AdoptAction,
  { rules }: AdoptOptions,
): Parameters<ObjectClient["patch"]>[1] {
  const { resourceVersion } = metadataOf(service);
  const label = action.kind === "release" ? null : rules.proxyName;
  const metadata = { resourceVersion, labels: { [SERVICE_PROXY_NAME_LABEL]: label } };
  return { kind: "merge", fields: { metadata }, fieldManager: "lightpath-adopt" };
}

function nameOf(service: Fields): ObjectName & { readonly namespace: string } {
  const { namespace, name } = metadataOf(service);
  return { kind: "Service", namespace: String(namespace ?? ""), name: String(name ?? "") };
}

function metadataOf(service: Fields): Fields {
  return isFields(service["metadata"]) ? service["metadata"] : {};
}

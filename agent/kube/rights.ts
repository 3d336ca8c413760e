/**
 * Finds out which of the rights that an agent uses it does not have, all at once: refusals come one after the other, some of them days later.
 *
 * In: an API server that is asked about ourselves. Out: one sentence for all that is missing, and news when that changes.
 * Invariants: nothing waits for this. It asks at the start, and again at intervals for as long as something is missing. Who may not even
 * ask is left alone: what is refused is told by whoever is refused it.
 * Source: Kubernetes "Authorization": SelfSubjectAccessReview, which everybody may create who is authenticated (`system:basic-user`).
 * @module
 */
import { delay } from "@std/async/delay";
import type { Logger } from "../log.ts";
import {
  KubeApiError,
  type KubeResource,
  type KubeVerb,
  renderRule,
  resourceName,
  SilentConnectionError,
} from "./kube_api_error.ts";

/** What is used of one resource, over all namespaces. */
export interface Right {
  readonly kind: KubeResource;
  readonly verbs: readonly KubeVerb[];
  /** What does not work without it, as the end of a sentence. */
  readonly without: string;
}

/** What an agent uses; deploy/base/rbac.yaml grants it. */
export const AGENT_RIGHTS: readonly Right[] = [
  { kind: "Service", verbs: ["list", "watch"], without: "nothing is served" },
  { kind: "EndpointSlice", verbs: ["list", "watch"], without: "nothing is served" },
  { kind: "ServiceCIDR", verbs: ["list"], without: "addresses that no Service has are not dropped" },
  {
    kind: "Node",
    verbs: ["list", "watch"],
    without: "a wrong --node-name is not noticed, and the zone is what --zone says",
  },
  { kind: "Event", verbs: ["create"], without: "owners of Services are not told what is wrong with them" },
];

/** Asks an API server about ourselves. */
export interface RightsClient {
  /** Where the credentials come from, for messages. */
  readonly identity: string;
  /**
   * Whether we may do this, over all namespaces.
   * @throws {KubeApiError | SilentConnectionError} @throws the signal's reason when aborted.
   */
  mayDo(verb: KubeVerb, kind: KubeResource, signal: AbortSignal): Promise<boolean>;
}

/** What {@linkcode watchRights} needs. */
export interface WatchRightsOptions {
  readonly client: RightsClient;
  readonly rights: readonly Right[];
  /** Called when what is missing is something else than before; undefined: nothing. */
  readonly onChange: (missing: string | undefined) => void;
  readonly logger: Logger;
  /** Between two looks while something is missing, and after one that failed. @default 30_000 */
  readonly intervalMs?: number;
}

/** The rights that are missing, each with the verbs that are. */
export async function missingRights(
  client: RightsClient,
  rights: readonly Right[],
  signal: AbortSignal,
): Promise<readonly Right[]> {
  const looked = await Promise.all(rights.map(async (right) => {
    const allowed = await Promise.all(right.verbs.map((verb) => client.mayDo(verb, right.kind, signal)));
    return { ...right, verbs: right.verbs.filter((_, index) => !allowed[index]) };
  }));
  return looked.filter(({ verbs }) => verbs.length > 0);
}

/** One sentence that names each verb on each resource, what they are for, and the rules to write. */
export function renderMissing(missing: readonly Right[], identity: string): string {
  const clauses = [...Map.groupBy(missing, ({ without }) => without)].map(([without, rights]) => {
    const names = rights.map(({ kind, verbs }) => `${verbs.join(" and ")} ${resourceName(kind)}`);
    return `${names.join(" and ")}, without which ${without}`;
  });
  const rules = missing.map(({ kind, verbs }) => renderRule({ kind, verbs }));
  return `Lightpath (${identity}) may not ${clauses.join("; nor ")}. Grant it by a ClusterRole with the ` +
    `${rules.length === 1 ? "rule" : "rules"} ${rules.join(", ")}, as deploy/base/rbac.yaml has`;
}

/** Looks until nothing is missing, or the signal aborts. */
export async function watchRights(
  { client, rights, onChange, logger, intervalMs = 30_000 }: WatchRightsOptions,
  signal: AbortSignal,
): Promise<void> {
  let before: string | undefined;
  while (!signal.aborted) {
    try {
      const missing = await missingRights(client, rights, signal);
      const now = missing.length === 0 ? undefined : renderMissing(missing, client.identity);
      if (now !== before) {
        onChange(now);
        if (now === undefined) logger.info("all rights at the API server are granted now");
        else logger.warn(now);
      }
      before = now;
      if (now === undefined) return;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof KubeApiError || error instanceof SilentConnectionError)) throw error;
      logger.debug("cannot ask the API server what is permitted", { reason: error.message });
      if (error instanceof KubeApiError && (error.status === 403 || error.status === 404)) return;
    }
    try {
      await delay(intervalMs * (0.9 + 0.2 * Math.random()), { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

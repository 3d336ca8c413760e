/**
 * What one stream knows about one resource type: a plain record.
 *
 * Three things alter it, in place: requests (apply_request.ts), changes of the store (here), and the responses taken
 * from it (next_response.ts). No clock, no log, nothing is sent from any of them.
 *
 * Invariants:
 * - A name whose version in the store may differ from the one sent is in `owed` (or still to be put there by
 *   `wildcardOwed`), so changes that come while a response is in flight merge instead of queueing.
 * - `held` has only names the client is interested in.
 * - At most one response is in flight; nothing but its own nonce ends its flight.
 *
 * Source: "xDS REST and gRPC protocol" (Envoy 1.40), section "Incremental xDS".
 * @module
 */
import type { Interest, ResourceSource } from "./resource_source.ts";
import type { XdsType } from "./type_urls.ts";
import type { WildcardScope } from "./wildcard_scope.ts";

/** Why a name is looked at when the next response is put together. */
export interface Owed {
  /** Send it even if the client holds this very version. */
  readonly again: boolean;
  /** When the client first asked for the name, if it still waits for it; the caller's clock. */
  readonly askedAtMs: number | undefined;
}

/** The one response the client has not answered yet. */
export interface InFlight {
  readonly nonce: string;
  readonly sentAtMs: number;
  /** Versions by name. */
  readonly versions: ReadonlyMap<string, string>;
  readonly removed: readonly string[];
  /** The names the client had asked for and waited for, with the time it asked. */
  readonly askedAtMs: ReadonlyMap<string, number>;
}

/** A version the client refused. It goes on with the last version it took, if any. */
export interface Rejection {
  readonly name: string;
  readonly version: string;
  /** In the client's words. */
  readonly reason: string;
  /** The caller's clock. */
  readonly atMs: number;
  /** The version it goes on with; undefined when it has none. */
  readonly inUse: string | undefined;
}

/** The state of one type on one stream. */
export interface Subscription {
  readonly type: XdsType;
  /** False until the first request of the type. */
  requested: boolean;
  /** `legacy`: by an empty first request; `explicit`: by the name `*`. */
  wildcard: "none" | "legacy" | "explicit";
  /** What the wildcard takes. */
  wildcardScope: WildcardScope;
  /** Names asked for one by one, without `*`. */
  readonly names: Set<string>;
  /**
   * Names that a wildcard of scope `used` takes, beside those in `names`: given to the client at its start, or when they
   * came to be pushed, and from then on treated as if it had asked for them. Envoy asks only for what it lacks, so many
   * of them stay here for good.
   */
  readonly preloaded: Set<string>;
  /** Version last sent, or named by the client in `initial_resource_versions`. A rejected one counts as sent. */
  readonly held: Map<string, string>;
  /**
   * What the client took before the version that `held` names, for as long as that one is in flight or refused. Nothing of
   * a name: it had none before.
   */
  readonly inUse: Map<string, string>;
  /** By name; cleared by the next version the client takes. */
  readonly rejected: Map<string, Rejection>;
  /** In the order in which they are to be sent: first come, first served, so constant change starves nobody. */
  readonly owed: Map<string, Owed>;
  /**
   * Whether the names the wildcard takes are still to be entered into `owed`: all, if need be to be sent `again`, or of
   * scope `used` only what is `pushed`, because the client holds the rest or asks for it.
   */
  wildcardOwed: "no" | "pushed" | "changed" | "again";
  /** A response is owed even if it has nothing in it. */
  answerOwed: boolean;
  /** Names not asked for yet that must be sent when they are, whatever version the client claims to hold. */
  readonly expected: Set<string>;
  /** Parts of a rejected response, each to be sent on its own to find out which resource was meant. */
  readonly retries: string[][];
  inFlight: InFlight | undefined;
}

/** A type on a new stream, before its first request. */
export function createSubscription(type: XdsType): Subscription {
  return {
    type,
    requested: false,
    wildcard: "none",
    wildcardScope: "all",
    names: new Set(),
    preloaded: new Set(),
    held: new Map(),
    inUse: new Map(),
    rejected: new Map(),
    owed: new Map(),
    wildcardOwed: "no",
    answerOwed: false,
    expected: new Set(),
    retries: [],
    inFlight: undefined,
  };
}

/** How the client came to want the name, or undefined when it does not want it. */
export function interestIn(subscription: Subscription, name: string): Interest | undefined {
  if (subscription.names.has(name) || subscription.preloaded.has(name)) return "explicit";
  return takesAll(subscription) ? "wildcard" : undefined;
}

/** Whether the client wants every name there is. */
export function takesAll({ wildcard, wildcardScope }: Subscription): boolean {
  return wildcard !== "none" && wildcardScope === "all";
}

/** Takes in names that may have changed in the store. Cost: proportional to the names. */
export function applyStoreChange(
  subscription: Subscription,
  names: Iterable<string>,
  source: Pick<ResourceSource, "isPushed">,
): void {
  if (!subscription.requested) return;
  const takesPushed = subscription.wildcard !== "none" && subscription.wildcardScope === "used";
  for (const name of names) {
    if (takesPushed && source.isPushed(name)) subscription.preloaded.add(name);
    if (interestIn(subscription, name) !== undefined) owe(subscription, name);
  }
}

/**
 * Makes names owed whatever version the client holds, now or as soon as it asks for them.
 *
 * Needed for the ClusterLoadAssignment of every Cluster that is sent: Envoy keeps a new or changed Cluster warming
 * until it *receives* endpoints, yet does not ask again for a name it is already subscribed to, be it through the
 * Cluster's former version or through another one that shares the name. While one Cluster warms, Envoy also withholds
 * its ACK and all further requests for Clusters (envoyproxy/envoy#47302, #13009; envoyproxy/go-control-plane#1035).
 */
export function oweAgain(subscription: Subscription, names: Iterable<string>): void {
  for (const name of names) {
    if (interestIn(subscription, name) === undefined) subscription.expected.add(name);
    else owe(subscription, name, { again: true });
  }
}

/** Enters a name into `owed`, keeping its place and what was known about it. */
export function owe(subscription: Subscription, name: string, wish?: Partial<Owed>): void {
  const known = subscription.owed.get(name);
  subscription.owed.set(name, {
    again: (known?.again ?? false) || (wish?.again ?? false),
    askedAtMs: known?.askedAtMs ?? wish?.askedAtMs,
  });
}

/** Drops all that is known about a name the client no longer wants. */
export function forget(subscription: Subscription, name: string): void {
  subscription.held.delete(name);
  subscription.inUse.delete(name);
  subscription.rejected.delete(name);
  subscription.owed.delete(name);
}

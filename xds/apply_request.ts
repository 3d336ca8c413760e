/**
 * Takes a request into the record of its type: what the client wants, what it holds, and whether it took the response
 * in flight.
 *
 * In: the record, the request in neutral form, the caller's clock. Out: the record altered in place, and what the
 * request brought to light, for logs and counters.
 * Invariant: a request never fails; lists that name unknown or repeated resources are taken as the protocol says.
 * Source: "xDS REST and gRPC protocol" (Envoy 1.40), sections quoted at the branches.
 * @module
 */
import { attributeNack } from "./nack.ts";
import {
  forget,
  type InFlight,
  interestIn,
  owe,
  type Rejection,
  type Subscription,
  takesAll,
} from "./subscription.ts";
import { hasWildcard } from "./type_urls.ts";
import type { WildcardScope } from "./wildcard_scope.ts";

/** The name that stands for all resources of a type. */
export const WILDCARD = "*";

/** The parts of a DeltaDiscoveryRequest that count, in neutral form. */
export interface SubscriptionRequest {
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** `initial_resource_versions`. */
  readonly initialVersions: Readonly<Record<string, string>>;
  /** What a wildcard of this client means. Counts on the first request. */
  readonly wildcardScope: WildcardScope;
  /** Empty when the request answers nothing. */
  readonly nonce: string;
  /** `error_detail.message`; undefined when there is no `error_detail`. */
  readonly error: string | undefined;
}

/** What a request said about the response in flight. */
export type Answer =
  /** It carried no nonce. */
  | { readonly kind: "none" }
  /** It carried the nonce of something that is not in flight. */
  | { readonly kind: "stale" }
  /** `waitedMs`: for each name that was asked for on demand, the time from the question to this ACK. */
  | {
    readonly kind: "ack";
    readonly names: readonly string[];
    readonly latencyMs: number;
    readonly waitedMs: readonly number[];
  }
  /** `retried`: names of the same response that are sent again, because the NACK left it open whether they are good. */
  | {
    readonly kind: "nack";
    readonly error: string;
    readonly rejected: readonly Rejection[];
    readonly retried: readonly string[];
  };

/** What a request brought to light. */
export interface RequestOutcome {
  readonly answer: Answer;
  /** Names asked for of which the client holds nothing. */
  readonly asked: readonly string[];
  /** Names the client chose to have, and held already when it connected; one that takes all chose none. */
  readonly held: readonly string[];
}

/** Takes in a request. Cost: proportional to its lists and to the response it answers. */
export function applyRequest(
  subscription: Subscription,
  request: SubscriptionRequest,
  nowMs: number,
): RequestOutcome {
  const first = !subscription.requested;
  subscription.requested = true;
  // The lists below count whatever the nonce says: it "should not be used to reject stale requests" (Incremental xDS).
  const answer = applyAnswer(subscription, request, nowMs);
  if (first) begin(subscription, request);
  for (const name of request.unsubscribe) unsubscribe(subscription, name);
  const held = first && !takesAll(subscription) ? [...subscription.held.keys()] : [];
  const asked: string[] = [];
  for (const name of request.subscribe) {
    if (name === WILDCARD) {
      if (!first) subscribeToAll(subscription);
      continue;
    }
    if (!subscription.held.has(name)) asked.push(name);
    // Versions count only on the first request: "must be populated for first request in a stream".
    const claimed = first && Object.hasOwn(request.initialVersions, name);
    subscribe(subscription, name, { claimed, nowMs });
  }
  return { answer, asked, held };
}

/** What only the first request of a type can say: a wildcard without `*`, and the versions held. */
function begin(subscription: Subscription, request: SubscriptionRequest): void {
  const { subscribe, unsubscribe } = request;
  const held = Object.entries(request.initialVersions);
  const isLegacy = subscribe.length === 0 && unsubscribe.length === 0;
  if (hasWildcard(subscription.type) && (isLegacy || subscribe.includes(WILDCARD))) {
    subscription.wildcard = isLegacy ? "legacy" : "explicit";
    subscription.wildcardScope = request.wildcardScope;
    const hasJustStarted = held.length === 0;
    // Envoy's initialisation waits for an answer even when there is nothing to tell; and its ACK of Listeners is how the
    // agent knows that it listens, also if it only lost its stream.
    subscription.answerOwed = hasJustStarted || subscription.type === "Listener";
    // One that holds something already has what this node used, or asks for it: nothing of that is given to it again.
    subscription.wildcardOwed = request.wildcardScope === "all" || hasJustStarted ? "changed" : "pushed";
    for (const [name] of held) {
      if (request.wildcardScope === "used") subscription.preloaded.add(name);
      // What is gone by now is in the store no more; only this finds it.
      owe(subscription, name);
    }
  }
  const wanted = new Set(subscribe);
  for (const [name, version] of held) {
    if (subscription.wildcard !== "none" || wanted.has(name)) subscription.held.set(name, version);
  }
}

/** "Subscribing to Resources": what is asked for again must be sent again, the client may have forgotten it. */
function subscribe(
  subscription: Subscription,
  name: string,
  options: { readonly claimed: boolean; readonly nowMs: number },
): void {
  subscription.names.add(name);
  const expected = subscription.expected.delete(name);
  owe(subscription, name, {
    again: expected || !options.claimed,
    askedAtMs: subscription.held.has(name) ? undefined : options.nowMs,
  });
}

/** A `*` on a later request. Types without wildcard ignore it. */
function subscribeToAll(subscription: Subscription): void {
  if (!hasWildcard(subscription.type)) return;
  subscription.wildcardOwed = subscription.wildcard === "none" ? "changed" : "again";
  subscription.wildcard = "explicit";
  subscription.answerOwed = true;
}

/** "Unsubscribing from Resources". Names that were not subscribed to are ignored. */
function unsubscribe(subscription: Subscription, name: string): void {
  if (name === WILDCARD) {
    subscription.wildcard = "none";
    subscription.wildcardOwed = "no";
    subscription.answerOwed = false;
    subscription.preloaded.clear();
    for (const known of [...subscription.held.keys(), ...subscription.owed.keys()]) {
      if (!subscription.names.has(known)) forget(subscription, known);
    }
    return;
  }
  if (!subscription.names.delete(name)) return;
  if (subscription.wildcard === "none") {
    forget(subscription, name);
    return;
  }
  // The client cannot know whether the wildcard covers the name: it must be told, as resource or as removal.
  if (subscription.wildcardScope === "used") subscription.preloaded.add(name);
  owe(subscription, name, { again: true });
}

/** ACK, NACK or neither. "ACK or NACK is determined by the absence or presence of error_detail." */
function applyAnswer(subscription: Subscription, request: SubscriptionRequest, nowMs: number): Answer {
  if (request.nonce === "") return { kind: "none" };
  const flight = subscription.inFlight;
  if (flight === undefined || flight.nonce !== request.nonce) return { kind: "stale" };
  subscription.inFlight = undefined;
  if (request.error !== undefined) return applyNack(subscription, flight, { error: request.error, nowMs });
  for (const name of flight.versions.keys()) {
    subscription.rejected.delete(name);
    subscription.inUse.delete(name);
  }
  return {
    kind: "ack",
    names: [...flight.versions.keys()],
    latencyMs: nowMs - flight.sentAtMs,
    waitedMs: [...flight.askedAtMs.values()].map((askedAtMs) => nowMs - askedAtMs),
  };
}

/**
 * Records what Envoy named as bad, and makes the rest owed again. That rest must not count as taken: on a fault of
 * one on-demand Cluster Envoy stops handing out the others of the response, on a validation fault it applies none, and
 * it never remembers their versions (watch_map.cc, delta_subscription_state.cc). Where it named nothing, the response
 * is halved until the bad one is alone. So each further NACK is about fewer resources, and it comes to an end.
 */
function applyNack(
  subscription: Subscription,
  flight: InFlight,
  { error, nowMs }: { readonly error: string; readonly nowMs: number },
): Answer {
  const names = [...flight.versions.keys()];
  const reasons = new Map(attributeNack(error, names));
  if (reasons.size === 0 && names.length === 1) reasons.set(names[0]!, error);
  const rejected: Rejection[] = [];
  for (const [name, reason] of reasons) {
    const inUse = subscription.inUse.get(name);
    const rejection = { name, version: flight.versions.get(name)!, reason, atMs: nowMs, inUse };
    rejected.push(rejection);
    if (interestIn(subscription, name) !== undefined) subscription.rejected.set(name, rejection);
  }
  const wanted = names.filter((name) => !reasons.has(name) && interestIn(subscription, name) !== undefined);
  for (const name of wanted) {
    subscription.held.delete(name);
    owe(subscription, name, { again: true, askedAtMs: flight.askedAtMs.get(name) });
  }
  const middle = reasons.size > 0 ? wanted.length : Math.ceil(wanted.length / 2);
  const parts = [wanted.slice(0, middle), wanted.slice(middle)].filter((part) => part.length > 0);
  subscription.retries.unshift(...parts);
  // Removals travelled with them. A response of removals alone is not repeated: there is nothing to leave out.
  const removed = names.length === 0 ? [] : flight.removed;
  for (const name of removed) owe(subscription, name, { again: true });
  return { kind: "nack", error, rejected, retried: [...wanted, ...removed] };
}

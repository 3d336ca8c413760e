/**
 * The list+watch protocol of one kind of object, as a pure step machine.
 *
 * In: what the API server answered (`WatchInput`). Out: the next state and what is to be done (`WatchEffect`): one
 * request or one wait at a time, and the store events that follow from the input.
 * Invariants: every input leads to at most one request or wait; a list that breaks off is started again, and until it is
 * complete nothing counts as deleted; a resourceVersion is never compared, only handed back; a list or watch that fails
 * is repeated for ever, with growing jittered pauses.
 *
 * Lists ask with resourceVersion unset ("most recent"): unlike "0" ("any", possibly an older state from a server's
 * cache), it can never take a restarted agent or a relist back in time.
 *
 * They ask for everything at once, and are taken in as they arrive. Since Kubernetes 1.31 the server's watch cache answers
 * such a list, where the second page and all that follow still cost a read of etcd each (until 1.34); since 1.33 it
 * encodes item by item. A page would bound nobody's memory any more, but costs a round trip, and its token expires.
 * Servers before 1.31 read etcd for it, once for each start of an agent. API Priority and Fairness counts such a list as
 * up to ten requests, for the short time that it takes. A watch with `sendInitialEvents` would do the same in one
 * request, but not every server in use allows it, and they would need the list as well.
 *
 * Source: Kubernetes "API Concepts": Efficient detection of changes, Watch bookmarks, Streaming lists, Resource versions,
 * 410 Gone responses; k8s.io/apiserver's features ConsistentListFromCache, ListFromCacheSnapshot and
 * StreamingCollectionEncodingToProtobuf. Structure after kube-rs' `watcher`.
 * @module
 */
import type {
  StoreEvent,
  WatchEffect,
  WatchEvent,
  WatchFailure,
  WatchInput,
  WatchSettings,
} from "./watch_protocol.ts";

/** Takes in a list. */
export interface ListingState {
  readonly kind: "listing";
}

/** Follows changes after `resourceVersion`. */
export interface WatchingState {
  readonly kind: "watching";
  readonly resourceVersion: string;
  /** Whether this stream has delivered an event or a bookmark. */
  readonly progressed: boolean;
}

/** Pauses, then goes on with `next`. */
export interface WaitingState {
  readonly kind: "waiting";
  readonly next: ListingState | WatchingState;
}

/** Where the conversation with the API server stands. `failures` in a row decide the length of the next pause. */
export type WatchState = (ListingState | WatchingState | WaitingState) & { readonly failures: number };

/** Result of {@linkcode step}. */
export interface WatchStep {
  readonly state: WatchState;
  /** For the store, in order. */
  readonly events: readonly StoreEvent[];
  /** Replaces what is under way; undefined: go on with it. */
  readonly effect: WatchEffect | undefined;
  /** Set when a complete list was started because history is lost (410) or in doubt. */
  readonly relistReason: string | undefined;
}

/** Settings, and randomness from outside, so that a step has no hidden input. */
export interface StepContext {
  readonly settings: WatchSettings;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

const VERY_SHORT_WATCH_MS = 1_000;

const LISTING: ListingState = { kind: "listing" };

/** The first state and its effect: list from the beginning. */
export function start(context: StepContext): WatchStep {
  return enter(LISTING, 0, context);
}

/** Takes one input. An input that does not fit the state (a late answer) changes nothing. */
export function step(state: WatchState, input: WatchInput, context: StepContext): WatchStep {
  switch (state.kind) {
    case "waiting":
      return input.kind === "waited" ? enter(state.next, state.failures, context) : unchanged(state);
    case "listing":
      return stepListing(state, input, context);
    case "watching":
      return stepWatching(state, input, context);
    default:
      return unreachable(state);
  }
}

function stepListing(
  state: ListingState & { failures: number },
  input: WatchInput,
  context: StepContext,
): WatchStep {
  switch (input.kind) {
    case "listed": {
      const applied: StoreEvent = { type: "InitApply", objects: input.objects };
      if (input.resourceVersion === "") return { ...unchanged(state), events: [applied] };
      const watch = enter(watching(input.resourceVersion), state.failures, context);
      return { ...watch, events: [applied, { type: "InitDone" }] };
    }
    case "failed":
    case "silent":
      return pause(state, input.kind === "failed" ? input.failure : undefined, context);
    case "events":
    case "closed":
    case "waited":
      return unchanged(state);
    default:
      return unreachable(input);
  }
}

function stepWatching(
  state: WatchingState & { failures: number },
  input: WatchInput,
  context: StepContext,
): WatchStep {
  switch (input.kind) {
    case "events":
      return stepEvents(state, input.events, context);
    case "failed":
      return afterWatchFailure(state, input.failure, context);
    case "closed":
      // A server that accepts and closes at once would be asked in a tight loop: that is a failure, with a pause.
      // client-go calls it a "very short watch", with the same limit.
      if (!state.progressed && input.durationMs < VERY_SHORT_WATCH_MS) {
        return pause(state, undefined, context);
      }
      return enter({ ...state, progressed: false }, state.failures, context);
    case "silent":
      return enter({ ...state, progressed: false }, state.failures, context);
    case "listed":
    case "waited":
      return unchanged(state);
    default:
      return unreachable(input);
  }
}

function stepEvents(
  state: WatchingState & { failures: number },
  events: readonly WatchEvent[],
  context: StepContext,
): WatchStep {
  const out: StoreEvent[] = [];
  let resourceVersion = state.resourceVersion;
  let progressed = state.progressed;
  for (const event of events) {
    switch (event.type) {
      case "ADDED":
      case "MODIFIED":
        out.push({ type: "Apply", object: event.object });
        resourceVersion = event.object.resourceVersion || resourceVersion;
        break;
      case "DELETED":
        out.push({ type: "Delete", namespacedName: event.object.namespacedName });
        // The version of the deletion itself, not of the object's last state.
        resourceVersion = event.object.resourceVersion || resourceVersion;
        break;
      case "BOOKMARK":
      case "UNREADABLE":
        resourceVersion = event.resourceVersion || resourceVersion;
        break;
      case "ERROR": {
        const at = { ...state, resourceVersion, failures: progressed ? 0 : state.failures };
        const after = afterWatchFailure(at, event.failure, context);
        return { ...after, events: [...out, ...after.events] };
      }
      default:
        return unreachable(event);
    }
    progressed = true;
  }
  const failures = progressed ? 0 : state.failures;
  return { ...unchanged({ ...state, resourceVersion, progressed, failures }), events: out };
}

function afterWatchFailure(
  state: WatchingState & { failures: number },
  failure: WatchFailure,
  context: StepContext,
): WatchStep {
  if (!mayResume(failure)) {
    const relist = { ...LISTING, failures: state.failures };
    const relistReason = failure.message;
    // The first 410 after progress is the ordinary one and costs no pause; a series of them does.
    if (isGone(failure) && state.failures === 0) return { ...enter(relist, 1, context), relistReason };
    return { ...pause(relist, failure, context), relistReason };
  }
  return pause({ ...state, progressed: false }, failure, context);
}

/** True when the same resourceVersion may be asked again: the server was away, busy, or does not know us. */
function mayResume({ status }: WatchFailure): boolean {
  // 500 says that an event could not be delivered; 400, 404, 422 that the request itself cannot be served.
  return status < 400 || status === 401 || status === 403 || status === 408 || status === 429 || status > 500;
}

function isGone(failure: WatchFailure): boolean {
  return failure.status === 410;
}

function pause(
  state: (ListingState | WatchingState) & { failures: number },
  failure: WatchFailure | undefined,
  context: StepContext,
): WatchStep {
  const { failures, ...next } = state;
  const { minBackoffMs, maxBackoffMs, maxRetryAfterMs } = context.settings;
  const full = Math.min(maxBackoffMs, minBackoffMs * 2 ** Math.min(failures, 30));
  // Half fixed, half random: agents that lost the same server do not return in step, and never at once.
  const jittered = full / 2 + context.random() * full / 2;
  const ms = Math.round(Math.max(jittered, Math.min(failure?.retryAfterMs ?? 0, maxRetryAfterMs)));
  return {
    state: { kind: "waiting", next, failures: failures + 1 },
    events: [],
    effect: { kind: "wait", ms },
    relistReason: undefined,
  };
}

function enter(next: ListingState | WatchingState, failures: number, context: StepContext): WatchStep {
  const state = { ...next, failures };
  if (next.kind === "listing") {
    return { state, events: [{ type: "Init" }], effect: { kind: "list" }, relistReason: undefined };
  }
  const { min, max } = context.settings.watchTimeoutSeconds;
  const timeoutSeconds = min + Math.floor(context.random() * (max - min + 1));
  const effect: WatchEffect = { kind: "watch", resourceVersion: next.resourceVersion, timeoutSeconds };
  return { state, events: [], effect, relistReason: undefined };
}

function unchanged(state: WatchState): WatchStep {
  return { state, events: [], effect: undefined, relistReason: undefined };
}

function watching(resourceVersion: string): WatchingState {
  return { kind: "watching", resourceVersion, progressed: false };
}

function unreachable(value: never): never {
  throw new TypeError(`Unexpected ${JSON.stringify(value)}`);
}

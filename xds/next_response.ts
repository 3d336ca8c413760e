/**
 * Decides what the next response of one type on one stream holds.
 *
 * In: the subscription's record and the current resources. Out: a response of bounded size, entered into the record as
 * in flight; or nothing, when a response is in flight already or nothing is owed.
 * Invariants: a name is at most once in a response, as resource or as removal; a resource is sent only when its version
 * differs from the one last sent, or when it was asked for (again); first owed, first sent.
 * Source: "xDS REST and gRPC protocol", "When to send an update", "Deleting Resources", "Knowing When a Requested
 * Resource Does Not Exist".
 * @module
 */
import type { EncodedResource, ResourceSource } from "./resource_source.ts";
import { interestIn, owe, type Owed, type Subscription } from "./subscription.ts";
import type { XdsType } from "./type_urls.ts";

/** Bytes of a resource's envelope (type URL, tags, lengths), roughly, beside its name, version and content. */
const ENVELOPE_BYTES = 96;

/** How a response may look. */
export interface ResponseLimits {
  /** For the resources together. A single resource beyond it is still sent, alone. */
  readonly maxBytes: number;
  readonly nonce: string;
  readonly nowMs: number;
  /** Asked when something is to be removed. Where it returns false, removals stay owed. */
  readonly mayRemove: () => boolean;
}

/** A response to be sent. It may be empty: that is the answer to a wildcard subscription that finds nothing. */
export interface PlannedResponse {
  readonly type: XdsType;
  readonly nonce: string;
  readonly resources: readonly EncodedResource[];
  readonly removed: readonly string[];
  /** Size on the wire, roughly. */
  readonly bytes: number;
}

/** The next response, or undefined. Cost: proportional to what is owed and fits. */
export function nextResponse(
  subscription: Subscription,
  source: ResourceSource,
  limits: ResponseLimits,
): PlannedResponse | undefined {
  if (!subscription.requested || subscription.inFlight !== undefined || !source.ready) return undefined;
  enterWildcard(subscription, source);
  const draft = fill(subscription, source, limits);
  const isEmpty = draft.resources.length === 0 && draft.removed.length === 0;
  if (isEmpty && (!subscription.answerOwed || subscription.owed.size > 0)) return undefined;
  subscription.answerOwed = false;
  enterFlight(subscription, draft, limits);
  return {
    type: subscription.type,
    nonce: limits.nonce,
    resources: draft.resources,
    removed: draft.removed,
    bytes: draft.bytes,
  };
}

/** Whether a removal of this type is owed or under way. Cost: proportional to what is owed. */
export function isRemoving(subscription: Subscription, source: ResourceSource): boolean {
  if ((subscription.inFlight?.removed.length ?? 0) > 0) return true;
  for (const name of subscription.owed.keys()) {
    const interest = interestIn(subscription, name);
    if (interest === undefined || !subscription.held.has(name)) continue;
    if (source.get(subscription.type, name, interest) === undefined) return true;
  }
  return false;
}

interface Draft {
  readonly resources: EncodedResource[];
  readonly removed: string[];
  readonly askedAtMs: Map<string, number>;
  bytes: number;
}

/** A wildcard owes the names of its scope. They are entered only now, when the store is known to be complete. */
function enterWildcard(subscription: Subscription, source: ResourceSource): void {
  const { type, wildcardScope: scope, wildcardOwed } = subscription;
  if (wildcardOwed === "no") return;
  subscription.wildcardOwed = "no";
  for (const name of source.names(type, wildcardOwed === "pushed" ? "pushed" : scope)) {
    if (scope === "used") subscription.preloaded.add(name);
    owe(subscription, name, { again: wildcardOwed === "again" });
  }
}

/** The first part of a rejected response that still has something to send, else whatever is owed. */
function fill(subscription: Subscription, source: ResourceSource, limits: ResponseLimits): Draft {
  for (let part = subscription.retries.shift(); part !== undefined; part = subscription.retries.shift()) {
    const draft = fillFrom(subscription, part, { source, limits });
    if (draft.resources.length > 0 || draft.removed.length > 0) return draft;
  }
  return fillFrom(subscription, subscription.owed.keys(), { source, limits });
}

/** Takes names out of `owed`, in the given order, until the response is full. */
function fillFrom(
  subscription: Subscription,
  names: Iterable<string>,
  options: { readonly source: ResourceSource; readonly limits: ResponseLimits },
): Draft {
  const { source, limits } = options;
  const draft: Draft = { resources: [], removed: [], askedAtMs: new Map(), bytes: 0 };
  let mayRemove: boolean | undefined;
  for (const name of names) {
    const owed = subscription.owed.get(name);
    const interest = interestIn(subscription, name);
    if (owed === undefined || interest === undefined) {
      subscription.owed.delete(name);
      continue;
    }
    const resource = source.get(subscription.type, name, interest);
    if (!isDue(subscription, { name, owed, resource })) {
      subscription.owed.delete(name);
      continue;
    }
    if (resource === undefined && !(mayRemove ??= limits.mayRemove())) continue;
    const bytes = sizeOf(name, resource);
    if (draft.bytes > 0 && draft.bytes + bytes > limits.maxBytes) break;
    draft.bytes += bytes;
    subscription.owed.delete(name);
    if (resource === undefined) draft.removed.push(name);
    else draft.resources.push(resource);
    if (owed.askedAtMs !== undefined) draft.askedAtMs.set(name, owed.askedAtMs);
  }
  return draft;
}

/** Whether a name that is owed is to be sent. A rejected version counts as held, so it is not sent again unprompted. */
export function isDue(
  subscription: Subscription,
  candidate: {
    readonly name: string;
    readonly owed: Owed;
    readonly resource: EncodedResource | undefined;
  },
): boolean {
  return candidate.owed.again || subscription.held.get(candidate.name) !== candidate.resource?.version;
}

function enterFlight(subscription: Subscription, draft: Draft, limits: ResponseLimits): void {
  const versions = new Map<string, string>();
  for (const { name, version } of draft.resources) {
    versions.set(name, version);
    const taken = subscription.held.get(name);
    // After a refusal it is known already, and what `held` names was not taken.
    if (taken !== undefined && !subscription.rejected.has(name)) subscription.inUse.set(name, taken);
    subscription.held.set(name, version);
  }
  for (const name of draft.removed) {
    subscription.held.delete(name);
    subscription.inUse.delete(name);
    subscription.rejected.delete(name);
  }
  subscription.inFlight = {
    nonce: limits.nonce,
    sentAtMs: limits.nowMs,
    versions,
    removed: draft.removed,
    askedAtMs: draft.askedAtMs,
  };
}

function sizeOf(name: string, resource: EncodedResource | undefined): number {
  // Names appear in the envelope; content carries its own copy within `bytes`.
  if (resource === undefined) return name.length + 2;
  return ENVELOPE_BYTES + name.length + resource.version.length + resource.bytes.length;
}

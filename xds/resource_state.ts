/**
 * What an Envoy has of one resource, for a person who asks.
 *
 * In: a stream's record of a type, the current resources, a name. Out: a ResourceState. Pure.
 * Source: subscription.ts for what the records mean; a version is taken when Envoy has answered without an error.
 * @module
 */
import { isDue } from "./next_response.ts";
import type { ResourceSource } from "./resource_source.ts";
import { interestIn, type Subscription } from "./subscription.ts";

/** Where a resource stands with an Envoy. */
export type ResourceState =
  /** It has not asked for it. In on-demand mode it does so at the first connection. */
  | { readonly state: "not-asked-for" }
  /** It wants it, and the present version is yet to be sent; an older one may be in use. */
  | { readonly state: "waiting" }
  /** Sent, not answered yet. */
  | { readonly state: "sent"; readonly version: string }
  /** In use. */
  | { readonly state: "acked"; readonly version: string }
  | RefusedResource;

/** Refused, so what it took before is in use. */
export interface RefusedResource {
  readonly state: "refused";
  readonly version: string;
  /** In Envoy's words. */
  readonly reason: string;
  /** When, by the agent's clock; ISO 8601. */
  readonly at: string;
  /** The version it goes on with; null when it has none. */
  readonly inUse: string | null;
}

/** The same, with the Envoy. */
export type EnvoyResourceState = ResourceState & {
  /** Tells Envoys of one node apart. */
  readonly streamId: number;
  readonly nodeId: string;
};

/** The state of a name on a stream. O(1). */
export function resourceState(
  subscription: Subscription,
  source: ResourceSource,
  name: string,
): ResourceState {
  const interest = interestIn(subscription, name);
  if (interest === undefined) return { state: "not-asked-for" };
  const sent = subscription.inFlight?.versions.get(name);
  if (sent !== undefined) return { state: "sent", version: sent };
  const owed = subscription.owed.get(name);
  const resource = source.get(subscription.type, name, interest);
  if (owed !== undefined && isDue(subscription, { name, owed, resource })) return { state: "waiting" };
  const rejection = subscription.rejected.get(name);
  if (rejection !== undefined) {
    const { version, reason, atMs, inUse = null } = rejection;
    return { state: "refused", version, reason, at: new Date(atMs).toISOString(), inUse };
  }
  const version = subscription.held.get(name);
  // A wildcard wants every name there is, also those that are still to be entered.
  return version === undefined ? { state: "waiting" } : { state: "acked", version };
}

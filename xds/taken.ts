/**
 * Whether an Envoy can answer connections to a destination as the store has it now: the question that decides what goes
 * first to the kernel.
 *
 * In: a stream's records, the current resources, the name of a Cluster, which is also that of the destination's Listener if it
 * has one of its own. Out: yes or no; and yes for a Cluster the Envoy does not hold, because it asks for that at the first
 * connection, which waits for the answer. A Listener is never asked for: until it is there, a constant one takes its connections.
 * Nor are routes: until they name a destination, its settings do not hold. A refused version counts as taken: it is not sent again, and Envoy goes on with the one before.
 *
 * Source: Envoy 1.40 answers a response when its main thread has handed it to the workers. A new Cluster is in use only when
 * its endpoints have come as well; several in one response are answered for as soon as the first of them is in use, when
 * the endpoints of the others are on their way, or not even asked for.
 * @module
 */
import { isDue } from "./next_response.ts";
import type { ResourceSource } from "./resource_source.ts";
import { ROUTE_CONFIGURATION_NAME } from "./routes.ts";
import { interestIn, type Subscription } from "./subscription.ts";
import type { XdsType } from "./type_urls.ts";

/** Whether the Envoy of this stream has taken the present routes, Listener, Cluster and endpoints, or asks for them itself. O(1). */
export function hasTaken(
  subscriptions: Readonly<Record<Exclude<XdsType, "TypedExtensionConfig">, Subscription>>,
  source: ResourceSource,
  cluster: string,
): boolean {
  if (!isSettled(subscriptions.RouteConfiguration, source, ROUTE_CONFIGURATION_NAME)) return false;
  if (!isSettled(subscriptions.Listener, source, cluster)) return false;
  const interest = interestIn(subscriptions.Cluster, cluster);
  if (interest === undefined) return true;
  if (!isSettled(subscriptions.Cluster, source, cluster)) return false;
  if (subscriptions.Cluster.rejected.has(cluster)) return true;
  const assignment = source.get("Cluster", cluster, interest)?.loadAssignment;
  return assignment === undefined || isSettled(subscriptions.ClusterLoadAssignment, source, assignment);
}

/** Nothing of this name is to be sent or answered. */
function isSettled(subscription: Subscription, source: ResourceSource, name: string): boolean {
  const interest = interestIn(subscription, name);
  if (interest === undefined) return !subscription.expected.has(name);
  if (subscription.inFlight?.versions.has(name)) return false;
  if (subscription.wildcardOwed !== "no") return false;
  const owed = subscription.owed.get(name);
  if (owed === undefined) return true;
  return !isDue(subscription, { name, owed, resource: source.get(subscription.type, name, interest) });
}

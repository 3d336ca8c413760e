/**
 * What the delta ADS server tells the rest of the agent: events for counters and readiness, and a snapshot for the
 * status command. Nothing here influences what is sent.
 * @module
 */
import type { Rejection, Subscription } from "./subscription.ts";
import { SEND_ORDER, type XdsType } from "./type_urls.ts";

/** One Envoy's stream. */
export interface StreamIdentity {
  /** Unique within the process. */
  readonly streamId: number;
  /** `node.id` of the bootstrap; empty until the first request. */
  readonly nodeId: string;
  /** `major.minor` of Envoy; empty until the first request, or if the client does not say. */
  readonly envoyVersion: string;
  /** Whether its listeners take the source filter; absent until the first request. */
  readonly takesSourceFilter?: boolean;
}

/** A request as it arrived. */
export interface RequestEvent extends StreamIdentity {
  readonly type: XdsType;
  /** Names in `resource_names_subscribe`. */
  readonly subscribed: number;
  /** Names in `resource_names_unsubscribe`. */
  readonly unsubscribed: number;
}

/** Names asked for of which the client held nothing: in on-demand mode, a first connection to a VIP. */
export interface SubscribeEvent extends StreamIdentity {
  readonly type: XdsType;
  readonly names: readonly string[];
}

/**
 * What the client said it holds, in its first request of a type: it was not restarted, only its stream was. Not told of a
 * client that takes all there is.
 */
export interface HeldEvent extends StreamIdentity {
  readonly type: XdsType;
  readonly names: readonly string[];
}

/** A response as it was sent. */
export interface ResponseEvent extends StreamIdentity {
  readonly type: XdsType;
  readonly resources: number;
  readonly removed: number;
  /** On the wire, roughly: without the framing of gRPC and HTTP/2. */
  readonly bytes: number;
}

/** A response that Envoy took. */
export interface AckEvent extends StreamIdentity {
  readonly type: XdsType;
  readonly names: readonly string[];
  /** From sending the response. */
  readonly latencyMs: number;
  /** For each name that was asked for: from the question. */
  readonly waitedMs: readonly number[];
}

/** One resource that Envoy refused; the version it had before keeps serving. */
export interface NackEvent extends StreamIdentity {
  readonly type: XdsType;
  readonly name: string;
  readonly version: string;
  /** In Envoy's words. */
  readonly reason: string;
}

/** Every hook is called synchronously and must not throw. */
export interface StreamObserver {
  /** The first request has arrived, so the node is known. */
  onStreamOpen?(event: StreamIdentity): void;
  /** Called once for each stream that was opened. */
  onStreamClosed?(event: StreamIdentity & { readonly reason: string }): void;
  onRequest?(event: RequestEvent): void;
  onSubscribe?(event: SubscribeEvent): void;
  onHeld?(event: HeldEvent): void;
  onResponse?(event: ResponseEvent): void;
  onAck?(event: AckEvent): void;
  onNack?(event: NackEvent): void;
}

/** The state of one type on a stream. */
export interface TypeStatus {
  readonly wildcard: Subscription["wildcard"];
  /** Names asked for one by one. */
  readonly subscribed: number;
  /** Resources Envoy has taken, or named as held when it connected. */
  readonly acked: number;
  /** Resources in the response that Envoy has not answered yet. */
  readonly inFlight: number;
  /** Names waiting to be looked at. */
  readonly owed: number;
  readonly rejected: readonly Rejection[];
}

/** The state of a stream. */
export interface StreamStatus extends StreamIdentity {
  /** The server's clock. */
  readonly connectedSinceMs: number;
  readonly types: Readonly<Record<XdsType, TypeStatus>>;
}

/** Summarises the records of a stream. Cost: proportional to what is in flight and rejected. */
export function summarizeTypes(
  subscriptions: Readonly<Record<XdsType, Subscription>>,
): Readonly<Record<XdsType, TypeStatus>> {
  const entries = SEND_ORDER.map((type) => [type, summarize(subscriptions[type])] as const);
  return Object.fromEntries(entries) as Record<XdsType, TypeStatus>;
}

function summarize(subscription: Subscription): TypeStatus {
  const flying = [...subscription.inFlight?.versions.keys() ?? []].filter((name) =>
    subscription.held.has(name)
  );
  const rejected = [...subscription.rejected.values()];
  const unsettled = new Set([...flying, ...rejected.map(({ name }) => name)]);
  return {
    wildcard: subscription.wildcard,
    subscribed: subscription.names.size,
    acked: subscription.held.size - unsettled.size,
    inFlight: flying.length,
    owed: subscription.owed.size,
    rejected,
  };
}

/**
 * The loop of one delta ADS stream: connects requests, the store and the call.
 *
 * In: decoded requests, changes of the store, the call's readiness for more. Out: responses, and word of all that
 * happens through stream_report.ts. All protocol decisions are in apply_request.ts and next_response.ts.
 *
 * Invariants:
 * - Per type at most one response is unanswered, and nothing is sent while the call is full. So what waits in memory
 *   for a slow Envoy is one response of each type at most, whatever changes meanwhile.
 * - What happens within one turn of the event loop goes out together; nothing waits for a timer.
 * - In the order of `SEND_ORDER`; removals of Clusters after those of Listeners.
 * - Nothing is sent before the store is complete.
 * @module
 */
import type { Logger } from "../agent/log.ts";
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from "../protos/mod.ts";
import { applyRequest } from "./apply_request.ts";
import { isRemoving, nextResponse, type PlannedResponse } from "./next_response.ts";
import type { ResourceSource } from "./resource_source.ts";
import { type EnvoyResourceState, resourceState } from "./resource_state.ts";
import { type StreamObserver, type StreamStatus, summarizeTypes } from "./stream_observer.ts";
import { StreamReport } from "./stream_report.ts";
import { applyStoreChange, createSubscription, oweAgain, type Subscription } from "./subscription.ts";
import { hasTaken } from "./taken.ts";
import { parseTypeUrl, SEND_ORDER, TYPE_URLS, type XdsType } from "./type_urls.ts";
import { type WildcardScope, wildcardScopeFor, wildcardScopeOf } from "./wildcard_scope.ts";

/** Why the server ends a stream. */
export interface StreamEnd {
  /** gRPC status. */
  readonly code: "UNAVAILABLE" | "OK";
  readonly details: string;
}

/** The sending half of a gRPC call. */
export interface DeltaCall {
  /** Returns false when the call is full: the next response has to wait for `onDrain`. */
  send(response: DeltaDiscoveryResponse): boolean;
  /** Calls back once, when the call has room again. */
  onDrain(listener: () => void): void;
  end(end: StreamEnd): void;
}

/** What a stream needs. */
export interface DeltaStreamOptions {
  readonly streamId: number;
  readonly call: DeltaCall;
  readonly source: ResourceSource;
  readonly observer: StreamObserver;
  readonly logger: Logger;
  /** Milliseconds; differences of it are reported. */
  readonly now: () => number;
  /** Resources of one response together. */
  readonly maxResponseBytes: number;
}

/** One stream, from the call's start to its end. */
export class DeltaStream {
  readonly #options: DeltaStreamOptions;
  readonly #connectedSinceMs: number;
  readonly #subscriptions: Readonly<Record<XdsType, Subscription>>;
  readonly #report: StreamReport;
  readonly #stopListening: () => void;
  #closed = false;
  #full = false;
  #pumpScheduled = false;
  #nonces = 0;
  #wildcardScope: WildcardScope | undefined;

  constructor(options: DeltaStreamOptions) {
    this.#options = options;
    this.#connectedSinceMs = options.now();
    this.#report = new StreamReport(options);
    this.#subscriptions = {
      Cluster: createSubscription("Cluster"),
      ClusterLoadAssignment: createSubscription("ClusterLoadAssignment"),
      TypedExtensionConfig: createSubscription("TypedExtensionConfig"),
      Listener: createSubscription("Listener"),
      RouteConfiguration: createSubscription("RouteConfiguration"),
    };
    this.#stopListening = options.source.onChange((changed) => {
      for (const [type, names] of changed) {
        applyStoreChange(this.#subscriptions[type], names, options.source);
      }
      this.#schedulePump();
    });
  }

  /** Takes in a request. Types that are not served are logged once and left unanswered. */
  receive(request: DeltaDiscoveryRequest): void {
    if (this.#closed) return;
    this.#report.opened(request.node);
    const type = parseTypeUrl(request.typeUrl);
    if (type === undefined) {
      this.#report.unknownType(request.typeUrl);
      return;
    }
    // "Only the first request on a stream is guaranteed to carry the node identifier."
    this.#wildcardScope ??= wildcardScopeOf(request.node?.metadata);
    const outcome = applyRequest(this.#subscriptions[type], {
      wildcardScope: wildcardScopeFor(type, this.#wildcardScope),
      subscribe: request.resourceNamesSubscribe,
      unsubscribe: request.resourceNamesUnsubscribe,
      initialVersions: request.initialResourceVersions,
      nonce: request.responseNonce,
      error: request.errorDetail?.message,
    }, this.#options.now());
    this.#report.requested(type, request, outcome);
    this.#schedulePump();
  }

  /** Ends the call from this side. */
  end(end: StreamEnd): void {
    if (this.#closed) return;
    this.close(end.details);
    this.#options.call.end(end);
  }

  /** The call is over. May be called more than once. */
  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopListening();
    this.#report.closed(reason);
  }

  /** Whether this Envoy can answer at the destination of that Cluster as the store has it now; see taken.ts. */
  hasTaken(cluster: string): boolean {
    return this.#closed || hasTaken(this.#subscriptions, this.#options.source, cluster);
  }

  /** The Clusters it holds, or is being sent. */
  heldClusters(): ReadonlySet<string> {
    return new Set(this.#subscriptions.Cluster.held.keys());
  }

  /** What this Envoy has of a resource. */
  resourceState(type: XdsType, name: string): EnvoyResourceState {
    const { streamId, nodeId } = this.#report.identity;
    const state = resourceState(this.#subscriptions[type], this.#options.source, name);
    return { streamId, nodeId, ...state };
  }

  /** For the status command. */
  status(): StreamStatus {
    return {
      ...this.#report.identity,
      connectedSinceMs: this.#connectedSinceMs,
      types: summarizeTypes(this.#subscriptions),
    };
  }

  #schedulePump(): void {
    if (this.#pumpScheduled || this.#closed) return;
    this.#pumpScheduled = true;
    queueMicrotask(() => {
      this.#pumpScheduled = false;
      this.#pump();
    });
  }

  /** Sends what is owed, one response per type, as far as the call has room. */
  #pump(): void {
    for (const type of SEND_ORDER) {
      if (this.#closed || this.#full) return;
      const response = nextResponse(this.#subscriptions[type], this.#options.source, {
        maxBytes: this.#options.maxResponseBytes,
        nonce: `${this.#options.streamId}.${this.#nonces + 1}`,
        nowMs: this.#options.now(),
        mayRemove: () => this.#mayRemove(type),
      });
      if (response !== undefined) this.#send(response);
    }
  }

  /** What refers to a resource is removed before it. A ClusterLoadAssignment is referred to by name alone. */
  #mayRemove(type: XdsType): boolean {
    return type !== "Cluster" || !isRemoving(this.#subscriptions.Listener, this.#options.source);
  }

  #send(response: PlannedResponse): void {
    this.#nonces++;
    const { type, resources, removed, nonce } = response;
    const typeUrl = TYPE_URLS[type];
    if (type === "Cluster") {
      const names = resources.flatMap(({ loadAssignment }) => loadAssignment ?? []);
      oweAgain(this.#subscriptions.ClusterLoadAssignment, names);
    }
    const hasRoom = this.#options.call.send({
      systemVersionInfo: "",
      typeUrl,
      nonce,
      resources: resources.map(({ name, version, bytes: value }) => ({
        name,
        version,
        resource: { typeUrl, value },
        aliases: [],
      })),
      removedResources: [...removed],
      removedResourceNames: [],
      resourceErrors: [],
    });
    this.#report.responded(response);
    if (hasRoom) return;
    this.#full = true;
    this.#options.call.onDrain(() => {
      this.#full = false;
      this.#schedulePump();
    });
  }
}

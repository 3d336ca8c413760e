/**
 * Puts what happens on one stream into words and events: the log and the observer.
 *
 * In: requests with their outcome, responses, the stream's beginning and end. Out: log lines with stream, node, type,
 * names, versions and nonce; calls of the observer's hooks.
 * @module
 */
import type { Logger } from "../agent/log.ts";
import type { DeltaDiscoveryRequest } from "../protos/mod.ts";
import type { Answer, RequestOutcome } from "./apply_request.ts";
import type { PlannedResponse } from "./next_response.ts";
import { takesSourceFilter } from "./source_filter_metadata.ts";
import type { StreamIdentity, StreamObserver } from "./stream_observer.ts";
import type { XdsType } from "./type_urls.ts";

/** How many names a log line lists: a response can hold thousands. */
const LOGGED_NAMES = 5;

/** The log and the observer of one stream. */
export class StreamReport {
  readonly #observer: StreamObserver;
  readonly #unknownTypeUrls: Set<string> = new Set();
  #logger: Logger;
  #identity: StreamIdentity;
  #opened = false;

  constructor(
    options: { readonly streamId: number; readonly observer: StreamObserver; readonly logger: Logger },
  ) {
    this.#observer = options.observer;
    this.#logger = options.logger.with({ stream: options.streamId });
    this.#identity = { streamId: options.streamId, nodeId: "", envoyVersion: "" };
  }

  /** Who is at the other end, as far as it is known. */
  get identity(): StreamIdentity {
    return this.#identity;
  }

  /** "Only the first request on a stream is guaranteed to carry the node identifier." Later ones change nothing. */
  opened(node: DeltaDiscoveryRequest["node"]): void {
    if (this.#opened) return;
    this.#opened = true;
    const version = node?.userAgentBuildVersion?.version;
    this.#identity = {
      streamId: this.#identity.streamId,
      nodeId: node?.id ?? "",
      envoyVersion: version === undefined ? "" : `${version.majorNumber}.${version.minorNumber}`,
      takesSourceFilter: takesSourceFilter(node?.metadata),
    };
    this.#logger = this.#logger.with({ node: this.#identity.nodeId });
    this.#logger.info("Envoy's stream opened", { envoyVersion: this.#identity.envoyVersion });
    this.#observer.onStreamOpen?.(this.#identity);
  }

  requested(type: XdsType, request: DeltaDiscoveryRequest, outcome: RequestOutcome): void {
    const { resourceNamesSubscribe: subscribe, resourceNamesUnsubscribe: unsubscribe } = request;
    this.#observer.onRequest?.({
      ...this.#identity,
      type,
      subscribed: subscribe.length,
      unsubscribed: unsubscribe.length,
    });
    if (subscribe.length > 0 || unsubscribe.length > 0) {
      this.#logger.debug("subscription changed", {
        type,
        subscribe: listNames(subscribe),
        unsubscribe: listNames(unsubscribe),
      });
    }
    this.#answered(type, outcome.answer, request.responseNonce);
    if (outcome.asked.length > 0) {
      this.#observer.onSubscribe?.({ ...this.#identity, type, names: outcome.asked });
    }
    if (outcome.held.length > 0) {
      this.#observer.onHeld?.({ ...this.#identity, type, names: outcome.held });
    }
  }

  responded({ type, nonce, resources, removed, bytes }: PlannedResponse): void {
    const versions = resources.slice(0, LOGGED_NAMES).map(({ name, version }) => `${name}@${version}`);
    this.#logger.debug("response sent", {
      type,
      nonce,
      resources: listNames(versions, resources.length),
      removed: listNames(removed),
      bytes,
    });
    this.#observer.onResponse?.({
      ...this.#identity,
      type,
      resources: resources.length,
      removed: removed.length,
      bytes,
    });
  }

  /** Said once per type: Envoy repeats such requests. */
  unknownType(typeUrl: string): void {
    if (this.#unknownTypeUrls.has(typeUrl)) return;
    this.#unknownTypeUrls.add(typeUrl);
    this.#logger.warn("Envoy asks for a resource type that Lightpath does not serve: check its bootstrap", {
      typeUrl,
    });
  }

  /** A call that ended before its first request is not mentioned: nobody knows whose it was. */
  closed(reason: string): void {
    if (!this.#opened) return;
    this.#logger.info("Envoy's stream closed", { reason });
    this.#observer.onStreamClosed?.({ ...this.#identity, reason });
  }

  #answered(type: XdsType, answer: Answer, nonce: string): void {
    switch (answer.kind) {
      case "none":
        return;
      case "stale":
        this.#logger.debug("answer to a response that is not in flight", { type, nonce });
        return;
      case "ack": {
        const { names, latencyMs, waitedMs } = answer;
        this.#logger.debug("response taken", { type, nonce, resources: listNames(names), latencyMs });
        this.#observer.onAck?.({ ...this.#identity, type, names, latencyMs, waitedMs });
        return;
      }
      case "nack":
        this.#rejected(type, answer, nonce);
        return;
      default: {
        const unknown: never = answer;
        return unknown;
      }
    }
  }

  #rejected(type: XdsType, nack: Extract<Answer, { kind: "nack" }>, nonce: string): void {
    for (const { name, version, reason } of nack.rejected) {
      this.#logger.warn("Envoy rejected a resource and keeps what it had", {
        type,
        name,
        version,
        nonce,
        reason,
      });
      this.#observer.onNack?.({ ...this.#identity, type, name, version, reason });
    }
    if (nack.rejected.length > 0) return;
    this.#logger.warn("Envoy rejected a response without naming a resource", {
      type,
      nonce,
      reason: nack.error,
      sentAgainInParts: listNames(nack.retried),
    });
  }
}

/** Names for a log line: the first ones, and how many there are if more. Undefined when there are none. */
function listNames(names: readonly string[], count = names.length): string | undefined {
  if (count === 0) return undefined;
  const listed = names.slice(0, LOGGED_NAMES).join(" ");
  return count > LOGGED_NAMES ? `${listed} … (${count})` : listed;
}

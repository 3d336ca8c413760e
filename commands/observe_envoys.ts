/**
 * Follows the Envoys that are connected: counts, logs, and says when the node is fed.
 *
 * Ready means that at least one Envoy of the right minor version is connected. One of another minor is served all the
 * same (taking its Clusters away would stop traffic), but it is said clearly and does not make the node ready.
 * @module
 */
import type { Logger } from "../agent/log.ts";
import type { XdsMetrics } from "../agent/metrics.ts";
import type { Readiness } from "../agent/readiness.ts";
import { ENVOY_VERSION, sameMinor, type StreamIdentity, type StreamObserver } from "../xds/mod.ts";

/** What `observeEnvoys` needs. */
export interface ObserveEnvoysOptions {
  readonly metrics: XdsMetrics;
  readonly readiness: Readiness;
  readonly logger: Logger;
  /** Where an Envoy would connect, for the reason that is given while none is. */
  readonly adsAddress: string;
}

/** An observer for the ADS server. */
export function observeEnvoys(
  { metrics, readiness, logger, adsAddress }: ObserveEnvoysOptions,
): StreamObserver {
  const fitting = new Set<number>();
  /** Of another minor, with what is wrong with each. */
  const unfitting = new Map<number, string>();

  function fits({ envoyVersion }: StreamIdentity): boolean {
    // A client that does not say its version is none of Envoy's releases; nothing can be said against it.
    return envoyVersion === "" || sameMinor(envoyVersion, ENVOY_VERSION);
  }

  return {
    ...metrics,
    onStreamOpen: (stream) => {
      metrics.onStreamOpen();
      if (fits(stream)) {
        fitting.add(stream.streamId);
        readiness.met("envoyConnected");
        return;
      }
      const message =
        `Envoy ${stream.envoyVersion} is connected, but this Lightpath is made for Envoy ${ENVOY_VERSION}: ` +
        "some of its configuration may be refused; use an Envoy of that minor version";
      logger.error(message, { node: stream.nodeId });
      unfitting.set(stream.streamId, message);
      if (fitting.size === 0) readiness.unmet("envoyConnected", message);
    },
    onStreamClosed: ({ streamId }) => {
      metrics.onStreamClosed();
      const wasKnown = fitting.delete(streamId) || unfitting.delete(streamId);
      if (!wasKnown || fitting.size > 0) return;
      const [other] = unfitting.values();
      readiness.unmet("envoyConnected", other ?? `no Envoy is connected to ${adsAddress} any more`);
    },
  };
}

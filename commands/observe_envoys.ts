/**
 * Follows the Envoys that are connected: counts, logs, says when the node is fed, and notes which Clusters it uses.
 *
 * Ready means that at least one Envoy of the right minor version has what it waits for before it listens: its first
 * Clusters with their endpoints, then the answer to its Listener subscription (empty for most) and its routes, for which it asks
 * in the same breath. Without routes it would answer every request with 404.
 * One of another minor is served all the same (taking its Clusters away would stop traffic), but it is said clearly and does
 * not make the node ready.
 * @module
 */
import type { Logger } from "../agent/log.ts";
import type { XdsMetrics } from "../agent/metrics.ts";
import type { Readiness } from "../agent/readiness.ts";
import {
  ENVOY_VERSION,
  sameMinor,
  type StreamIdentity,
  type StreamObserver,
  type WorkingSetFile,
  type XdsType,
} from "../xds/mod.ts";

/** What `observeEnvoys` needs. */
export interface ObserveEnvoysOptions {
  readonly metrics: XdsMetrics;
  readonly readiness: Pick<Readiness, "met" | "unmet">;
  readonly workingSet: Pick<WorkingSetFile, "used" | "held">;
  readonly logger: Logger;
  /** Where an Envoy would connect, for the reason that is given while none is. */
  readonly adsAddress: string;
  /** Called when an Envoy has answered or has gone: what waits for it may go on. */
  readonly onProgress?: () => void;
  /** Called when an Envoy has connected, before it is answered. */
  readonly onConnected?: (envoy: StreamIdentity) => void;
  /** Called when the first Envoy, of whatever version, has what it waits for before it listens, and when the last has gone. */
  readonly onFed?: (fed: boolean) => void;
}

/** An observer for the ADS server. */
export function observeEnvoys(
  {
    metrics,
    readiness,
    workingSet,
    logger,
    adsAddress,
    onProgress = () => {},
    onConnected = () => {},
    onFed = () => {},
  }: ObserveEnvoysOptions,
): StreamObserver {
  /** Of the right minor; whether it has all it waits for. */
  const fitting = new Map<number, boolean>();
  /** Of another minor, with what is wrong with each. */
  const unfitting = new Map<number, string>();
  /** Of either kind, that have what they wait for. */
  const fed = new Set<number>();
  /** Those that have answered about Listeners; those that wait for routes. */
  const haveListeners = new Set<number>();
  const lackRoutes = new Set<number>();

  function fits({ envoyVersion }: StreamIdentity): boolean {
    // A client that does not say its version is none of Envoy's releases; nothing can be said against it.
    return envoyVersion === "" || sameMinor(envoyVersion, ENVOY_VERSION);
  }

  function report(): void {
    const [other] = unfitting.values();
    if ([...fitting.values()].includes(true)) readiness.met("envoyConnected");
    else if (fitting.size > 0) {
      readiness.unmet("envoyConnected", "Envoy is connected, and takes its Clusters before it listens");
    } else {
      readiness.unmet("envoyConnected", other ?? `no Envoy is connected to ${adsAddress} any more`);
    }
  }

  /** An answer to Listeners, or to routes, is the last that Envoy gives before it listens. */
  function answered({ type, streamId }: { readonly type: XdsType; readonly streamId: number }): void {
    if (type === "Listener") haveListeners.add(streamId);
    if (!haveListeners.has(streamId) || lackRoutes.has(streamId) || fed.has(streamId)) return;
    fed.add(streamId);
    if (fed.size === 1) onFed(true);
    if (!fitting.has(streamId)) return;
    fitting.set(streamId, true);
    report();
  }

  return {
    ...metrics,
    onSubscribe: (event) => {
      metrics.onSubscribe(event);
      if (event.type === "Cluster") workingSet.used(event.names);
      if (event.type === "RouteConfiguration") lackRoutes.add(event.streamId);
    },
    onHeld: ({ type, names }) => {
      if (type === "Cluster") workingSet.held(names);
    },
    onNack: (event) => {
      metrics.onNack(event);
      onProgress();
      // It listens all the same, without the Listener that it refused.
      answered(event);
    },
    onStreamOpen: (stream) => {
      metrics.onStreamOpen();
      onConnected(stream);
      if (fits(stream)) {
        fitting.set(stream.streamId, false);
        report();
        return;
      }
      const message =
        `Envoy ${stream.envoyVersion} is connected, but this Lightpath is made for Envoy ${ENVOY_VERSION}: ` +
        "some of its configuration may be refused; use an Envoy of that minor version";
      logger.error(message, { node: stream.nodeId });
      unfitting.set(stream.streamId, message);
      report();
    },
    onAck: (event) => {
      metrics.onAck(event);
      onProgress();
      if (event.type === "RouteConfiguration") lackRoutes.delete(event.streamId);
      answered(event);
    },
    onStreamClosed: ({ streamId }) => {
      metrics.onStreamClosed();
      haveListeners.delete(streamId);
      lackRoutes.delete(streamId);
      if (fed.delete(streamId) && fed.size === 0) onFed(false);
      if (fitting.delete(streamId) || unfitting.delete(streamId)) report();
      onProgress();
    },
  };
}

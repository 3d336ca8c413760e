/**
 * Counts what the agent does.
 *
 * In: what the parts of the agent observe; the events of their observers fit the methods here. Out: Prometheus text.
 * Invariants: a registry of its own, so several agents can live in one process. Nothing here throws.
 * @module
 */

import { MetricDefinitions } from "./metric_definitions.ts";
import type { AnnotationFaultKind, IPFamily, ProblemKind, ServicePortChange } from "./model/mod.ts";
import { countPathChanges } from "./path_census.ts";
import { registerProcessMetrics } from "./process_metrics.ts";

/** What {@linkcode createMetrics} needs. */
export interface MetricsOptions {
  /** The families served, values of the label `ip_family`. */
  readonly families: readonly IPFamily[];
  /** Labels of `lightpath_build_info`. */
  readonly build: { readonly version: string; readonly envoyVersion: string; readonly mode: string };
  /** Milliseconds since the epoch. @default Date.now */
  readonly now?: () => number;
}

/** Changes that came in together. */
export interface ChangeBatch {
  /** Service objects in it. */
  readonly services: number;
  /** EndpointSlice objects in it. */
  readonly endpointSlices: number;
}

/** A ProblemKind, or a manifest that could not be read as a whole. */
export type CountedProblemKind = ProblemKind | "manifest";

/** Takes what happens. */
export interface Metrics {
  /** Content type of {@linkcode Metrics.render}. */
  readonly contentType: string;
  /** All metrics as Prometheus text. */
  render(): Promise<string>;
  /** Changes came in that kernel and Envoy do not have yet. */
  changesQueued(batch: ChangeBatch): void;
  /** They are in place; `triggerTimesMs` as in ModelDelta. */
  changesProgrammed(batch: ChangeBatch & { readonly triggerTimesMs: readonly number[] }): void;
  /** The model changed. */
  modelChanged(changes: Iterable<ServicePortChange>): void;
  /** `fault`: of an invalid annotation, in which way. */
  problemAppeared(kind: CountedProblemKind, fault?: AnnotationFaultKind): void;
  problemResolved(kind: CountedProblemKind): void;
  /** `/healthz` or `/livez` was answered. */
  probed(path: "healthz" | "livez", code: 200 | 503): void;
  /** A change that waited for Envoy has gone to the kernel, or was overtaken by another. */
  openingReleased(released: { readonly result: string; readonly waitedMs: number }): void;
  /** The kernel is programmed by this. */
  redirectsBy(backend: string): void;
  /** New TCP connections go to Envoy, or do not any more. Called when it changes, and once at the start. */
  envoyServing(serving: boolean): void;
  /** Endpoints see their clients' addresses through Envoy, or this node's. */
  sourcePreserved(preserved: boolean): void;
  /** The Envoy this agent runs ended without being asked to. */
  envoyExited(): void;
  /** Observer of the ADS server. */
  readonly xds: XdsMetrics;
  /** Observer of the kernel's redirect. */
  readonly redirect: RedirectMetrics;
  /** Observer of the deletion of stale UDP flows. */
  readonly flows: FlowMetrics;
  /** Observer of the API server's watches. */
  readonly source: SourceMetrics;
  /** What became of an Event that a problem was to be told by. */
  eventSettled(result: string): void;
}

/** Takes the events of the ADS server. */
export interface XdsMetrics {
  onStreamOpen(): void;
  onStreamClosed(): void;
  onSubscribe(event: { readonly type: string; readonly names: readonly string[] }): void;
  onResponse(
    event: {
      readonly type: string;
      readonly resources: number;
      readonly removed: number;
      readonly bytes: number;
    },
  ): void;
  /** `waitedMs`: for each name that was asked for, the time since it was asked for. */
  onAck(
    event: { readonly type: string; readonly latencyMs: number; readonly waitedMs: readonly number[] },
  ): void;
  onNack(event: { readonly type: string }): void;
}

/** Takes the events of the kernel's redirect. */
export interface RedirectMetrics {
  onApplied(applied: {
    readonly kind: string;
    readonly durationMs: number;
    readonly transactions: number;
    readonly elementsAdded: number;
    readonly elementsDeleted: number;
  }): void;
  onError(kind: string): void;
  onDrift(differences: number): void;
}

/** Takes the events of the deletion of stale UDP flows. */
export interface FlowMetrics {
  onCleaned(
    cleaned: { readonly family: IPFamily; readonly deleted: number; readonly durationMs: number },
  ): void;
  onFailed(): void;
}

/** Takes the events of the API server's watches. `kind` is `Service` or `EndpointSlice`. */
export interface SourceMetrics {
  onRelist(kind: string): void;
  onWatchError(kind: string): void;
}

/** Creates all metrics, in a registry of their own. */
export function createMetrics(options: MetricsOptions): Metrics {
  const { families, build } = options;
  const now = options.now ?? Date.now;
  const metrics = new MetricDefinitions(families);
  registerProcessMetrics(metrics.registry);
  let everServed = false;
  metrics.buildInfo.set({ version: build.version, envoy_version: build.envoyVersion, mode: build.mode }, 1);
  return {
    contentType: metrics.registry.contentType,
    render: () => metrics.registry.metrics(),
    changesQueued: (batch) => {
      metrics.serviceChanges.inc(batch.services);
      metrics.serviceChangesPending.inc(batch.services);
      metrics.endpointChanges.inc(batch.endpointSlices);
      metrics.endpointChangesPending.inc(batch.endpointSlices);
      for (const ip_family of families) metrics.lastQueued.set({ ip_family }, now() / 1000);
    },
    changesProgrammed: (batch) => {
      metrics.serviceChangesPending.dec(batch.services);
      metrics.endpointChangesPending.dec(batch.endpointSlices);
      for (const triggerTimeMs of batch.triggerTimesMs) {
        // Clocks of two machines: a change cannot have been programmed before it happened.
        const seconds = Math.max(0, now() - triggerTimeMs) / 1000;
        for (const ip_family of families) metrics.networkProgramming.observe({ ip_family }, seconds);
      }
    },
    modelChanged: (changes) => {
      for (const change of countPathChanges(changes)) {
        const labels = { path: change.path, ip_family: change.family };
        metrics.servicePorts.inc(labels, change.servicePorts);
        metrics.endpoints.inc(labels, change.endpoints);
      }
    },
    problemAppeared: (kind, fault) => {
      metrics.problems.inc({ kind });
      metrics.problemsSeen.inc({ kind });
      if (fault !== undefined) metrics.invalidAnnotations.inc({ fault });
    },
    problemResolved: (kind) => metrics.problems.dec({ kind }),
    probed: (path, code) => metrics[path].inc({ code: String(code) }),
    openingReleased: ({ result, waitedMs }) => metrics.openings.observe({ result }, waitedMs / 1000),
    redirectsBy: (backend) => metrics.backend.set({ backend }, 1),
    envoyServing: (serving) => {
      if (!serving && everServed) metrics.envoyFailovers.inc();
      everServed ||= serving;
      metrics.envoyServing.set(serving ? 1 : 0);
    },
    sourcePreserved: (preserved) => metrics.sourcePreserved.set(preserved ? 1 : 0),
    envoyExited: () => metrics.envoyExits.inc(),
    xds: {
      onStreamOpen: () => metrics.envoys.inc(),
      onStreamClosed: () => metrics.envoys.dec(),
      onSubscribe: ({ type, names }) => metrics.onDemandRequests.inc({ type }, names.length),
      onResponse: ({ type, resources: updated, removed, bytes: size }) => {
        metrics.resources.inc({ type, action: "updated" }, updated);
        metrics.resources.inc({ type, action: "removed" }, removed);
        metrics.bytes.inc({ type }, size);
      },
      onAck: ({ type, latencyMs, waitedMs }) => {
        metrics.acks.observe({ type }, latencyMs / 1000);
        for (const waited of waitedMs) metrics.onDemandDuration.observe({ type }, waited / 1000);
      },
      onNack: ({ type }) => metrics.nacks.inc({ type }),
    },
    redirect: {
      onApplied: ({ kind, durationMs, transactions: count, elementsAdded, elementsDeleted }) => {
        const seconds = durationMs / 1000;
        for (const ip_family of families) {
          metrics.syncDuration.observe({ ip_family }, seconds);
          (kind === "update" ? metrics.partialSyncDuration : metrics.fullSyncDuration).observe(
            { ip_family },
            seconds,
          );
          metrics.lastSync.set({ ip_family }, now() / 1000);
        }
        metrics.transactions.inc({ kind, result: "applied" }, count);
        metrics.nftDuration.observe({ kind }, seconds);
        metrics.nftElements.inc({ action: "added" }, elementsAdded);
        metrics.nftElements.inc({ action: "deleted" }, elementsDeleted);
      },
      onError: (kind) => {
        metrics.transactions.inc({ kind, result: "failed" });
        for (const ip_family of families) metrics.nftablesFailures.inc({ ip_family });
      },
      onDrift: (differences) => metrics.drift.inc(differences),
    },
    eventSettled: (result) => metrics.events.inc({ result }),
    flows: {
      onCleaned: ({ family: ip_family, deleted, durationMs }) => {
        metrics.conntrackDuration.observe({ ip_family }, durationMs / 1000);
        metrics.conntrackDeleted.inc({ ip_family }, deleted);
      },
      onFailed: () => metrics.conntrackFailures.inc(),
    },
    source: {
      onRelist: (kind) => metrics.relists.inc({ kind }),
      onWatchError: (kind) => metrics.watchErrors.inc({ kind }),
    },
  };
}

/**
 * The way of a change: from the source through the model to Envoy and the kernel.
 *
 *     ObjectSource --ObjectEvent[]--> ServiceModel --ModelDelta--> ResourceStore --> ADS server --> Envoy
 *                                                             \--> OpeningGate --> Redirector --> nft --> kernel
 *                                                             \--> FlowCleaner, when the kernel has it --> conntrack
 *
 * In: what a source says, the node's addresses and zone, word from Envoy. Out: calls of the store and the redirector, and of who
 * counts and reports. Decides nothing but the order.
 *
 * Invariants: neither side gets anything before the first state is complete; then both get each change in the same turn,
 * after the model holds it. Nothing here walks all Services but `synced`, new node addresses and a new zone
 * (`data_path_test.ts` counts it).
 * @module
 */
import type { ObjectEvent, ObjectSink } from "../agent/kube/mod.ts";
import type { Logger } from "../agent/log.ts";
import type { Metrics } from "../agent/metrics.ts";
import type { ModelDelta, NodeAddresses, ServiceModel, ServicePortChange } from "../agent/model/mod.ts";
import type { ProblemReporter } from "../agent/problems.ts";
import type { ProxyHealthTracker } from "../agent/proxy_health.ts";
import type { ServiceHealth } from "../agent/service_health.ts";
import type { FlowCleaner, Redirector } from "../redirect/mod.ts";
import { clusterName, type ResourceStore } from "../xds/mod.ts";
import { OpeningGate } from "./opening_gate.ts";
import { openings } from "./openings.ts";
import { type ProgrammingTracker, trackProgramming } from "./track_programming.ts";

/** What the way leads through. */
export interface DataPathOptions {
  readonly model: ServiceModel;
  readonly store: ResourceStore;
  /** Undefined when the kernel is left alone. */
  readonly redirector: Redirector | undefined;
  readonly nodeAddresses: NodeAddresses;
  /** Whether every connected Envoy has taken these Clusters as they are now, or does not hold them. */
  readonly hasTaken: (clusters: readonly string[]) => boolean;
  readonly problems: Pick<ProblemReporter, "report">;
  readonly metrics: Pick<Metrics, "modelChanged" | "openingReleased" | "changesQueued" | "changesProgrammed">;
  readonly health: ProxyHealthTracker;
  /** Deletes stale UDP flows; undefined when the kernel is left alone. */
  readonly flows: Pick<FlowCleaner, "start" | "update" | "setNodeAddresses"> | undefined;
  /** Answers load balancers. */
  readonly serviceHealth: Pick<ServiceHealth, "update" | "setNodeAddresses">;
  readonly logger: Logger;
  /** The first state is complete. */
  readonly onSynced: () => void;
}

/** See the module's comment. */
export class DataPath implements ObjectSink, Disposable {
  readonly #options: DataPathOptions;
  readonly #gate: OpeningGate | undefined;
  readonly #programming: ProgrammingTracker;
  #nodeAddresses: NodeAddresses;

  constructor(options: DataPathOptions) {
    const { model, redirector, metrics, health, logger } = options;
    this.#options = options;
    this.#nodeAddresses = options.nodeAddresses;
    this.#gate = redirector && new OpeningGate({
      model,
      redirector,
      mayPass: (change) => this.#mayPass(change),
      logger,
      onReleased: metrics.openingReleased,
    });
    const flushed = async (): Promise<void> => await this.#gate?.flushed();
    this.#programming = trackProgramming({ metrics, health, logger, flushed });
  }

  take(events: readonly ObjectEvent[]): void {
    const { model, store } = this.#options;
    if (!store.ready) {
      // A part of the state: both sides get the whole when it is complete.
      model.load(events);
      return void this.#programming.handedOver(events, { triggerTimesMs: [] });
    }
    this.#pass(events, model.reduce(events));
  }

  synced(): void {
    const { model, store, redirector, flows, problems, metrics, serviceHealth, onSynced } = this.#options;
    problems.report(model.loaded());
    metrics.modelChanged(everythingOf(model));
    store.markReady();
    if (this.#gate !== undefined) redirector?.start(this.#gate, this.#nodeAddresses);
    flows?.start(this.#nodeAddresses);
    serviceHealth.update(new Map(model.healthChecks()));
    onSynced();
    this.#programming.synced();
  }

  /** This node has these addresses now. */
  setNodeAddresses(nodeAddresses: NodeAddresses): void {
    const { store, redirector, flows, serviceHealth } = this.#options;
    this.#nodeAddresses = nodeAddresses;
    store.setNodeAddresses(nodeAddresses);
    serviceHealth.setNodeAddresses(nodeAddresses);
    if (!store.ready) return;
    redirector?.setNodeAddresses(nodeAddresses);
    flows?.setNodeAddresses(nodeAddresses);
  }

  /** This node is in that zone now; empty: unknown. */
  setZone(zone: string): void {
    const { model, store, logger } = this.#options;
    const before = model.zone;
    if (zone === before) return;
    if (!store.ready) return model.loadZone(zone);
    const delta = model.reduceZone(zone);
    logger.info("this node's zone is another now", { zone, before, servicePorts: delta.changes.size });
    this.#pass([], delta);
  }

  /** An Envoy has answered or has gone: what waits for it may go on. */
  envoyProgressed(): void {
    this.#gate?.progressed();
  }

  [Symbol.dispose](): void {
    this.#gate?.[Symbol.dispose]();
  }

  /** Hands on what events have changed. */
  #pass(events: readonly ObjectEvent[], delta: ModelDelta): void {
    const { store, flows, problems, metrics, serviceHealth } = this.#options;
    problems.report(delta);
    metrics.modelChanged(delta.changes.values());
    store.update(delta.changes);
    this.#gate?.update(delta.changes);
    flows?.update(delta.changes);
    serviceHealth.update(delta.healthChecks);
    this.#programming.handedOver(events, delta);
  }

  #mayPass(change: ServicePortChange): boolean {
    const opened = openings(change, this.#nodeAddresses);
    return opened.length === 0 ||
      this.#options.hasTaken(opened.map(({ address, port }) => clusterName(address, port)));
  }
}

/** The first state as changes from nothing. */
function* everythingOf(model: ServiceModel): Generator<ServicePortChange> {
  for (const after of model.servicePorts()) yield { before: undefined, after };
}

/**
 * Follows each batch of changes until the kernel has it: what kube-proxy's health and latency metrics speak of.
 *
 * In: batches as they are handed to the data planes. Out: calls of the health tracker and the metrics. Envoy has its own
 * figures (`lightpath_xds_ack_duration_seconds`): whether it needs to know of a change at all depends on what the
 * node uses.
 * Invariants: what comes before the state is complete waits for the first plan, however many batches it is. What is
 * kept is bounded, however long the kernel refuses.
 * @module
 */
import type { ObjectEvent } from "../agent/kube/mod.ts";
import type { Logger } from "../agent/log.ts";
import type { ChangeBatch, Metrics } from "../agent/metrics.ts";
import type { ModelDelta } from "../agent/model/mod.ts";
import type { ProxyHealthTracker, QueuedUpdate } from "../agent/proxy_health.ts";

/** What `trackProgramming` needs. */
export interface TrackProgrammingOptions {
  readonly metrics: Pick<Metrics, "changesQueued" | "changesProgrammed">;
  readonly health: ProxyHealthTracker;
  /** Told at level debug of each batch that is in the kernel: what a change took can be read from the log. */
  readonly logger: Logger;
  /** Resolves when all that was handed over is in the kernel; at once where the kernel is left alone. */
  readonly flushed: () => Promise<void>;
}

/** Takes batches. */
export interface ProgrammingTracker {
  /** The data planes were given this batch. */
  handedOver(events: readonly ObjectEvent[], delta: Pick<ModelDelta, "triggerTimesMs">): void;
  /** The state is complete, and so the first plan on its way: as in kube-proxy an update, also of an empty cluster. */
  synced(): void;
}

/** Beyond them, changes are counted but not timed: at one a millisecond the histogram has seen enough. */
const MAX_TIMED = 10_000;

/** Batches that are waited for together. */
interface Awaited {
  services: number;
  endpointSlices: number;
  readonly triggerTimesMs: number[];
  readonly update: QueuedUpdate;
}

/** Creates a tracker. At most two waits are kept: one that runs, one that gathers. */
export function trackProgramming(
  { metrics, health, logger, flushed }: TrackProgrammingOptions,
): ProgrammingTracker {
  // The first state has slices that changed hours ago: as in kube-proxy, only what happened since the start is timed.
  const startedMs = Date.now();
  let isSynced = false;
  let running = false;
  let gathered: Awaited | undefined;

  async function follow(): Promise<void> {
    running = true;
    for (let batch = takeGathered(); batch !== undefined; batch = takeGathered()) {
      const { update, triggerTimesMs, services, endpointSlices } = batch;
      await flushed();
      update.done();
      metrics.changesProgrammed({ services, endpointSlices, triggerTimesMs });
      logger.debug("changes are in the kernel", { services, endpointSlices });
    }
    running = false;
  }

  function takeGathered(): Awaited | undefined {
    const taken = gathered;
    gathered = undefined;
    return taken;
  }

  function gather(): Awaited {
    return gathered ??= { services: 0, endpointSlices: 0, triggerTimesMs: [], update: health.queued() };
  }

  function followUnlessRunning(): void {
    // Rejects when the agent ends before the kernel took it: then nobody asks for health or metrics any more.
    if (!running) follow().catch((error) => logger.debug("not programmed", { error: String(error) }));
  }

  return {
    handedOver: (events, { triggerTimesMs }) => {
      const services = events.filter((event) => kindOf(event) === "Service").length;
      const batch: ChangeBatch = { services, endpointSlices: events.length - services };
      metrics.changesQueued(batch);
      const awaited = gather();
      awaited.services += batch.services;
      awaited.endpointSlices += batch.endpointSlices;
      for (const timeMs of triggerTimesMs) {
        if (timeMs > startedMs && awaited.triggerTimesMs.length < MAX_TIMED) {
          awaited.triggerTimesMs.push(timeMs);
        }
      }
      if (isSynced) followUnlessRunning();
    },
    synced: () => {
      isSynced = true;
      gather();
      followUnlessRunning();
    },
  };
}

function kindOf(event: ObjectEvent): "Service" | "EndpointSlice" {
  return event.type === "apply" ? event.object.kind : event.kind;
}

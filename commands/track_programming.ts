/**
 * Follows each batch of changes until the kernel has it: what kube-proxy's health and latency metrics speak of.
 *
 * In: batches as they are handed to the data planes. Out: calls of the health tracker and the metrics. Envoy has its own
 * figures (`lightpath_xds_ack_duration_seconds`): whether it needs to know of a change at all depends on what the
 * node uses.
 * @module
 */
import type { ObjectEvent } from "../agent/kube/mod.ts";
import type { Logger } from "../agent/log.ts";
import type { ChangeBatch, Metrics } from "../agent/metrics.ts";
import type { ModelDelta } from "../agent/model/mod.ts";
import type { ProxyHealthTracker } from "../agent/proxy_health.ts";
import type { Redirector } from "../redirect/mod.ts";

/** What `trackProgramming` needs. */
export interface TrackProgrammingOptions {
  readonly metrics: Metrics;
  readonly health: ProxyHealthTracker;
  /** Told at level debug of each batch that is in the kernel: what a change took can be read from the log. */
  readonly logger: Logger;
  /** Undefined when the kernel is left alone: then a batch is in place at once. */
  readonly redirector: Redirector | undefined;
}

/** Takes batches. */
export interface ProgrammingTracker {
  /** The data planes were given this batch. */
  handedOver(events: readonly ObjectEvent[], delta: ModelDelta): void;
}

/** Creates a tracker. */
export function trackProgramming(
  { metrics, health, logger, redirector }: TrackProgrammingOptions,
): ProgrammingTracker {
  async function follow(batch: ChangeBatch, triggerTimesMs: readonly number[]): Promise<void> {
    metrics.changesQueued(batch);
    const update = health.queued();
    try {
      await redirector?.flushed();
    } catch {
      // The agent ends before the kernel took it: nobody asks for health or metrics any more.
      return;
    }
    update.done();
    metrics.changesProgrammed({ ...batch, triggerTimesMs });
    logger.debug("changes are in the kernel", { ...batch });
  }

  return {
    handedOver: (events, { triggerTimesMs }) => {
      const services = events.filter((event) => kindOf(event) === "Service").length;
      void follow({ services, endpointSlices: events.length - services }, triggerTimesMs);
    },
  };
}

function kindOf(event: ObjectEvent): "Service" | "EndpointSlice" {
  return event.type === "apply" ? event.object.kind : event.kind;
}

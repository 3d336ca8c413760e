/**
 * Deletes stale UDP flows after the changes that left them behind.
 *
 * In: changes of the model, in order; this node's addresses. Out: passes over the kernel's table of connections, one at a time,
 * and calls of an observer. Which flows are stale is decided in `stale_flows.ts`.
 *
 * Invariants:
 * - A change's flows are looked for when the change is in the kernel: before, the next packet would make the same flow
 *   again.
 * - Most changes cause no pass. Those that come during one merge into the next. Passes begin a second apart at least, and take
 *   half of the time at most.
 * - After a start, and when somebody else had changed the table, all that is served is looked at, so that what changed meanwhile is
 *   found. What may go on is never deleted, TCP and SCTP are not looked at.
 * - After a pass that deleted something the same is looked at again: what was under way meanwhile may have made such a flow anew.
 * - A pass that fails is repeated with growing delays, with what has come since. The agent goes on without.
 * - Of the table nothing is kept but groups of stale flows: one for each destination and endpoint.
 * @module
 */

import type { Logger } from "../agent/log.ts";
import type {
  IPFamily,
  ModelView,
  NodeAddresses,
  ServicePortChange,
  ServicePortKey,
} from "../agent/model/mod.ts";
import { type Conntrack, ConntrackError } from "./conntrack.ts";
import { Pause, systemTimers, type Timers } from "./pause.ts";
import { destinationsLeft, type FlowDestination, FlowJudge, type Search } from "./stale_flows.ts";
import { socketText, type UdpFlow } from "./udp_flow.ts";

const SHORTEST_INTERVAL_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;

/** Takes what happens, for metrics. Must not throw. */
export interface FlowCleanerObserver {
  /** A pass over the flows of a family has ended. */
  onCleaned?(
    cleaned: { readonly family: IPFamily; readonly deleted: number; readonly durationMs: number },
  ): void;
  /** A pass failed and will be repeated. */
  onFailed?(error: ConntrackError): void;
}

/** What `FlowCleaner` needs. */
export interface FlowCleanerOptions {
  readonly conntrack: Conntrack;
  /** The model, which holds each change before it is handed in. */
  readonly view: Pick<ModelView, "servicePorts" | "vipOwner" | "nodePortOwner">;
  readonly families: readonly IPFamily[];
  /** Resolves when everything handed in so far is in the kernel; rejects when the end comes before. */
  readonly flushed: () => Promise<void>;
  readonly logger: Logger;
  readonly observer?: FlowCleanerObserver;
  /** @default the system's */
  readonly timers?: Timers;
}

/** See the module's comment. */
export class FlowCleaner {
  readonly #options: FlowCleanerOptions;
  readonly #timers: Timers;
  readonly #pause: Pause;
  #nodeAddresses: NodeAddresses = { IPv4: [], IPv6: [] };
  #everywhere = false;
  #destinations = new Set<FlowDestination>();
  /** That of the pass that runs. */
  #judge: FlowJudge | undefined;
  #failures = 0;
  #lastFailure = "";

  constructor(options: FlowCleanerOptions) {
    this.#options = options;
    this.#timers = options.timers ?? systemTimers;
    this.#pause = new Pause(this.#timers);
  }

  /** The first state is complete. */
  start(nodeAddresses: NodeAddresses): void {
    this.setNodeAddresses(nodeAddresses);
  }

  /** Hands over changes, after they were handed to whoever writes them into the kernel. */
  update(changes: ReadonlyMap<ServicePortKey, ServicePortChange>): void {
    this.#judge?.changed();
    for (const change of changes.values()) {
      for (const destination of destinationsLeft(change)) this.#destinations.add(destination);
    }
    if (this.#isDue) this.#pause.wake();
  }

  /** Replaces this node's addresses: at a new one there may be flows that were not translated. */
  setNodeAddresses(nodeAddresses: NodeAddresses): void {
    this.#nodeAddresses = nodeAddresses;
    this.lookEverywhere();
  }

  /** To be called when the kernel may have had another table for a while: by what that said, flows would go on. */
  lookEverywhere(): void {
    this.#everywhere = true;
    this.#pause.wake();
  }

  /** Cleans until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (!this.#isDue) {
        await this.#pause.untilWoken(Infinity, signal);
        continue;
      }
      const search = this.#take();
      if (!await this.#isInKernel()) return;
      const beganMs = this.#timers.now();
      const isDone = await this.#pass(search, signal);
      const tookMs = this.#timers.now() - beganMs;
      const pauseMs = isDone ? Math.max(SHORTEST_INTERVAL_MS - tookMs, tookMs) : this.#retryDelayMs();
      await this.#pause.sleep(pauseMs, signal);
    }
  }

  get #isDue(): boolean {
    return this.#everywhere || this.#destinations.size > 0;
  }

  #take(): Search {
    const search = { everywhere: this.#everywhere, destinations: this.#destinations };
    this.#everywhere = false;
    this.#destinations = new Set();
    return search;
  }

  #giveBack({ everywhere, destinations }: Search): void {
    this.#everywhere ||= everywhere;
    for (const destination of destinations) this.#destinations.add(destination);
  }

  async #isInKernel(): Promise<boolean> {
    try {
      await this.#options.flushed();
      return true;
    } catch (error) {
      this.#options.logger.debug("stale UDP flows are left to the next agent", { reason: String(error) });
      return false;
    }
  }

  /** Returns whether it succeeded. */
  async #pass(search: Search, signal: AbortSignal): Promise<boolean> {
    const { view, families, logger, observer } = this.#options;
    if (search.destinations.size === 0 && !servesUdp(view)) return true;
    const judge = this.#judge = new FlowJudge(search, { view, nodeAddresses: this.#nodeAddresses });
    try {
      let deleted = 0;
      for (const family of families) deleted += await this.#clean(family, judge, signal);
      if (deleted > 0) this.#giveBack(search);
      if (this.#failures > 0) logger.info("UDP flows to endpoints that are gone are deleted again");
      this.#failures = 0;
      this.#lastFailure = "";
      return true;
    } catch (error) {
      if (!(error instanceof ConntrackError)) throw error;
      this.#giveBack(search);
      if (signal.aborted) return false;
      this.#failures++;
      observer?.onFailed?.(error);
      // Once: it is repeated for as long as nobody has mended it.
      if (error.message !== this.#lastFailure) {
        logger.error(`UDP flows to endpoints that are gone are not deleted: ${error.message}`, {
          kind: error.kind,
        });
      }
      this.#lastFailure = error.message;
      return false;
    } finally {
      this.#judge = undefined;
    }
  }

  /** Returns how many flows were deleted. */
  async #clean(family: IPFamily, judge: FlowJudge, signal: AbortSignal): Promise<number> {
    const { conntrack, logger, observer } = this.#options;
    const beganMs = this.#timers.now();
    const stale = new Map<string, UdpFlow>();
    const onFlow = (flow: UdpFlow): void => {
      if (judge.isStale(flow)) stale.set(groupText(flow), flow);
    };
    await conntrack.readUdpFlows({ family, onFlow, signal });
    let deleted = 0;
    for (const group of stale.values()) {
      // Its endpoint may have come back meanwhile.
      if (judge.isStale(group)) deleted += await conntrack.deleteUdpFlows(group, signal);
    }
    observer?.onCleaned?.({ family, deleted, durationMs: this.#timers.now() - beganMs });
    if (deleted > 0) logger.debug("deleted stale UDP flows", { family, deleted, groups: stale.size });
    return deleted;
  }

  #retryDelayMs(): number {
    return Math.min(LONGEST_RETRY_MS, SHORTEST_INTERVAL_MS * 2 ** Math.min(this.#failures, 10));
  }
}

/** What is deleted together. */
function groupText({ destination, answeredBy, isReversed }: UdpFlow): string {
  return `${socketText(destination)} ${socketText(answeredBy)}${isReversed ? " reversed" : ""}`;
}

function servesUdp(view: Pick<ModelView, "servicePorts">): boolean {
  for (const { name } of view.servicePorts()) if (name.protocol === "UDP") return true;
  return false;
}

/**
 * Keeps the kernel's table equal to the plan while the model changes: merges, writes, retries, checks for drift.
 *
 * In: the model once it is complete, its changes, this node's addresses, whether Envoy is ready. Out: calls of a backend, one at a time, and calls
 * of an observer. Owns no decision about what the plan is.
 * Invariants:
 * - A change that finds no transaction running goes out at once; those that come meanwhile merge into the next one.
 * - The table is read at the start, after a failure and at long intervals, never on the way of a change. The reading of
 *   the start is made while the model is still being completed (50,000 elements: 0.1 s from the model to the kernel instead
 *   of 1.5 s). It is as good then: nobody but this redirector writes the table (table_lock.ts), and it has not begun to.
 *   What a stranger does in between is found as at any other time: at once where it is in the way of a transaction, else
 *   by the next comparison.
 * - Between changes the backend looks whether somebody else has removed the table or what is constant in it. When it sees that, all is compared. Looks that
 *   prove wrong become rarer.
 * - After a failure nothing is assumed: the table is read and compared with the whole plan, again and again, with
 *   growing delays, until it fits. An element the kernel will not take is left out and reported, then tried again at
 *   each of these readings.
 * - Ending leaves the table as it is: traffic goes on, and the next start finds nothing to do.
 * @module
 */

import type { Logger } from "../agent/log.ts";
import type { ModelView, NodeAddresses, ServicePortChange, ServicePortKey } from "../agent/model/mod.ts";
import { foreignDifferences, type Reconciliation, type RedirectBackend } from "./backend.ts";
import { diffChanges, diffPlans, isEmptyDelta, mergeChanges, type PlanDelta } from "./diff.ts";
import { RedirectError, type RedirectErrorKind } from "./redirect_error.ts";
import { type NodeState, type PlanElement, planNode, planServicePort, type Socket } from "./plan.ts";
import type { ApplyKind, RedirectObserver } from "./observer.ts";
import { SharedElements } from "./shared_elements.ts";
import { Settlement } from "./settlement.ts";
import { Pause, systemTimers, type Timers } from "./pause.ts";

/** What `createRedirector` needs. */
export interface RedirectorOptions {
  readonly backend: RedirectBackend;
  readonly logger: Logger;
  readonly observer?: RedirectObserver;
  /** Between two comparisons with the whole plan, give or take a tenth. @default 600_000 */
  readonly resyncIntervalMs?: number;
  /** @default the system's */
  readonly timers?: Timers;
  /** In [0, 1), spreads delays. @default Math.random */
  readonly random?: () => number;
}

/** Keeps the redirect table; see the module's comment. */
export interface Redirector {
  /**
   * Hands over the complete model, which is kept and asked again at each comparison. Called once; what `update` was
   * given before is covered by it.
   */
  start(view: Pick<ModelView, "servicePorts">, nodeAddresses: NodeAddresses): void;
  /** Hands over changes. The model given to `start` must hold them already. */
  update(changes: ReadonlyMap<ServicePortKey, ServicePortChange>): void;
  /** Replaces this node's addresses. */
  setNodeAddresses(nodeAddresses: NodeAddresses): void;
  /** Says in which ranges every address that no Service has is nobody's. Until the first word there are none. */
  setServiceCIDRs(cidrs: NonNullable<NodeState["serviceCIDRs"]>): void;
  /**
   * Says whether Envoy can be sent connections. While it cannot, the kernel balances those that are Envoy's: one element is
   * written, whatever the number of Services. Until the first word it can.
   */
  setEnvoyReady(ready: boolean): void;
  /**
   * Says that nobody tells Envoy of Clusters any more, and which destinations it can carry all the same. The others are the
   * kernel's until `setEnvoyReady` is called again.
   */
  setEnvoyAlone(held: readonly Socket[]): void;
  /** Resolves when everything handed in so far is in the kernel; rejects when `run` ends before. */
  flushed(): Promise<void>;
  /** Works until the signal aborts. A transaction that runs then is finished. Rejects for programming errors only. */
  run(signal: AbortSignal): Promise<void>;
}

/** Delay before the first repetition after a failure; doubles up to the longest. */
const SHORTEST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;
const MENDED_BY_READING: ReadonlySet<RedirectErrorKind> = new Set(["not-found", "exists", "unknown"]);
/** How many differences one log line spells out. */
const LOGGED_DIFFERENCES = 5;

/** What was pending when a step began. */
interface Taken {
  readonly delta: PlanDelta;
  readonly node: NodeState;
  readonly sequence: number;
}

/** What a step did, and up to where it settles what was handed in. */
interface StepResult extends PlanDelta {
  readonly transactions: number;
  readonly sequence: number;
}

/** Creates a Redirector; nothing happens before `run`. */
export function createRedirector(options: RedirectorOptions): Redirector {
  return new PlanRedirector(options);
}

class PlanRedirector implements Redirector {
  readonly #backend: RedirectBackend;
  readonly #logger: Logger;
  readonly #observer: RedirectObserver;
  readonly #resyncIntervalMs: number;
  readonly #timers: Timers;
  readonly #random: () => number;
  readonly #pause: Pause;

  #view: Pick<ModelView, "servicePorts"> | undefined;
  readonly #shared = new SharedElements();
  #pending = new Map<ServicePortKey, ServicePortChange>();
  #node: NodeState = { addresses: { IPv4: [], IPv6: [] }, envoyReady: true };
  /** What the kernel holds of it as far as we know. */
  #appliedNode = this.#node;
  /** A comparison with the whole plan is due, for this reason. */
  #due: Exclude<ApplyKind, "update"> | undefined = "start";
  #resyncAtMs = Infinity;
  #lookAtMs = Infinity;
  /** What a look saw, for which the comparison is due. */
  #seen: string | undefined;
  /** Comparisons, one after the other, for which looks gave no good reason. */
  #vainLooks = 0;
  /** What was last said of Envoy. */
  #saidReady: boolean | undefined;
  /** Envoy has come back, and the kernel may have noted on its own that nobody was there. */
  #isEnvoyBack = false;
  #failures = 0;
  readonly #settlement = new Settlement();

  constructor(options: RedirectorOptions) {
    this.#backend = options.backend;
    this.#logger = options.logger;
    this.#observer = options.observer ?? {};
    this.#resyncIntervalMs = options.resyncIntervalMs ?? 600_000;
    this.#timers = options.timers ?? systemTimers;
    this.#random = options.random ?? Math.random;
    this.#pause = new Pause(this.#timers);
  }

  start(view: Pick<ModelView, "servicePorts">, nodeAddresses: NodeAddresses): void {
    this.#view = view;
    this.#node = { ...this.#node, addresses: nodeAddresses };
    this.#handed();
  }

  update(changes: ReadonlyMap<ServicePortKey, ServicePortChange>): void {
    mergeChanges(this.#pending, changes);
    this.#handed();
  }

  setNodeAddresses(nodeAddresses: NodeAddresses): void {
    this.#node = { ...this.#node, addresses: nodeAddresses };
    this.#handed();
  }

  setServiceCIDRs(serviceCIDRs: NonNullable<NodeState["serviceCIDRs"]>): void {
    this.#node = { ...this.#node, serviceCIDRs };
    this.#handed();
  }

  setEnvoyReady(ready: boolean): void {
    if (ready && this.#saidReady !== true) this.#isEnvoyBack = true;
    this.#saidReady = ready;
    this.#node = { ...this.#node, envoyReady: ready, envoyAloneWith: undefined };
    this.#handed();
  }

  setEnvoyAlone(held: readonly Socket[]): void {
    this.#node = { ...this.#node, envoyAloneWith: held };
    this.#handed();
  }

  flushed(): Promise<void> {
    return this.#settlement.whenSettled();
  }

  async run(signal: AbortSignal): Promise<void> {
    // Whether it failed is seen by the comparison.
    const firstRead = this.#backend.readAhead().catch(() => {});
    try {
      while (!signal.aborted) {
        const kind = this.#nextStep();
        if (kind === undefined) {
          await this.#pause.untilWoken(
            Math.min(this.#lookAtMs, this.#resyncAtMs) - this.#timers.now(),
            signal,
          );
          continue;
        }
        if (kind === "look") {
          await this.#look();
          continue;
        }
        const error = await this.#step(kind);
        // Not to be woken by changes: a kernel that refuses would be asked in a tight loop.
        if (error !== undefined) await this.#pause.sleep(this.#retryDelayMs(error), signal);
      }
    } finally {
      await firstRead;
      this.#settlement.end();
    }
  }

  #handed(): void {
    this.#settlement.handIn();
    this.#pause.wake();
  }

  #nextStep(): ApplyKind | "look" | undefined {
    if (this.#view === undefined) return undefined;
    if (this.#due !== undefined) return this.#due;
    const now = this.#timers.now();
    if (now >= this.#resyncAtMs) return "resync";
    // Changes do not keep it off: some of them succeed in a table that has lost its rules.
    if (now >= this.#lookAtMs) return "look";
    return this.#settlement.owed ? "update" : undefined;
  }

  async #look(): Promise<void> {
    this.#seen = await this.#backend.look();
    if (this.#seen === undefined) this.#vainLooks = 0;
    else this.#due = "resync";
    this.#lookAtMs = this.#timers.now() + this.#lookDelayMs();
  }

  #lookDelayMs(): number {
    return Math.min(this.#backend.lookIntervalMs * 2 ** this.#vainLooks, this.#resyncIntervalMs);
  }

  /** One comparison or one transaction. Returns the fault, if any, after which a repair is due. */
  async #step(kind: ApplyKind): Promise<RedirectError | undefined> {
    const startMs = this.#timers.now();
    try {
      const done = kind === "update" ? await this.#applyPending() : await this.#compare(kind);
      this.#failures = 0;
      this.#observer.onApplied?.({
        kind,
        durationMs: this.#timers.now() - startMs,
        transactions: done.transactions,
        elementsAdded: done.add.length,
        elementsDeleted: done.delete.length,
      });
      this.#settlement.settle(done.sequence);
      return undefined;
    } catch (error) {
      if (!(error instanceof RedirectError)) throw error;
      // A start that fails stays a start: nothing of this plan has been in the kernel yet.
      this.#due = this.#due === "start" ? "start" : "repair";
      this.#failures++;
      const level = this.#retryDelayMs(error) === 0 ? "warn" : "error";
      this.#logger[level](error.message, {
        step: kind,
        kind: error.kind,
        line: error.line,
        stderr: error.stderr === "" ? undefined : error.stderr.trim(),
        failures: this.#failures,
      });
      this.#observer.onError?.(kind, error);
      return error;
    }
  }

  /** Takes what is pending; what is handed in from here on belongs to the next step. */
  #take(): Taken {
    const ports = diffChanges(this.#pending, this.#shared);
    this.#pending = new Map();
    const node = this.#node;
    const own = diffPlans(planNode(this.#appliedNode), planNode(node));
    // The node's containers come before those of ports: both lists stay sorted.
    const delta = { delete: [...own.delete, ...ports.delete], add: [...own.add, ...ports.add] };
    return { delta, node, sequence: this.#settlement.sequence };
  }

  async #applyPending(): Promise<StepResult> {
    const { delta: pending, node, sequence } = this.#take();
    const delta = this.#isEnvoyBack ? withEnvoyBack(pending, node) : pending;
    if (isEmptyDelta(delta)) return { ...delta, transactions: 0, sequence };
    await this.#backend.apply(delta);
    this.#appliedNode = node;
    this.#isEnvoyBack = false;
    // What was written anew is no change.
    return { ...pending, transactions: 1, sequence };
  }

  async #compare(kind: Exclude<ApplyKind, "update">): Promise<StepResult> {
    const view = this.#view;
    if (view === undefined) throw new TypeError("Cannot compare: the model was not handed over");
    let taken: Taken | undefined;
    const outcome = await this.#backend.reconcile(() => {
      // The model holds everything handed in so far, so nothing of it is pending any more.
      taken = this.#take();
      const elements = planNode(taken.node);
      for (const servicePort of view.servicePorts()) elements.push(...planServicePort(servicePort));
      this.#shared.recount(elements);
      return elements;
    });
    if (taken === undefined) throw new TypeError("A comparison must ask for the plan");
    this.#appliedNode = taken.node;
    this.#due = undefined;
    this.#resyncAtMs = this.#timers.now() + this.#resyncIntervalMs * (0.9 + 0.2 * this.#random());
    const differences = this.#report(kind, outcome, taken.delta);
    if (this.#seen !== undefined && differences === 0) {
      this.#vainLooks++;
      this.#logger.info("The kernel's table seemed to be changed by someone else, and holds what it should", {
        because: this.#seen,
      });
    }
    this.#seen = undefined;
    this.#lookAtMs = this.#timers.now() + this.#lookDelayMs();
    // A comparison finds that Envoy is ready as it was, and not what the kernel has noted since.
    if (this.#isEnvoyBack) this.#handed();
    return { ...outcome, sequence: taken.sequence };
  }

  /**
   * Says what a comparison found: drift only where it is neither our own pending change nor refused by the kernel. After a failure
   * elements may differ by our own doing, the rest only by somebody else's. Returns how many differences that were.
   */
  #report(
    kind: Exclude<ApplyKind, "update">,
    outcome: Reconciliation,
    pending: PlanDelta,
  ): number {
    for (const { element, error } of outcome.refused) {
      this.#logger.error("The kernel refused a map element; its destination is not served", {
        map: element.container,
        key: element.key,
        value: element.value,
        reason: error.stderr.trim().split("\n")[0] ?? error.message,
      });
    }
    if (kind === "start") {
      this.#logger.info("Compared the kernel's table with the plan", {
        elementsAdded: outcome.add.length,
        elementsDeleted: outcome.delete.length,
        replaced: outcome.layoutDifferences.length > 0,
      });
      return 0;
    }
    const differences = kind === "repair" ? outcome.layoutDifferences : foreignDifferences(outcome, pending);
    if (differences.length === 0) return 0;
    this.#logger.warn("The kernel's table had been changed by someone else; mended it", {
      differences: differences.length,
      first: differences.slice(0, LOGGED_DIFFERENCES).join("; "),
    });
    this.#observer.onDrift?.(differences.length);
    return differences.length;
  }

  #retryDelayMs(error: RedirectError): number {
    // What the kernel holds is not what was assumed, or not known: reading it mends that, and waiting would not.
    if (this.#failures === 1 && MENDED_BY_READING.has(error.kind)) return 0;
    const delayMs = Math.min(LONGEST_RETRY_MS, SHORTEST_RETRY_MS * 2 ** Math.min(this.#failures - 1, 10));
    return delayMs * (0.5 + 0.5 * this.#random());
  }
}

/**
 * The same, with it written anew that Envoy is ready where it was written already, by an agent that was killed: by that the backends forget what the
 * kernel has noted (`emptiedBy`).
 */
function withEnvoyBack(delta: PlanDelta, node: NodeState): PlanDelta {
  const isReady = ({ container }: PlanElement): boolean => container === "envoy-ready";
  if (delta.add.some(isReady)) return delta;
  const ready = planNode(node).filter(isReady);
  return { ...delta, add: [...ready, ...delta.add] };
}

/**
 * Make before break: keeps changes from the kernel that would send connections to an Envoy which is not prepared for them.
 *
 * In: changes of the model, in order; word that an Envoy has answered. Out: the same changes to the redirector, all but a
 * few of them at once; a held one when Envoy has taken what it needs, or when it has waited long enough.
 *
 * Invariants:
 * - What the redirector was given is one state of each ServicePort, and always an earlier or the present one of the model:
 *   later changes of a held ServicePort merge into it (oldest `before`, newest `after`), and none is lost.
 * - `servicePorts` is that state. The redirector compares the kernel with it, so a comparison neither opens what is
 *   held nor finds something missing when the change comes after it.
 * - No destination is named by two changes of which one is held: a VIP that moves from one ServicePort to another moves in
 *   one step, at once, and takes with it what is held of either.
 * - No change is held longer than the bound, whatever comes after it: an Envoy that is stuck must not keep others out.
 * - Nothing is held at the end: what was not handed over is found by the next agent's first comparison.
 *
 * Cost: a change that opens nothing is passed on as it is; an ACK looks at what is held, usually nothing.
 * @module
 */
import type { ModelView, ServicePort, ServicePortChange, ServicePortKey } from "../agent/model/mod.ts";
import type { Logger } from "../agent/log.ts";
import { type Redirector, systemTimers, type Timers } from "../redirect/mod.ts";

/** Envoy takes a change in 2 to 5 ms, under load in some tens. A stuck one delays an opening by this much. */
const LONGEST_HOLD_MS = 500;
/** How many ServicePorts one log line names. */
const LOGGED_KEYS = 5;

/** How the wait of a change ended. */
export type OpeningResult =
  /** Envoy is prepared, or has gone. */
  | "taken"
  /** Envoy has not answered in time. */
  | "timeout"
  /** Another change came that opens nothing, or that cannot wait. */
  | "overtaken";

/** What `OpeningGate` needs. */
export interface OpeningGateOptions {
  /** The model, which holds each change before the gate is given it. */
  readonly model: Pick<ModelView, "servicePorts">;
  readonly redirector: Pick<Redirector, "update" | "flushed">;
  /** Whether the kernel may be given this change: it opens nothing, or Envoy can answer. */
  readonly mayPass: (change: ServicePortChange) => boolean;
  readonly logger: Logger;
  /** Told of each change that was held. */
  readonly onReleased?: (released: { readonly result: OpeningResult; readonly waitedMs: number }) => void;
  /** @default 500 */
  readonly longestHoldMs?: number;
  /** @default the system's */
  readonly timers?: Timers;
}

/** A change that waits for Envoy. */
interface Held {
  change: ServicePortChange;
  readonly sinceMs: number;
  readonly released: PromiseWithResolvers<void>;
}

type Changes = ReadonlyMap<ServicePortKey, ServicePortChange>;

/** See the module's comment. */
export class OpeningGate implements Disposable {
  readonly #options: OpeningGateOptions;
  readonly #timers: Timers;
  readonly #longestHoldMs: number;
  readonly #held = new Map<ServicePortKey, Held>();
  #cancelTimer: (() => void) | undefined;

  constructor(options: OpeningGateOptions) {
    this.#options = options;
    this.#timers = options.timers ?? systemTimers;
    this.#longestHoldMs = options.longestHoldMs ?? LONGEST_HOLD_MS;
  }

  /** All ServicePorts as the redirector was given them. */
  *servicePorts(): Generator<ServicePort> {
    for (const servicePort of this.#options.model.servicePorts()) {
      if (!this.#held.has(servicePort.key)) yield servicePort;
    }
    for (const { change: { before } } of this.#held.values()) if (before !== undefined) yield before;
  }

  /** Takes changes that the model holds already. */
  update(changes: Changes): void {
    if (this.#held.size === 0 && this.#mayAllPass(changes)) {
      this.#options.redirector.update(changes);
      return;
    }
    const passing = new Map<ServicePortKey, ServicePortChange>();
    const merged = this.#merge(changes);
    const shared = sharedDestinations(merged);
    for (const [key, change] of merged) {
      const mayWait = !destinationsOf(change).some((destination) => shared.has(destination));
      if (mayWait && !this.#options.mayPass(change)) this.#hold(key, change);
      else {
        this.#release(key, "overtaken");
        passing.set(key, change);
      }
    }
    if (passing.size > 0) this.#options.redirector.update(passing);
  }

  /** An Envoy has answered, or has gone: hands over what need not wait any more. */
  progressed(): void {
    this.#releaseAll("taken", ({ change }) => this.#options.mayPass(change));
  }

  /** Resolves when everything given so far is in the kernel; rejects when the end comes before. */
  async flushed(): Promise<void> {
    await Promise.all([...this.#held.values()].map(({ released }) => released.promise));
    await this.#options.redirector.flushed();
  }

  [Symbol.dispose](): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    for (const { released } of this.#held.values()) {
      released.reject(new Error("The end came before Envoy was prepared for what was to be opened"));
    }
    this.#held.clear();
  }

  #mayAllPass(changes: Changes): boolean {
    for (const change of changes.values()) if (!this.#options.mayPass(change)) return false;
    return true;
  }

  /** The changes, each with what is held of its ServicePort, and what is held of others that share a destination. */
  #merge(changes: Changes): Map<ServicePortKey, ServicePortChange> {
    const merged = new Map<ServicePortKey, ServicePortChange>();
    const destinations = new Set<string>();
    for (const [key, change] of changes) {
      const held = this.#held.get(key);
      const whole = held === undefined ? change : { before: held.change.before, after: change.after };
      merged.set(key, whole);
      for (const destination of destinationsOf(whole)) destinations.add(destination);
    }
    for (const [key, { change }] of this.#held) {
      if (!merged.has(key) && destinationsOf(change).some((one) => destinations.has(one))) {
        merged.set(key, change);
      }
    }
    return merged;
  }

  #hold(key: ServicePortKey, change: ServicePortChange): void {
    const held = this.#held.get(key);
    if (held !== undefined) {
      held.change = change;
      return;
    }
    const released = Promise.withResolvers<void>();
    // Nobody may be waiting for it when the end comes.
    released.promise.catch(() => {});
    this.#held.set(key, { change, sinceMs: this.#timers.now(), released });
    this.#cancelTimer ??= this.#timers.after(this.#longestHoldMs, () => this.#expire());
  }

  #release(key: ServicePortKey, result: OpeningResult): void {
    const held = this.#held.get(key);
    if (held === undefined) return;
    this.#held.delete(key);
    this.#options.onReleased?.({ result, waitedMs: this.#timers.now() - held.sinceMs });
    held.released.resolve();
  }

  /** Hands over what `isDue` names, in one update. Returns the keys. */
  #releaseAll(result: OpeningResult, isDue: (held: Held) => boolean): readonly ServicePortKey[] {
    const due = new Map<ServicePortKey, ServicePortChange>();
    for (const [key, held] of this.#held) if (isDue(held)) due.set(key, held.change);
    for (const key of due.keys()) this.#release(key, result);
    if (due.size > 0) this.#options.redirector.update(due);
    return [...due.keys()];
  }

  #expire(): void {
    this.#cancelTimer = undefined;
    const heldSinceMs = this.#timers.now() - this.#longestHoldMs;
    const keys = this.#releaseAll("timeout", ({ sinceMs }) => sinceMs <= heldSinceMs);
    if (keys.length > 0) {
      this.#options.logger.warn(
        "Envoy has not taken changes in time; connections are sent to it all the same, and may fail",
        {
          waitedMs: this.#longestHoldMs,
          servicePorts: keys.length,
          first: keys.slice(0, LOGGED_KEYS).join(" "),
        },
      );
    }
    const oldestMs = Math.min(...[...this.#held.values()].map(({ sinceMs }) => sinceMs));
    if (oldestMs === Infinity) return;
    const waitMs = oldestMs + this.#longestHoldMs - this.#timers.now();
    this.#cancelTimer = this.#timers.after(waitMs, () => this.#expire());
  }
}

/** What a change is about, as the kernel tells destinations apart. */
function destinationsOf({ before, after }: ServicePortChange): string[] {
  return [before, after].flatMap((servicePort) => {
    if (servicePort === undefined) return [];
    const { name: { protocol }, vips, nodePort } = servicePort;
    const served = vips.map(({ address, port }) => `${address} ${protocol} ${port}`);
    return nodePort === 0 ? served : [...served, `node ${protocol} ${nodePort}`];
  });
}

/** Destinations that more than one of the changes names. */
function sharedDestinations(changes: Changes): ReadonlySet<string> {
  const seen = new Set<string>();
  const shared = new Set<string>();
  for (const change of changes.values()) {
    for (const destination of new Set(destinationsOf(change))) {
      if (seen.has(destination)) shared.add(destination);
      seen.add(destination);
    }
  }
  return shared;
}

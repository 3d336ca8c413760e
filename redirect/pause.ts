/**
 * Waiting in a loop: for a time, for a call to `wake`, for the end. Time is injected, so that tests own it.
 *
 * Invariant: no timer and no listener outlives the wait it belongs to.
 * @module
 */

/** The clock and timers. */
export interface Timers {
  /** Monotonic milliseconds. */
  now(): number;
  /** Calls back once after `ms`; returns what cancels it. */
  after(ms: number, callback: () => void): () => void;
}

/** The system's clock and timers. */
export const systemTimers: Timers = {
  now: () => performance.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/** One waiting loop's pause. */
export class Pause {
  readonly #timers: Timers;
  #wake: (() => void) | undefined;

  /** A pause that measures time by these timers. */
  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Ends an `untilWoken` that is under way; nothing otherwise. */
  wake(): void {
    this.#wake?.();
  }

  /** Waits until `wake` is called, `ms` are over (may be Infinity), or the signal aborts. Never rejects. */
  async untilWoken(ms: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#wait(ms, { signal, onWait: (done) => this.#wake = done });
    } finally {
      this.#wake = undefined;
    }
  }

  /** Waits `ms`, or until the signal aborts; `wake` does not shorten it. Never rejects. */
  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    await this.#wait(ms, { signal, onWait: () => {} });
  }

  async #wait(
    ms: number,
    { signal, onWait }: { readonly signal: AbortSignal; readonly onWait: (done: () => void) => void },
  ): Promise<void> {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    // Longer times overflow a 32-bit timer; the loop comes back and waits again.
    const cancel = ms === Infinity
      ? undefined
      : this.#timers.after(Math.min(Math.max(ms, 0), 2 ** 31 - 1), resolve);
    const onAbort = (): void => resolve();
    signal.addEventListener("abort", onAbort);
    onWait(resolve);
    try {
      await promise;
    } finally {
      cancel?.();
      signal.removeEventListener("abort", onAbort);
    }
  }
}

/**
 * Lets a test wait for a condition without polling: it is looked at whenever something happened.
 * @module
 */

/** Far longer than anything here takes: a test that waits in vain fails instead of hanging. */
const GIVE_UP_MS = 30_000;

/** One place where things happen. */
export class Awaiter {
  #waiters: PromiseWithResolvers<void>[] = [];
  #fault: { readonly reason: unknown } | undefined;

  /** Something happened. */
  notify(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.resolve();
  }

  /** Nothing will happen any more: who waits is told. */
  fail(reason: unknown): void {
    this.#fault = { reason };
    this.notify();
  }

  /** Resolves when the condition holds. @throws {Error} when it has not come true for 30 s. */
  async until(condition: () => boolean): Promise<void> {
    const giveUp = setTimeout(() => this.fail(new Error(`waited in vain for ${condition}`)), GIVE_UP_MS);
    try {
      while (!condition()) {
        if (this.#fault !== undefined) throw this.#fault.reason;
        const waiter = Promise.withResolvers<void>();
        this.#waiters.push(waiter);
        await waiter.promise;
      }
    } finally {
      clearTimeout(giveUp);
    }
  }
}

/**
 * Accounts for what was handed in and what has reached its destination, in the order of handing in.
 *
 * Invariant: a waiter is answered exactly once: when everything handed in before it asked is settled, or at the end.
 * @module
 */

interface Waiter {
  readonly sequence: number;
  readonly resolve: () => void;
  readonly reject: (reason: Error) => void;
}

/** Counts from 1: the first settlement is that of sequence 0, the start itself, even when nothing was handed in. */
export class Settlement {
  #sequence = 0;
  #settled = -1;
  #ended = false;
  #waiters: Waiter[] = [];

  /** Stands for everything handed in so far. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Something is not settled yet. */
  get owed(): boolean {
    return this.#settled < this.#sequence;
  }

  /** Something more was handed in. */
  handIn(): void {
    this.#sequence++;
  }

  /** Everything up to this sequence has arrived. */
  settle(sequence: number): void {
    this.#settled = Math.max(this.#settled, sequence);
    const waiters = this.#waiters;
    this.#waiters = waiters.filter((waiter) => waiter.sequence > this.#settled);
    for (const waiter of waiters) {
      if (waiter.sequence <= this.#settled) waiter.resolve();
    }
  }

  /** Nothing will be settled any more. */
  end(): void {
    this.#ended = true;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(endedError());
  }

  /** Resolves when everything handed in so far is settled; rejects when the end comes before. */
  whenSettled(): Promise<void> {
    if (!this.owed) return Promise.resolve();
    if (this.#ended) return Promise.reject(endedError());
    return new Promise((resolve, reject) => {
      this.#waiters.push({ sequence: this.#sequence, resolve, reject });
    });
  }
}

function endedError(): Error {
  return new Error("The redirector has ended before everything was in the kernel");
}

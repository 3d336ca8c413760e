/**
 * Timers that move when a test says so.
 * @module
 */

import type { Timers } from "../pause.ts";

interface Alarm {
  readonly atMs: number;
  readonly callback: () => void;
}

/** See the module's comment. */
export class ManualTimers implements Timers {
  #nowMs = 0;
  #alarms = new Set<Alarm>();

  /** How long until the next alarm; undefined when none is set. */
  get nextMs(): number | undefined {
    const times = [...this.#alarms].map(({ atMs }) => atMs - this.#nowMs);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  now(): number {
    return this.#nowMs;
  }

  after(ms: number, callback: () => void): () => void {
    const alarm = { atMs: this.#nowMs + ms, callback };
    this.#alarms.add(alarm);
    return () => this.#alarms.delete(alarm);
  }

  /** Lets time pass and rings what is due, then lets promises settle. */
  async advance(ms: number): Promise<void> {
    this.#nowMs += ms;
    for (const alarm of [...this.#alarms]) {
      if (alarm.atMs > this.#nowMs) continue;
      this.#alarms.delete(alarm);
      alarm.callback();
    }
    await settle();
  }
}

/** Lets everything happen that waits for promises only. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}

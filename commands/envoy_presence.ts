/**
 * Knows whether Envoy takes connections, and tells the kernel's side when that changes: while it does not, new TCP connections
 * are balanced by the kernel.
 *
 * In: word from the ADS server (an Envoy has what it waits for; none has any more), the end of Envoy's process, Envoy's own
 * answer to "are you live?". Out: `serving` or not, only when it changes.
 *
 * - *Away* is believed at once, from whichever tells first: the stream ends with the process, within a millisecond. A live Envoy
 *   that only lost its stream is passed by for the second until it is back, which costs what Envoy adds and no connection.
 * - *Back* is believed when the ADS server has been told so and Envoy says that it is live, i.e. its workers listen: between
 *   the two a connection would meet nobody. An Envoy whose admin interface cannot be asked (another container that does not share
 *   the socket) is believed without.
 * - At the start of an agent that does not run Envoy itself, an Envoy that is live counts as serving, and gets as long to
 *   connect as Envoy takes to connect again: traffic that goes through it must not be moved for the agent's sake.
 *
 * Source: Envoy 1.40, "Administration interface", `GET /ready`.
 * @module
 */
import type { Logger } from "../agent/log.ts";
import type { Liveness } from "../xds/mod.ts";
import { Pause, systemTimers, type Timers } from "../redirect/mod.ts";

/** What an EnvoyPresence needs. */
export interface EnvoyPresenceOptions {
  /** Never rejects. */
  readonly askLiveness: (signal: AbortSignal) => Promise<Liveness>;
  /** Called when it changes, and once at the beginning. */
  readonly onServing: (serving: boolean) => void;
  readonly logger: Logger;
  /** @default the system's */
  readonly timers?: Timers;
}

/** Between two questions; each costs about a millisecond. */
const ASK_INTERVAL_MS = 10;
/** How long a live Envoy may take to connect to an agent that has just started: it tries again within a second. */
const RECONNECT_GRACE_MS = 3_000;

/** See the module's comment. */
export class EnvoyPresence implements Disposable {
  readonly #options: EnvoyPresenceOptions;
  readonly #timers: Timers;
  #serving: boolean | undefined;
  #awaySinceMs = 0;
  #isOver = false;
  /** Ends whatever still waits to be confirmed. */
  #waiting = new AbortController();

  constructor(options: EnvoyPresenceOptions) {
    this.#options = options;
    this.#timers = options.timers ?? systemTimers;
  }

  /** What the kernel was told last. */
  get serving(): boolean {
    return this.#serving ?? false;
  }

  /**
   * Finds out where things stand when the agent starts. Call once, before anything else.
   *
   * @param mayRunAlready An Envoy from before may be there: the agent does not run it itself.
   */
  async begin(mayRunAlready: boolean): Promise<void> {
    const { askLiveness } = this.#options;
    const { signal } = this.#waiting;
    const found = mayRunAlready ? await askLiveness(signal) : "not-live";
    this.#tell(found === "live");
    if (found !== "live") return;
    void this.#sleep(RECONNECT_GRACE_MS, signal).then(() => {
      if (!signal.aborted) this.away("it is live, but does not connect to this agent");
    });
  }

  /** An Envoy has acknowledged the last thing it waits for before it listens. */
  fed(): void {
    this.#waiting.abort();
    this.#waiting = new AbortController();
    void this.#confirm(this.#waiting.signal);
  }

  /** No Envoy is there that is fed. */
  away(why: string): void {
    this.#waiting.abort();
    if (this.#isOver || this.#serving !== true) return;
    this.#awaySinceMs = this.#timers.now();
    this.#options.logger.warn(
      "Envoy is away: new TCP connections are balanced by the kernel, without what Envoy adds",
      { why },
    );
    this.#tell(false);
  }

  /** What becomes of Envoy from here on is nobody's concern: the agent ends. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#waiting.abort();
  }

  async #confirm(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const liveness = await this.#options.askLiveness(signal);
      if (signal.aborted) return;
      if (liveness !== "not-live") return void this.#back();
      await this.#sleep(ASK_INTERVAL_MS, signal);
    }
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    await new Pause(this.#timers).sleep(ms, signal);
  }

  #back(): void {
    if (this.#serving === true) return;
    const awayMs = this.#awaySinceMs === 0 ? undefined : this.#timers.now() - this.#awaySinceMs;
    this.#options.logger.info("Envoy takes connections", { awayMs });
    this.#tell(true);
  }

  #tell(serving: boolean): void {
    if (this.#serving === serving) return;
    this.#serving = serving;
    this.#options.onServing(serving);
  }
}

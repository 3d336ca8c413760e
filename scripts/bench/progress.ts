/**
 * Reads from the agent's debug log how far it is with what it was given.
 *
 * In: log lines (`--log-level=debug --log-format=json`) with the time at which they came.
 * Out: counts that only grow, and whether anything is still under way between the agent and Envoy. Pure.
 * Source of the lines: `xds/stream_report.ts`, `commands/track_programming.ts`.
 * @module
 */

/** What the agent has done since its start. */
export interface Counts {
  /** Services and slices whose changes are in the kernel, or concerned it not. */
  readonly programmed: number;
  /** Responses Envoy took. */
  readonly taken: number;
  /** Responses Envoy refused. */
  readonly refused: number;
  /** Resources in responses, those removed included. */
  readonly resourcesSent: number;
  /** Bytes of responses. */
  readonly bytesSent: number;
}

/** Follows one agent. */
export class Progress {
  readonly #outstanding = new Set<string>();
  #counts: Counts = { programmed: 0, taken: 0, refused: 0, resourcesSent: 0, bytesSent: 0 };
  #lastMs = 0;
  readonly #milestones = new Map<string, number>();

  get counts(): Counts {
    return this.#counts;
  }

  /** Responses that Envoy has not answered yet. */
  get outstanding(): number {
    return this.#outstanding.size;
  }

  /** When something counted last. */
  get lastMs(): number {
    return this.#lastMs;
  }

  /** When each message was logged for the first time. Of debug lines only those counted here. */
  get milestones(): ReadonlyMap<string, number> {
    return this.#milestones;
  }

  /** Takes a line of the log; `nowMs` is when it came. Lines that are no JSON are passed over. */
  take(line: string, nowMs: number): void {
    if (!line.startsWith("{")) return;
    const { message, level, ...fields } = JSON.parse(line) as Record<string, unknown>;
    const text = fields["resource"] === undefined ? String(message) : `${message} ${fields["resource"]}`;
    if (level !== "debug" && !this.#milestones.has(text)) this.#milestones.set(text, nowMs);
    const nonce = String(fields["nonce"]);
    switch (message) {
      case "changes are in the kernel":
        this.#add(nowMs, { programmed: Number(fields["services"]) + Number(fields["endpointSlices"]) });
        return;
      case "response sent":
        this.#outstanding.add(nonce);
        this.#add(nowMs, {
          resourcesSent: countNames(fields["resources"]) + countNames(fields["removed"]),
          bytesSent: Number(fields["bytes"]),
        });
        return;
      case "response taken":
        if (this.#outstanding.delete(nonce)) this.#add(nowMs, { taken: 1 });
        return;
      case "Envoy rejected a resource and keeps what it had":
      case "Envoy rejected a response without naming a resource":
        // One line for each resource of the response.
        if (this.#outstanding.delete(nonce)) this.#add(nowMs, { refused: 1 });
        return;
    }
  }

  #add(nowMs: number, counts: Partial<Counts>): void {
    this.#lastMs = nowMs;
    const entries = Object.entries(this.#counts) as [keyof Counts, number][];
    this.#counts = Object.fromEntries(
      entries.map(([name, count]) => [name, count + (counts[name] ?? 0)]),
    ) as unknown as Counts;
  }
}

/** `a b c`, or `a b c d e … (7)`. */
function countNames(listed: unknown): number {
  if (typeof listed !== "string") return 0;
  const total = /… \((\d+)\)$/.exec(listed)?.[1];
  return total === undefined ? listed.split(" ").length : Number(total);
}

/** The growth from one moment to a later one. */
export function growth(before: Counts, after: Counts): Counts {
  const entries = Object.entries(after) as [keyof Counts, number][];
  return Object.fromEntries(
    entries.map(([name, count]) => [name, count - before[name]]),
  ) as unknown as Counts;
}

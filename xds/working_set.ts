/**
 * The working set: which Clusters this node uses, and when each was last known to be in use.
 *
 * In: names Envoy asked for, held when it connected, or carried traffic for; the caller's clock. Out: the names a freshly
 * started Envoy is given before it listens; the text of the state file.
 *
 * Invariants: at most {@linkcode MAX_CLUSTERS} names, of which the longest unused goes first; a name not used for
 * {@linkcode KEPT_MS} is not given out and not written any more. Losing a name is never wrong: its next first connection
 * asks for it, which takes some 20 ms once, and it is in again. Names that are nobody's now stay until they expire,
 * because a Service may come back; whether a name can be sent is the store's affair.
 * @module
 */

/**
 * Each Cluster given costs a starting Envoy 0.5 to 1 ms before it listens, and 63 KB (`deno task bench warm`), so this
 * number costs a second at most. A node that uses more asks for the rest as it needs them.
 */
export const MAX_CLUSTERS = 1_000;

/** How long an unused Cluster is remembered: longer than weekends and weekly jobs. */
export const KEPT_MS = 8 * 24 * 60 * 60 * 1_000;

/** What the text of a state file is not, with the reason. */
export class WorkingSetFormatError extends Error {
  override readonly name = "WorkingSetFormatError";
}

/** See the module's comment. */
export class WorkingSet {
  /** Milliseconds since the epoch; the longest unused first. */
  readonly #usedAtMs = new Map<string, number>();

  /** How many names are kept, expired ones included. */
  get size(): number {
    return this.#usedAtMs.size;
  }

  /** These are in use now. Cost: proportional to the names. */
  used(names: Iterable<string>, nowMs: number): void {
    for (const name of names) {
      this.#usedAtMs.delete(name);
      this.#usedAtMs.set(name, nowMs);
    }
    for (const name of this.#usedAtMs.keys()) {
      if (this.#usedAtMs.size <= MAX_CLUSTERS) return;
      this.#usedAtMs.delete(name);
    }
  }

  /**
   * An Envoy holds these, whether it still uses them or not. Only those that are not known are taken in: the file was
   * lost, or they expired while Envoy went on.
   * @returns Whether there was any.
   */
  held(names: Iterable<string>, nowMs: number): boolean {
    const unknown = [...names].filter((name) => !this.#usedAtMs.has(name));
    this.used(unknown, nowMs);
    return unknown.length > 0;
  }

  /** The names to give to an Envoy that has just started, the last used first. */
  names(nowMs: number): string[] {
    return this.#kept(nowMs).map(([name]) => name).reverse();
  }

  /** The text of the state file. */
  render(nowMs: number): string {
    const clusters = this.#kept(nowMs).map(([name, usedAtMs]) => [name, new Date(usedAtMs).toISOString()]);
    const content = { format: FORMAT, version: VERSION, usedAt: Object.fromEntries(clusters) };
    return `${JSON.stringify(content, undefined, 1)}\n`;
  }

  /** Reads what {@linkcode render} wrote. @throws {WorkingSetFormatError} */
  static parse(text: string, nowMs: number): WorkingSet {
    const entries = Object.entries(parseUsedAt(text)).map(([name, usedAt]): [string, number] => {
      const usedAtMs = typeof usedAt === "string" ? Date.parse(usedAt) : NaN;
      if (Number.isNaN(usedAtMs)) throw new WorkingSetFormatError(`"${name}" has no time of its last use`);
      // A clock that was ahead must not make a name last for ever.
      return [name, Math.min(usedAtMs, nowMs)];
    });
    const set = new WorkingSet();
    for (const [name, usedAtMs] of entries.sort(([, a], [, b]) => a - b)) set.used([name], usedAtMs);
    return set;
  }

  #kept(nowMs: number): [string, number][] {
    return [...this.#usedAtMs].filter(([, usedAtMs]) => nowMs - usedAtMs < KEPT_MS);
  }
}

const FORMAT = "lightpath working set";
const VERSION = 1;

function parseUsedAt(text: string): object {
  let content: { readonly format?: unknown; readonly version?: unknown; readonly usedAt?: unknown } | null;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw new WorkingSetFormatError(error instanceof Error ? error.message : String(error));
  }
  if (content?.format !== FORMAT) throw new WorkingSetFormatError(`it is no "${FORMAT}"`);
  if (content.version !== VERSION) {
    throw new WorkingSetFormatError(
      `it has version ${JSON.stringify(content.version)}, not ${VERSION}: another Lightpath wrote it`,
    );
  }
  if (typeof content.usedAt !== "object" || content.usedAt === null) {
    throw new WorkingSetFormatError('it has no "usedAt"');
  }
  return content.usedAt;
}

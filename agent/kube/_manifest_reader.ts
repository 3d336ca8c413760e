/**
 * Reads manifest files, and decides when a file that is gone or empty may be believed to be.
 *
 * In: paths. Out: parsed files. Remembers what each file looked like, so that a change without an event is found.
 * Invariants: an editor that removes and writes, or a shell that truncates and writes, never makes objects vanish: a
 * file that had been read before must stay away or empty for `confirmMs`.
 * @module
 */
import { type ManifestFile, parseManifestFile } from "./manifest_file.ts";

/** One source's files. */
export class ManifestReader {
  readonly #confirmMs: number;
  /** What a file looked like when it was read last. */
  readonly #identities = new Map<string, string>();
  /** Files that are gone or empty, and since when (performance.now). */
  readonly #suspects = new Map<string, number>();

  constructor(confirmMs: number) {
    this.#confirmMs = confirmMs;
  }

  /** Reads one file; undefined: it is gone; `wait`: not to be believed yet, read it again later. */
  async read(file: string): Promise<ManifestFile | "wait" | undefined> {
    const identity = await identityOf(file);
    try {
      const text = await Deno.readTextFile(file);
      if (text.trim() === "" && this.#isSuspect(file)) return "wait";
      this.#suspects.delete(file);
      this.#identities.set(file, identity);
      return parseManifestFile(file, text);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) {
        if (this.#isSuspect(file)) return "wait";
        this.#suspects.delete(file);
        this.#identities.delete(file);
        return undefined;
      }
      this.#identities.set(file, identity);
      const why = error instanceof Error ? error.message : String(error);
      const reason = `cannot be read, so what it held before stays: ${why}`;
      return { objects: undefined, problems: [{ file, line: 0, reason }] };
    }
  }

  /** True when the file looks other than when it was read last, or was never read. */
  async hasChanged(file: string): Promise<boolean> {
    return await identityOf(file) !== this.#identities.get(file);
  }

  /** Files that answered `wait`. */
  suspects(): string[] {
    return [...this.#suspects.keys()];
  }

  /** Milliseconds until the first of them may be believed; Infinity when there is none. */
  nextConfirmationMs(): number {
    const since = Math.min(...this.#suspects.values());
    return Math.max(0, since + this.#confirmMs - performance.now());
  }

  #isSuspect(file: string): boolean {
    if (!this.#identities.has(file)) return false;
    const since = this.#suspects.get(file) ?? performance.now();
    this.#suspects.set(file, since);
    return performance.now() - since < this.#confirmMs;
  }
}

async function identityOf(file: string): Promise<string> {
  try {
    const { dev, ino, size, mtime } = await Deno.stat(file);
    return `${dev}:${ino}:${size}:${mtime?.getTime()}`;
  } catch {
    // Gone or unreadable; reading it will say which.
    return "";
  }
}

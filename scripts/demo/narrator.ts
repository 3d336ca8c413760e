/**
 * What the demo says, and whether what it says is true.
 *
 * In: headings, explanations, and claims with the figures that bear them out or do not.
 * Out: text for people, and at the end the number of claims that did not hold.
 * @module
 */

/** Tells the demo's story; see the module's comment. */
export class Narrator {
  readonly #write: (text: string) => void;
  #chapter = 0;
  #held = 0;
  readonly #broken: string[] = [];

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** Begins a numbered part. */
  chapter(title: string): void {
    this.#write(`\n${++this.#chapter}. ${title}\n`);
  }

  /** A sentence, or the lines of some output. */
  say(text: string): void {
    this.#write(text.split("\n").map((line) => `   ${line}`.trimEnd() + "\n").join(""));
  }

  /** Something that has to be so, in words that hold the figures. */
  claim(holds: boolean, text: string): void {
    if (holds) this.#held++;
    else this.#broken.push(text);
    this.#write(`   ${holds ? "✓" : "✗ NOT SO:"} ${text}\n`);
  }

  /** The last words. @returns Whether every claim held. */
  conclude(): boolean {
    const ok = this.#broken.length === 0;
    this.#write(
      ok
        ? `\nAll ${this.#held} claims held.\n`
        : `\n${this.#broken.length} of ${this.#held + this.#broken.length} claims did not hold:\n` +
          this.#broken.map((text) => `   ✗ ${text}\n`).join(""),
    );
    return ok;
  }
}

/** `1.2 ms`, `12 ms`, `1.4 s`. */
export function duration(ms: number): string {
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)} s`;
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

/** `pod-1 12, pod-2 9`. */
export function counts(byName: Readonly<Record<string, number>>): string {
  const entries = Object.entries(byName);
  return entries.length === 0 ? "none" : entries.map(([name, count]) => `${name} ${count}`).join(", ");
}

/**
 * Tells that somebody else has deleted, replaced or emptied our table, or changed its rules: `nft flush ruleset`, a firewall that is
 * started again, a saved ruleset that is loaded.
 *
 * In: a `TableSense`, the layout. Out: what is wrong, in words, as long as nobody has mended it. Elements of sets are not looked at:
 * there may be 100,000 of them, and who changes them has read what they are.
 *
 * The kernel counts transactions. While that number stays, nothing has happened and nothing more is asked (0.02 ms). When it does not, of
 * whomever the transaction was, the table's number is asked for, by which one that is gone is noticed, and one that was saved and loaded again, with
 * the elements of then. And the rules are read, which carry hashes of their texts, but not at each look: that takes 2 ms, and where
 * Services change all the time there is another transaction each time.
 *
 * Why to look and not to listen (NFNLGRP_NFTABLES): who listens has the kernel write a message for each element that is changed, ours too.
 * Why not to own the table (NFT_TABLE_F_OWNER), which keeps others from it: nft, which does the rare part here, is another then.
 * @module
 */

import { type Layout, layoutFingerprint } from "./layout.ts";
import { RedirectError } from "./redirect_error.ts";

/** How many looks there are at least from one reading of the rules to the next. */
const LOOKS_PER_READING = 8;

/** What can be asked of the kernel at little cost. Each throws `RedirectError` and nothing else. */
export interface TableSense {
  /** The number of the last transaction in this network namespace, whoever made it. */
  generation(): Promise<number>;
  /** The number of our table; undefined: there is none. */
  handle(): Promise<bigint | undefined>;
  /** Its rules as lines of `layoutFingerprint`, chain by chain; undefined where they were changed while they were read. */
  rules(): Promise<readonly string[] | undefined>;
}

/** See the module's comment. */
export class TableWatch {
  readonly #sense: TableSense;
  readonly #wanted: ReadonlySet<string>;
  /** Undefined: the next table that has our rules is ours. */
  #handle: bigint | undefined;
  /** At which all was as it should be. */
  #generation: number | undefined;
  /** Since the rules were read. */
  #looks = LOOKS_PER_READING;

  constructor(sense: TableSense, layout: Layout) {
    this.#sense = sense;
    this.#wanted = new Set(layoutFingerprint(layout).filter((line) => line.startsWith("rule ")));
  }

  /** To be called before the table is read for a comparison: if it turns out to be ours, it is this one. */
  async note(): Promise<void> {
    this.replaced();
    try {
      this.#handle = await this.#sense.handle();
    } catch (error) {
      // The next look will say why.
      if (!(error instanceof RedirectError)) throw error;
    }
  }

  /** To be called when the table was replaced by us. */
  replaced(): void {
    this.#looks = LOOKS_PER_READING;
    this.#generation = undefined;
    this.#handle = undefined;
  }

  /** What is wrong; undefined: nothing that can be seen so. @throws {RedirectError} */
  async look(): Promise<string | undefined> {
    this.#looks++;
    const generation = await this.#sense.generation();
    if (generation === this.#generation) return undefined;
    const handle = await this.#sense.handle();
    if (handle === undefined) return "the table is gone";
    if (this.#handle !== undefined && handle !== this.#handle) return "the table is another one";
    if (this.#looks < LOOKS_PER_READING) return undefined;
    const rules = await this.#sense.rules();
    // Somebody is at work: the next look will see what came of it.
    if (rules === undefined) return undefined;
    const isOurs = rules.length === this.#wanted.size && rules.every((rule) => this.#wanted.has(rule));
    if (!isOurs) return this.#difference(rules);
    this.#handle = handle;
    this.#generation = generation;
    this.#looks = 0;
    return undefined;
  }

  #difference(rules: readonly string[]): string {
    const found = new Set(rules);
    const [missing] = this.#wanted.difference(found);
    const [strange] = found.difference(this.#wanted);
    return missing === undefined ? `unexpected: ${strange}` : `missing: ${missing}`;
  }
}

/**
 * Decides by what changes of elements are written: by a writer of their own as long as it proves right, else by nft.
 *
 * In: PlanDeltas, none of them empty. Out: transactions, or a `RedirectError`.
 * Invariants: what is too large for the writer, or has elements that it does not take, is nft's. What the writer refuses and nft takes is the writer's fault; after several
 * faults it is not used any more, and that is logged once. Nothing is written twice whose fate is unknown.
 * @module
 */

import type { Logger } from "../agent/log.ts";
import type { ElementContainer } from "./containers.ts";
import type { PlanDelta } from "./diff.ts";
import { halveScript, renderDelta } from "./nft_script.ts";
import type { Nft } from "./nft.ts";
import type { PlanElement } from "./plan.ts";
import { RedirectError } from "./redirect_error.ts";

/** Writes changes of elements into the table; `netlink/netlink_elements.ts`. */
export interface ElementWriter {
  /** Whether it can write elements of this container. */
  takes(container: ElementContainer): boolean;
  /**
   * Makes a change of such elements, which is not empty, as one transaction. When it throws (other than with kind `unknown`), nothing was changed.
   * @throws {RedirectError}
   */
  write(delta: PlanDelta): Promise<void>;
}

/** What is better than nft, and who is told when it is not. */
export interface PreferredWriter {
  readonly writer: ElementWriter;
  readonly logger: Logger;
}

/** Faults, without `PROVEN` changes in between, after which the writer is not used any more. */
const MOST_FAULTS = 3;
const PROVEN = 100;

/** See the module's comment. */
export class ElementRoute {
  readonly #nft: Nft;
  #preferred: PreferredWriter | undefined;
  #faults = 0;
  #written = 0;

  /** @param preferred Undefined: nft writes all. */
  constructor(nft: Nft, preferred?: PreferredWriter) {
    this.#nft = nft;
    this.#preferred = preferred;
  }

  /** Whether elements of a container are written faster when they are no part of a script for nft. */
  prefers(container: ElementContainer): boolean {
    return this.#preferred !== undefined && this.#preferred.writer.takes(container);
  }

  /** Makes a change as one transaction. @throws {RedirectError} */
  async write(delta: PlanDelta): Promise<void> {
    const { done, refusal } = await this.#try(delta);
    if (done) return;
    if (refusal !== undefined && refusal.kind !== "too-large") throw refusal;
    await this.#nft.apply(renderDelta(delta));
  }

  /**
   * The same, but where the kernel takes none of this size, as several transactions; and what the writer refuses is
   * asked of nft again, whose word counts. Returns the number of transactions.
   * @throws {RedirectError}
   */
  async writeSomehow(delta: PlanDelta): Promise<number> {
    const { done, refusal } = await this.#try(delta);
    if (done) return 1;
    if (refusal !== undefined && refusal.kind !== "too-large" && refusal.kind !== "other") throw refusal;
    const transactions = await applyInParts(this.#nft, renderDelta(delta));
    if (refusal?.kind === "other") this.#failed(refusal);
    return transactions;
  }

  /** Lets the writer make a change, if there is one and it can. */
  async #try(delta: PlanDelta): Promise<{ readonly done: boolean; readonly refusal?: RedirectError }> {
    const isPreferred = ({ container }: PlanElement): boolean => this.prefers(container);
    if (this.#preferred === undefined || !delta.delete.every(isPreferred) || !delta.add.every(isPreferred)) {
      return { done: false };
    }
    try {
      await this.#preferred.writer.write(delta);
    } catch (error) {
      if (!(error instanceof RedirectError)) throw error;
      if (error.kind === "unknown") this.#failed(error);
      return { done: false, refusal: error };
    }
    if (++this.#written >= PROVEN) this.#faults = 0;
    return { done: true };
  }

  #failed(error: RedirectError): void {
    this.#written = 0;
    if (++this.#faults < MOST_FAULTS) return;
    this.#preferred?.logger.warn("nft writes all changes from now on, which takes longer", {
      reason: error.message,
      line: error.line,
    });
    this.#preferred = undefined;
  }
}

/**
 * Applies a script as one transaction, or, where the kernel takes none of this size, as several. Then a failure may
 * leave the first of them in effect, and an element whose value changes may be missing for an instant.
 * Returns the number of transactions.
 */
export async function applyInParts(nft: Nft, script: string): Promise<number> {
  try {
    await nft.apply(script);
    return 1;
  } catch (error) {
    if (!(error instanceof RedirectError) || error.kind !== "too-large") throw error;
    const halves = halveScript(script);
    if (halves === undefined) throw error;
    return await applyInParts(nft, halves[0]) + await applyInParts(nft, halves[1]);
  }
}

/**
 * Brings the kernel's table to the plan, whatever it holds, in at most one transaction where the
 * kernel takes it as one; and removes the table.
 *
 * In: an `Nft`, the layout, and the plan as a callback that is asked after the table was read (so that nothing that
 * changed meanwhile is missed). Out: what was different. Throws `RedirectError`.
 * Invariants: equal table, no write; equal layout, element differences only; otherwise the table is replaced as a whole
 * in one transaction, without a moment between. One element that the kernel refuses does not keep out the others.
 * Cost: that of the table's size; never on the way of a single change.
 * @module
 */

import type { Reconciliation, RefusedElement } from "./backend.ts";
import { diffPlans, elementId, isEmptyDelta } from "./diff.ts";
import { type Layout, layoutFingerprint } from "./layout.ts";
import { halveScript, renderCleanup, renderDelta, renderProbe, renderReplacement } from "./nft_script.ts";
import type { Nft } from "./nft.ts";
import { RedirectError } from "./redirect_error.ts";
import { type KernelTable, parseRuleset } from "./parse_ruleset.ts";
import type { PlanElement } from "./plan.ts";

/** What a reconciliation needs. */
export interface ReconcileOptions {
  readonly nft: Nft;
  readonly layout: Layout;
  /** Reads the table; undefined when there is none. @default readTable */
  readonly read?: () => Promise<KernelTable | undefined>;
  /** The elements wanted now. Called once, after the table was read. */
  readonly plan: () => Iterable<PlanElement>;
}

/** What differs between the layout wanted and the one found, for people. */
function layoutDifferences(wanted: readonly string[], found: readonly string[]): string[] {
  const wantedLines = new Set(wanted);
  const foundLines = new Set(found);
  return [
    ...wanted.filter((line) => !foundLines.has(line)).map((line) => `missing: ${line}`),
    ...found.filter((line) => !wantedLines.has(line)).map((line) => `unexpected: ${line}`),
  ];
}

/**
 * Finds the elements that make the kernel refuse a script, by checking halves of them: about `2 log2(n)` checks for each.
 * Returns undefined when the script is refused without any of them, so that none is to blame.
 */
async function findRefused(
  elements: readonly PlanElement[],
  check: (part: readonly PlanElement[]) => Promise<void>,
): Promise<RefusedElement[] | undefined> {
  async function refusal(part: readonly PlanElement[]): Promise<RedirectError | undefined> {
    try {
      await check(part);
      return undefined;
    } catch (error) {
      if (error instanceof RedirectError) return error;
      throw error;
    }
  }
  async function search(part: readonly PlanElement[]): Promise<RefusedElement[]> {
    const error = await refusal(part);
    if (error === undefined) return [];
    const [element] = part;
    if (part.length === 1 && element !== undefined) return [{ element, error }];
    const middle = part.length >> 1;
    return [...await search(part.slice(0, middle)), ...await search(part.slice(middle))];
  }
  return await refusal([]) === undefined ? await search(elements) : undefined;
}

/** What `applyTolerant` did: the elements that are in, those that are not, and how many transactions it took. */
interface TolerantResult {
  readonly add: readonly PlanElement[];
  readonly refused: readonly RefusedElement[];
  readonly transactions: number;
}

/**
 * Applies a script as one transaction, or, where the kernel takes none of this size, as several. Then a failure may
 * leave the first of them in effect, and an element whose value changes may be missing for an instant.
 * Returns the number of transactions.
 */
async function applyInParts(nft: Nft, script: string): Promise<number> {
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

/** Applies `render(elements)`; where the kernel refuses values, without those. */
async function applyTolerant(
  nft: Nft,
  elements: readonly PlanElement[],
  render: (elements: readonly PlanElement[]) => string,
): Promise<TolerantResult> {
  try {
    return { add: elements, refused: [], transactions: await applyInParts(nft, render(elements)) };
  } catch (error) {
    // Any other kind has its cause outside of the elements.
    if (!(error instanceof RedirectError) || error.kind !== "other") throw error;
    const refused = await findRefused(elements, (part) => nft.check(render(part)));
    if (refused === undefined || refused.length === 0) throw error;
    const ids = new Set(refused.map(({ element }) => elementId(element)));
    const add = elements.filter((element) => !ids.has(elementId(element)));
    const script = render(add);
    // Where only refused elements differed, there is nothing to do but to say so.
    if (script === "") return { add, refused, transactions: 0 };
    return { add, refused, transactions: await applyInParts(nft, script) };
  }
}

/** The table as the kernel holds it; undefined when there is none. Throws `RedirectError`. */
export async function readTable(nft: Nft): Promise<KernelTable | undefined> {
  const listing = await nft.list();
  return listing === undefined ? undefined : parseRuleset(listing);
}

/** Reads the table once and applies the differences. */
export async function reconcile(options: ReconcileOptions): Promise<Reconciliation> {
  const { nft, layout, plan, read = () => readTable(nft) } = options;
  const kernel = await read();
  const differences = kernel === undefined
    ? ["missing: the table"]
    : layoutDifferences(layoutFingerprint(layout), kernel.layout);
  if (kernel === undefined || differences.length > 0) {
    const wanted = diffPlans([], plan()).add;
    const done = await applyTolerant(nft, wanted, (add) => renderReplacement(layout, add));
    return { ...done, delete: [], layoutDifferences: differences };
  }
  const delta = diffPlans(kernel.elements, plan());
  if (isEmptyDelta(delta)) return { ...delta, refused: [], transactions: 0, layoutDifferences: [] };
  const done = await applyTolerant(nft, delta.add, (add) => renderDelta({ delete: delta.delete, add }));
  return { ...done, delete: delta.delete, layoutDifferences: [] };
}

/**
 * Finds out whether the kernel takes the layout, with all that it asks of it, without changing or reading anything (a full table
 * takes 0.4 s to read at 10,000 Services).
 * @throws {RedirectError}
 */
export async function probeNft(nft: Nft, layout: Layout): Promise<void> {
  await nft.check(renderProbe(layout));
}

/** Removes our table and nothing else; no error when it is absent. Throws `RedirectError`. */
export async function cleanup(nft: Nft): Promise<void> {
  await nft.apply(renderCleanup());
}

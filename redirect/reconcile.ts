/**
 * Brings the kernel's table to the plan, whatever it holds, in at most one transaction where the
 * kernel takes it as one; and removes the table.
 *
 * In: an `Nft`, the layout, and the plan as a callback that is asked after the table was read (so that nothing that
 * changed meanwhile is missed). Out: what was different. Throws `RedirectError`.
 * Invariants: equal table, no write; equal layout, element differences only; otherwise the table is replaced as a whole
 * in one transaction, without a moment between (but a table that is missing is made by one and filled by the next,
 * where that is faster). One element that the kernel refuses does not keep out the others.
 * Cost: that of the table's size; never on the way of a single change.
 * @module
 */

import type { Reconciliation, RefusedElement } from "./backend.ts";
import { compareElements, diffPlans, elementId, isEmptyDelta, type PlanDelta } from "./diff.ts";
import { applyInParts, ElementRoute } from "./element_route.ts";
import { type Layout, layoutFingerprint } from "./layout.ts";
import { renderCleanup, renderDelta, renderProbe, renderReplacement } from "./nft_script.ts";
import type { Nft } from "./nft.ts";
import { RedirectError } from "./redirect_error.ts";
import { type KernelTable, parseRuleset } from "./parse_ruleset.ts";
import type { PlanElement } from "./plan.ts";

/** What a reconciliation needs. */
export interface ReconcileOptions {
  readonly nft: Nft;
  /** By what elements are written where the layout is as it should be. @default nft */
  readonly elements?: ElementRoute;
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

/** What `writeTolerant` did: the elements that are in, those that are not, and how many transactions it took. */
interface TolerantResult {
  readonly add: readonly PlanElement[];
  readonly refused: readonly RefusedElement[];
  readonly transactions: number;
}

/** How elements get into the kernel. */
interface Way {
  /** Writes these, and returns how many transactions that took. */
  readonly write: (elements: readonly PlanElement[]) => Promise<number>;
  /** The same as a script for nft, by which those are found that are refused; empty text when there is nothing to do. */
  readonly render: (elements: readonly PlanElement[]) => string;
}

/** Writes elements; where the kernel refuses values, without those. */
async function writeTolerant(nft: Nft, elements: readonly PlanElement[], way: Way): Promise<TolerantResult> {
  try {
    return { add: elements, refused: [], transactions: await way.write(elements) };
  } catch (error) {
    // Any other kind has its cause outside of the elements.
    if (!(error instanceof RedirectError) || error.kind !== "other") throw error;
    const refused = await findRefused(elements, (part) => nft.check(way.render(part)));
    if (refused === undefined || refused.length === 0) throw error;
    const ids = new Set(refused.map(({ element }) => elementId(element)));
    const add = elements.filter((element) => !ids.has(elementId(element)));
    // Where only refused elements differed, there is nothing to do but to say so.
    return { add, refused, transactions: way.render(add) === "" ? 0 : await way.write(add) };
  }
}

/** The table as the kernel holds it; undefined when there is none. Throws `RedirectError`. */
export async function readTable(nft: Nft): Promise<KernelTable | undefined> {
  const listing = await nft.list();
  return listing === undefined ? undefined : parseRuleset(listing);
}

/** Reads the table once and applies the differences. */
export async function reconcile(options: ReconcileOptions): Promise<Reconciliation> {
  const { nft, layout, plan } = options;
  const { elements = new ElementRoute(nft), read = () => readTable(nft) } = options;
  const kernel = await read();
  const differences = kernel === undefined
    ? ["missing: the table"]
    : layoutDifferences(layoutFingerprint(layout), kernel.layout);
  const change = (delta: PlanDelta): Promise<TolerantResult> => {
    const render = (add: readonly PlanElement[]): string => renderDelta({ delete: delta.delete, add });
    const write = (add: readonly PlanElement[]): Promise<number> =>
      elements.writeSomehow({ delete: delta.delete, add });
    return writeTolerant(nft, delta.add, { render, write });
  };
  if (kernel === undefined || differences.length > 0) {
    const wanted = diffPlans([], plan()).add;
    // A table without all its elements is better than none, but not than another one, which has its own.
    const isLater = ({ container }: PlanElement): boolean =>
      kernel === undefined && elements.prefers(container);
    const later = wanted.filter(isLater);
    const render = (add: readonly PlanElement[]): string => renderReplacement(layout, add);
    const write = (add: readonly PlanElement[]): Promise<number> => applyInParts(nft, render(add));
    const made = await writeTolerant(nft, wanted.filter((element) => !isLater(element)), { render, write });
    const done = later.length === 0 ? made : together(made, await change({ delete: [], add: later }));
    return { ...done, delete: [], layoutDifferences: differences };
  }
  const delta = diffPlans(kernel.elements, plan());
  if (isEmptyDelta(delta)) return { ...delta, refused: [], transactions: 0, layoutDifferences: [] };
  return { ...await change(delta), delete: delta.delete, layoutDifferences: [] };
}

function together(first: TolerantResult, second: TolerantResult): TolerantResult {
  return {
    add: [...first.add, ...second.add].sort(compareElements),
    refused: [...first.refused, ...second.refused],
    transactions: first.transactions + second.transactions,
  };
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

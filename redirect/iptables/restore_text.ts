/**
 * Renders changes as text for `ipset restore` and `iptables-restore --noflush`.
 *
 * In: entries of sets; chains with their rules. Out: text. Pure. One text for iptables is one step for each of its tables.
 * Source: iptables-restore(8), ipset(8).
 * @module
 */

import { commentedRule, type LayoutChain, type Table, TABLES } from "./chains.ts";
import type { SetEntry, SetShape } from "./sets.ts";

/** What is to be done in a table. */
export interface TableChanges {
  readonly write: ReadonlyMap<string, readonly string[]>;
  readonly remove: readonly string[];
  /** Rules as they are to be given, behind `-A CHAIN` and the like, e.g. `-D INPUT …`. */
  readonly statements?: readonly string[];
}

/** The text for one table; empty when there is nothing to do. */
export function renderTable(table: Table, { write, remove, statements = [] }: TableChanges): string {
  if (write.size === 0 && remove.length === 0 && statements.length === 0) return "";
  const lines = [`*${table}`];
  // To declare a chain makes it, or empties it: what is removed must be empty. In order, because iptables-nft looks for the place
  // of each from the end of a list: 10,000 in any order took six times as long.
  for (const name of [...write.keys(), ...remove].sort()) lines.push(`:${name} - [0:0]`);
  for (const [name, rules] of write) for (const rule of rules) lines.push(`-A ${name} ${rule}`);
  lines.push(...statements);
  for (const name of remove) lines.push(`-X ${name}`);
  lines.push("COMMIT");
  return `${lines.join("\n")}\n`;
}

/** The constant chains of a table, as it is to write them; and the rules in front of the kernel's own chains. */
export function layoutChanges(
  table: Table,
  layout: readonly LayoutChain[],
): { readonly write: Map<string, readonly string[]>; readonly insertions: readonly string[] } {
  const write = new Map<string, readonly string[]>();
  const insertions: string[] = [];
  for (const { name, rules, isKernels, ...chain } of layout) {
    if (chain.table !== table) continue;
    const texts = rules.map((rule) => commentedRule(name, rule));
    if (isKernels) texts.forEach((text, index) => insertions.push(`-I ${name} ${index + 1} ${text}`));
    else write.set(name, texts);
  }
  return { write, insertions };
}

/** The text for all tables. */
export function renderTables(changes: (table: Table) => TableChanges): string {
  return TABLES.map((table) => renderTable(table, changes(table))).join("");
}

/** The text that makes sets. */
export function renderSets(sets: readonly SetShape[]): string {
  return sets.map(({ name, type }) => `create ${name} ${type}\n`).join("");
}

/** The text that changes entries: what comes before what goes. */
export function renderEntries(
  { add, remove }: { readonly add: readonly SetEntry[]; readonly remove: readonly SetEntry[] },
): string {
  return [
    ...add.map(({ set, entry }) => `add ${set} ${entry}\n`),
    ...remove.map(({ set, entry }) => `del ${set} ${entry}\n`),
  ].join("");
}

/**
 * Reads what `iptables-save` and `ipset save` print, as far as it is ours.
 *
 * In: text. Out: chains with their rules, rules of others' chains that lead to ours, sets with their entries. Pure.
 * Source: iptables-save(8), ipset(8).
 * @module
 */

import { parseIPAddress } from "../../agent/model/mod.ts";
import { CHAIN_PREFIX, type Table, TABLES } from "./chains.ts";
import { SET_PREFIX } from "./sets.ts";

/** A table, as far as it is ours. */
export interface SavedTable {
  /** Our chains, with their rules without `-A CHAIN`. */
  readonly chains: Map<string, string[]>;
  /** Rules of other chains that lead to ours, or that carry our comment: `CHAIN RULE`. */
  readonly hooks: { readonly chain: string; readonly rule: string }[];
}

/** Both tables of a family. */
export type SavedTables = Readonly<Record<Table, SavedTable>>;

/** A rule as the kernel was given it: without what versions print differently. */
function canonicalRule(rule: string): string {
  return rule.replace(
    /--probability (\d\.\d+)/,
    (_, text: string) => `--probability ${(Math.round(Number(text) * 2 ** 31) / 2 ** 31).toFixed(11)}`,
  );
}

/** Reads `iptables-save`; tables that it does not print are empty. */
export function parseTables(text: string): SavedTables {
  const tables: SavedTables = {
    nat: { chains: new Map(), hooks: [] },
    filter: { chains: new Map(), hooks: [] },
  };
  let table: SavedTable | undefined;
  for (const line of text.split("\n")) {
    if (line.startsWith("*")) {
      const name = line.slice(1) as Table;
      table = TABLES.includes(name) ? tables[name] : undefined;
    } else if (table === undefined) continue;
    else if (line.startsWith(`:${CHAIN_PREFIX}`)) {
      table.chains.set(line.slice(1, line.indexOf(" ")), []);
    } else if (line.startsWith("-A ")) {
      const end = line.indexOf(" ", 3);
      const chain = line.slice(3, end);
      const rule = line.slice(end + 1);
      const ours = table.chains.get(chain);
      if (ours !== undefined) ours.push(canonicalRule(rule));
      else if (/ -[jg] LIGHTPATH| --comment "Lightpath: |^-[jg] LIGHTPATH/.test(rule)) {
        table.hooks.push({ chain, rule });
      }
    }
  }
  return tables;
}

/** A set as it was found. */
export interface SavedSet {
  /** Type and family, and what else is ours to say, e.g. `hash:ip,port family inet`. */
  readonly type: string;
  readonly entries: string[];
}

/** Options of sets that are ours to say; others are the kernel's own affair. */
const TOLD_OPTIONS: ReadonlySet<string> = new Set(["family", "range", "netmask", "timeout", "maxelem"]);

/** A set's type without what nobody chose. */
export function canonicalType(type: string): string {
  const [kind = "", ...words] = type.split(" ");
  const options: string[] = [];
  for (let index = 0; index < words.length; index += 2) {
    const [name = "", value = ""] = words.slice(index, index + 2);
    if (TOLD_OPTIONS.has(name) && !(name === "maxelem" && value === "65536")) {
      options.push(`${name} ${value}`);
    }
  }
  return [kind, ...options.sort()].join(" ");
}

/** Addresses as a plan writes them: the C library prints `::10.0.0.1` where RFC 5952 has `::a00:1`. */
function canonicalEntry(entry: string): string {
  if (!entry.includes("::") || !entry.includes(".")) return entry;
  return entry.replace(/[0-9a-f:]*:[\d.]+\.\d+/g, (address) => {
    const [, head = "", a, b, c, d] = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address) ?? [];
    const group = (high = "0", low = "0"): string => (Number(high) * 256 + Number(low)).toString(16);
    return parseIPAddress(`${head}${group(a, b)}:${group(c, d)}`)?.address ?? address;
  });
}

/** Reads `ipset save`: our sets by name. */
export function parseSets(text: string): Map<string, SavedSet> {
  const sets = new Map<string, SavedSet>();
  for (const line of text.split("\n")) {
    const [verb, name = "", ...rest] = line.split(" ");
    if (!name.startsWith(SET_PREFIX)) continue;
    if (verb === "create") sets.set(name, { type: canonicalType(rest.join(" ")), entries: [] });
    else if (verb === "add") sets.get(name)?.entries.push(canonicalEntry(rest[0] ?? ""));
  }
  return sets;
}

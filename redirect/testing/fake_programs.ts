/**
 * `Programs` in memory: takes what the iptables backend writes, refuses what the kernel would refuse of that, and prints it back.
 * @module
 */

import type { FamilySuffix } from "../containers.ts";
import type { Programs } from "../iptables/programs.ts";
import { RedirectError } from "../redirect_error.ts";

/** Rules by chain, by table. */
type Tables = Map<string, Map<string, string[]>>;

const BUILT_IN: Readonly<Record<string, readonly string[]>> = {
  nat: ["PREROUTING", "OUTPUT", "POSTROUTING"],
  filter: ["INPUT", "FORWARD", "OUTPUT"],
};

function emptyTables(): Tables {
  return new Map(
    Object.entries(BUILT_IN).map(([table, chains]) => [table, new Map(chains.map((name) => [name, []]))]),
  );
}

function refuse(line: string): never {
  throw new RedirectError(`refused: ${line}`, { kind: "other", line });
}

/** See the module's comment. */
export class FakePrograms implements Programs {
  readonly name = "fake";
  readonly tables: Record<FamilySuffix, Tables> = { "4": emptyTables(), "6": emptyTables() };
  /** Type and entries, by name. */
  readonly sets = new Map<string, { readonly type: string; readonly entries: Set<string> }>();
  /** What was written, in order: the first word of each text is its program. */
  readonly written: string[] = [];

  saveTables(family: FamilySuffix): Promise<string> {
    const lines: string[] = [];
    for (const [table, chains] of this.tables[family]) {
      lines.push(`*${table}`);
      for (const name of chains.keys()) lines.push(`:${name} - [0:0]`);
      for (const [name, rules] of chains) for (const rule of rules) lines.push(`-A ${name} ${rule}`);
      lines.push("COMMIT");
    }
    return Promise.resolve(`${lines.join("\n")}\n`);
  }

  restoreTables(family: FamilySuffix, text: string): Promise<void> {
    this.written.push(`iptables-${family} ${text}`);
    for (const part of text.split("COMMIT\n").filter((one) => one !== "")) this.#restoreTable(family, part);
    return Promise.resolve();
  }

  checkTables(): Promise<void> {
    return Promise.resolve();
  }

  showChain(family: FamilySuffix, table: string, chain: string): Promise<string> {
    const rules = this.tables[family].get(table)?.get(chain) ?? [];
    return Promise.resolve([`-P ${chain} ACCEPT`, ...rules.map((rule) => `-A ${chain} ${rule}`)].join("\n"));
  }

  saveSets(): Promise<string> {
    return Promise.resolve(
      [...this.sets].map(([name, { type, entries }]) =>
        `create ${name} ${type} hashsize 1024 bucketsize 12 initval 0x1\n` +
        [...entries].map((entry) => `add ${name} ${entry}\n`).join("")
      ).join(""),
    );
  }

  restoreSets(text: string): Promise<void> {
    this.written.push(`ipset ${text}`);
    for (const line of text.split("\n")) {
      const [verb = "", name = "", ...rest] = line.split(" ");
      if (verb === "") continue;
      const set = this.sets.get(name);
      if (verb === "create") {
        if (set === undefined) this.sets.set(name, { type: rest.join(" "), entries: new Set() });
        else if (set.type !== rest.join(" ")) refuse(line);
      } else if (set === undefined) refuse(line);
      else if (verb === "add") set.entries.add(rest[0] ?? "");
      else if (verb === "del") set.entries.delete(rest[0] ?? "");
      else if (verb === "flush") set.entries.clear();
      else if (verb === "destroy" && !this.#isReferredTo(name)) this.sets.delete(name);
      else refuse(line);
    }
    return Promise.resolve();
  }

  #restoreTable(family: FamilySuffix, text: string): void {
    const [first = "", ...lines] = text.split("\n");
    const before = this.tables[family].get(first.slice(1)) ?? refuse(first);
    const chains = new Map([...before].map(([name, rules]) => [name, [...rules]]));
    for (const line of lines) {
      const [verb = "", name = "", ...rest] = line.split(" ");
      const rules = chains.get(name);
      const rule = rest.join(" ");
      if (verb.startsWith(":")) chains.set(verb.slice(1), []);
      else if (verb === "") continue;
      else if (rules === undefined) refuse(line);
      else if (verb === "-A") rules.push(rule);
      else if (verb === "-I") rules.splice(Number(rest[0]) - 1, 0, rest.slice(1).join(" "));
      else if (verb === "-D" && rules.includes(rule)) rules.splice(rules.indexOf(rule), 1);
      else if (verb === "-X" && rules.length === 0) chains.delete(name);
      else refuse(line);
    }
    for (const [name, rules] of chains) {
      for (const rule of rules) {
        const target = / -[jg] (LIGHTPATH\S*)/.exec(` ${rule}`)?.[1];
        if (target !== undefined && !chains.has(target)) refuse(`${name} leads to ${target}`);
        for (const [, set = ""] of rule.matchAll(/(?:--match-set|--add-set) (\S+)/g)) {
          if (!this.sets.has(set)) refuse(`${name} asks ${set}`);
        }
      }
    }
    this.tables[family].set(first.slice(1), chains);
  }

  #isReferredTo(set: string): boolean {
    return Object.values(this.tables).some((tables) =>
      [...tables.values()].some((chains) =>
        [...chains.values()].some((rules) => rules.some((rule) => rule.includes(` ${set} `)))
      )
    );
  }
}

/**
 * ipsets and chains of iptables as a backend.
 *
 * In: `Programs`, the families served, Envoy's ports, a mark. The sets are `sets.ts`, the constant chains `layout.ts`, the others
 * `chain_plan.ts`.
 *
 * The kernel takes sets and tables one by one, so a change is up to three steps, in an order in which nothing points to what is
 * not there: chains that come or change, then the sets' entries, then chains that go. Most changes are one of the three.
 * @module
 */

import type { Reconciliation, RedirectBackend, RefusedElement } from "../backend.ts";
import { DEFAULT_MARK_MASK, type IPFamily, marksOf } from "../../agent/model/mod.ts";
import type { EnvoyPorts, LayoutOptions as NodeOptions } from "../chains.ts";
import type { FamilySuffix } from "../containers.ts";
import { diffPlans, elementId, isEmptyDelta, type PlanDelta } from "../diff.ts";
import type { PlanElement } from "../plan.ts";
import { RedirectError } from "../redirect_error.ts";
import { blamedElements } from "./blame.ts";
import { type ChainChanges, ChainPlan } from "./chain_plan.ts";
import { ruleComment, type Table, TABLES } from "./chains.ts";
import { heldDelta, heldPlan } from "./elements.ts";
import { findFamily, type FoundFamily } from "./found.ts";
import { createLayout, type LayoutOptions } from "./layout.ts";
import { canonicalType, parseSets, parseTables, type SavedSet, type SavedTables } from "./parse_saved.ts";
import type { Programs } from "./programs.ts";
import { layoutChanges, renderEntries, renderSets, renderTable, type TableChanges } from "./restore_text.ts";
import { entriesOf, familySet, SET_PREFIX, type SetEntry, setsOf, vipEndpointEntry } from "./sets.ts";

/** What `createIptablesBackend` needs. */
export interface IptablesBackendOptions {
  readonly programs: Programs;
  /** The families served; nothing is written for others. */
  readonly families: readonly FamilySuffix[];
  readonly ports: EnvoyPorts;
  /** What all pods' addresses are in. @default nobody is known to be a pod */
  readonly clusterCIDRs?: NodeOptions["clusterCIDRs"];
  /** Bits that nobody else may use: that of Envoy's packets says "masquerade" here, where none is in a client's name. @default those of the default bits */
  readonly marks?: NodeOptions["marks"];
}

/** A backend that writes ipsets and rules of iptables. */
export function createIptablesBackend(options: IptablesBackendOptions): RedirectBackend {
  return new IptablesBackend(options);
}

const FAMILY: Readonly<Record<FamilySuffix, IPFamily>> = { "4": "IPv4", "6": "IPv6" };

/** What was read of the kernel. */
interface KernelReading {
  readonly sets: ReadonlyMap<string, SavedSet>;
  readonly tables: ReadonlyMap<FamilySuffix, SavedTables>;
}

/** As kube-proxy: each look is two programs for each family, and iptables-legacy copies a whole table for any of them. */
const LOOK_INTERVAL_MS = 30_000;

class IptablesBackend implements RedirectBackend {
  readonly name = "iptables";
  readonly lookIntervalMs = LOOK_INTERVAL_MS;
  readonly #options: IptablesBackendOptions;
  readonly #programs: Programs;
  readonly #families: readonly FamilySuffix[];
  /** What the kernel's chains are; undefined when that is not known. */
  #chains: ReadonlyMap<FamilySuffix, ChainPlan> | undefined;
  #readAhead: Promise<KernelReading> | undefined;

  constructor(options: IptablesBackendOptions) {
    this.#options = options;
    this.#programs = options.programs;
    this.#families = options.families;
  }

  async probe(): Promise<void> {
    await this.#programs.saveSets();
    for (const family of this.#families) {
      await this.#probe(family);
    }
  }

  /** Whether rules may ask sets, which takes more than to make either: that there is no such set is as good an answer as any. */
  async #probe(family: FamilySuffix): Promise<void> {
    const set = `${SET_PREFIX}probe`;
    const rule = `-A LIGHTPATH -m set --match-set ${set} src -j RETURN`;
    try {
      await this.#programs.checkTables(family, `*nat\n:LIGHTPATH - [0:0]\n${rule}\nCOMMIT\n`);
    } catch (error) {
      if (!(error instanceof RedirectError) || !error.stderr.includes(`Set ${set} doesn't exist`)) {
        throw error;
      }
    }
  }

  async readAhead(): Promise<void> {
    const reading = this.#readAhead = this.#read();
    await reading;
  }

  async apply(delta: PlanDelta): Promise<void> {
    await this.#write(this.#held(delta));
  }

  async reconcile(plan: () => Iterable<PlanElement>): Promise<Reconciliation> {
    let reading = await this.#lastReading();
    const whole = heldPlan(plan());
    let wanted = diffPlans([], this.#served(whole)).add;
    const refused: RefusedElement[] = [];
    for (;;) {
      try {
        return { ...await this.#bring(reading, wanted), refused };
      } catch (error) {
        // Any other kind has its cause outside of the elements.
        if (!(error instanceof RedirectError) || error.kind !== "other") throw error;
        const blamed = blamedElements(error.line ?? await this.#refusedEntry(wanted), wanted);
        if (blamed.length === 0) throw error;
        refused.push(...blamed.map((element) => ({ element, error })));
        const ids = new Set(blamed.map(elementId));
        wanted = wanted.filter((element) => !ids.has(elementId(element)));
        // Some of it may be in the kernel now.
        reading = await this.#read();
      }
    }
  }

  /** At the rules in front of one of the kernel's chains in each table: a table is flushed, or restored without ours, as a whole. */
  async look(): Promise<string | undefined> {
    try {
      for (const suffix of this.#families) {
        for (const table of TABLES) {
          const missing = await this.#missingRule(suffix, table);
          if (missing !== undefined) return `missing: IPv${suffix} ${table} ${missing}`;
        }
      }
      return undefined;
    } catch (error) {
      if (!(error instanceof RedirectError)) throw error;
      return `the rules cannot be seen: ${error.message}`;
    }
  }

  async #missingRule(suffix: FamilySuffix, table: Table): Promise<string | undefined> {
    const plan = this.#chains?.get(suffix);
    if (plan === undefined) return undefined;
    const layout = createLayout({ suffix, envoyAddress: plan.envoyAddress, ...this.#constant(suffix) });
    const chain = layout.find((one) => one.table === table && one.isKernels);
    if (chain === undefined) return undefined;
    const listed = await this.#programs.showChain(suffix, table, chain.name);
    const comments = chain.rules.map((rule) => ruleComment(chain.name, rule));
    const missing = comments.find((comment) => !listed.includes(comment));
    return missing && `${chain.name} ${missing}`;
  }

  async cleanup(): Promise<void> {
    this.#chains = undefined;
    await removeRules(this.#programs);
    const sets = parseSets(await this.#programs.saveSets());
    await this.#restoreSets([...sets.keys()].map((name) => `destroy ${name}\n`).join(""));
  }

  /** A line that `ipset restore` refuses, where it does not say which, by halves; empty if there is none. */
  async #refusedEntry(plan: readonly PlanElement[]): Promise<string> {
    let lines = renderEntries({ add: this.#entriesOf(plan), remove: [] }).split(/(?<=\n)/);
    if (!await this.#isRefused(lines)) return "";
    while (lines.length > 1) {
      const half = lines.slice(0, lines.length >> 1);
      lines = await this.#isRefused(half) ? half : lines.slice(half.length);
    }
    return lines.join("").trimEnd();
  }

  async #isRefused(lines: readonly string[]): Promise<boolean> {
    try {
      await this.#restoreSets(lines.join(""));
      return false;
    } catch (error) {
      if (error instanceof RedirectError && error.kind === "other") return true;
      throw error;
    }
  }

  async #read(): Promise<KernelReading> {
    const sets = parseSets(await this.#programs.saveSets());
    const tables = new Map<FamilySuffix, SavedTables>();
    for (const family of this.#families) {
      tables.set(family, parseTables(await this.#programs.saveTables(family)));
    }
    return { sets, tables };
  }

  async #lastReading(): Promise<KernelReading> {
    const readAhead = this.#readAhead;
    this.#readAhead = undefined;
    try {
      if (readAhead !== undefined) return await readAhead;
    } catch (error) {
      // What was in its way then need not be in the way now.
      if (!(error instanceof RedirectError)) throw error;
    }
    return await this.#read();
  }

  /** Elements of families that are served, and of no family. */
  #served(elements: readonly PlanElement[]): readonly PlanElement[] {
    return elements.filter(({ container }) => {
      const suffix = /-([46])$/.exec(container)?.[1];
      return suffix === undefined || this.#families.includes(suffix as FamilySuffix);
    });
  }

  #held(delta: PlanDelta): PlanDelta {
    const held = heldDelta(delta);
    return { delete: this.#served(held.delete), add: this.#served(held.add) };
  }

  #entriesOf(elements: readonly PlanElement[]): SetEntry[] {
    return elements.flatMap(entriesOf).filter(({ set }) =>
      this.#families.includes(set.at(-1) as FamilySuffix)
    );
  }

  async #bring(
    reading: KernelReading,
    wanted: readonly PlanElement[],
  ): Promise<Omit<Reconciliation, "refused">> {
    const found = new Map<FamilySuffix, FoundFamily>();
    for (const [suffix, tables] of reading.tables) {
      found.set(suffix, findFamily({ suffix, tables, sets: reading.sets, ...this.#constant(suffix) }));
    }
    const layoutDifferences = [...found].flatMap(([suffix, { differences }]) =>
      differences.map((line) => `IPv${suffix} ${line}`)
    );
    layoutDifferences.push(...ofSomeFamiliesOnly([...found.values()]));
    if (layoutDifferences.length > 0) {
      const transactions = await this.#replace(reading, wanted);
      return { delete: [], add: wanted, transactions, layoutDifferences };
    }
    this.#chains = new Map([...found].map(([suffix, { chains }]) => [suffix, chains]));
    const present = [...found.values()].flatMap(({ elements }) => elements);
    const delta = diffPlans(present, wanted);
    return { ...delta, transactions: await this.#write(delta), layoutDifferences };
  }

  /** Makes a change of held elements. Returns the number of steps. */
  async #write(delta: PlanDelta): Promise<number> {
    const chains = this.#chains;
    if (chains === undefined) throw new TypeError("Cannot change what was not compared");
    if (isEmptyDelta(delta)) return 0;
    // Not known until all is done.
    this.#chains = undefined;
    let steps = 0;
    const add = this.#entriesOf(delta.add);
    const remove = this.#entriesOf(delta.delete);
    for (const [suffix, plan] of chains) {
      const changes = plan.apply(delta);
      steps += await this.#writeChains(suffix, plan, changes);
      add.push(...changes.vipEndpoints.come.map((key) => vipEndpointEntry(key, suffix)));
      remove.push(...changes.vipEndpoints.gone.map((key) => vipEndpointEntry(key, suffix)));
    }
    const text = renderEntries({ add, remove });
    // Who says that Envoy is ready knows better than a packet that found nobody.
    const isBack = delta.add.some(({ container }) => container === "envoy-ready");
    steps += await this.#restoreSets(
      isBack ? text + this.#families.map((suffix) => `flush ${familySet("gone", suffix)}\n`).join("") : text,
    );
    for (const [suffix, plan] of chains) steps += await this.#writeChains(suffix, plan, plan.removeGone());
    this.#chains = chains;
    return steps;
  }

  async #writeChains(suffix: FamilySuffix, plan: ChainPlan, changes: ChainChanges): Promise<number> {
    const write = new Map(changes.write);
    if (changes.hasOtherEnvoyAddress) {
      for (const [name, rules] of this.#layout(suffix, "nat", plan).write) write.set(name, rules);
    }
    return await this.#restoreTables(suffix, renderTable("nat", { write, remove: changes.remove }));
  }

  #layout(suffix: FamilySuffix, table: Table, { envoyAddress }: ChainPlan): ReturnType<typeof layoutChanges> {
    return layoutChanges(
      table,
      createLayout({ suffix, envoyAddress, ...this.#constant(suffix) }),
    );
  }

  /** Writes everything anew, whatever is there. Chains are replaced in one step for each table, without a moment between. */
  async #replace(reading: KernelReading, wanted: readonly PlanElement[]): Promise<number> {
    this.#chains = undefined;
    const chains = new Map<FamilySuffix, ChainPlan>();
    const shapes = this.#families.flatMap(setsOf);
    let { sets, tables } = reading;
    let steps = 0;
    const isOther = shapes.some(({ name, type }) =>
      sets.has(name) && sets.get(name)?.type !== canonicalType(type)
    );
    if (isOther) {
      // A set cannot be made anew while rules look things up in it.
      await this.cleanup();
      ({ sets, tables } = await this.#read());
    }
    for (const suffix of this.#families) chains.set(suffix, new ChainPlan(suffix));
    const entries = this.#entriesOf(wanted);
    for (const [suffix, plan] of chains) {
      const { vipEndpoints } = plan.apply({ delete: [], add: wanted });
      entries.push(...vipEndpoints.come.map((key) => vipEndpointEntry(key, suffix)));
    }
    const names = new Set(entries.map(entryText));
    const present = [...sets].flatMap(([set, found]) => found.entries.map((entry) => ({ set, entry })));
    const there = new Set(present.map(entryText));
    const known = new Set(shapes.map(({ name }) => name));
    const add = entries.filter((entry) => !there.has(entryText(entry)));
    steps += await this.#restoreSets(renderSets(shapes) + renderEntries({ add, remove: [] }));
    for (const [suffix, plan] of chains) {
      steps += await this.#restoreTables(
        suffix,
        TABLES.map((table) => renderTable(table, this.#wholeTable(table, plan, { suffix, tables }))).join(""),
      );
    }
    const isStale = ({ set, entry }: SetEntry): boolean =>
      known.has(set) && !names.has(entryText({ set, entry })) && !set.includes("-gone-");
    const strange = [...sets.keys()].filter((name) => !known.has(name) && this.#isServedSet(name));
    steps += await this.#restoreSets(
      renderEntries({ add: [], remove: present.filter(isStale) }) +
        strange.map((name) => `destroy ${name}\n`).join(""),
    );
    this.#chains = chains;
    return steps;
  }

  #isServedSet(name: string): boolean {
    return this.#families.some((suffix) => name.endsWith(`-${suffix}`));
  }

  #wholeTable(
    table: Table,
    plan: ChainPlan,
    { suffix, tables }: { readonly suffix: FamilySuffix; readonly tables: KernelReading["tables"] },
  ): TableChanges {
    const { write, insertions } = this.#layout(suffix, table, plan);
    if (table === "nat") { for (const [name, rules] of plan.chains()) write.set(name, rules); }
    const found = tables.get(suffix)?.[table];
    return {
      write,
      remove: [...found?.chains.keys() ?? []].filter((name) => !write.has(name)),
      statements: [...(found?.hooks ?? []).map(({ chain, rule }) => `-D ${chain} ${rule}`), ...insertions],
    };
  }

  async #restoreTables(suffix: FamilySuffix, text: string): Promise<number> {
    if (text === "") return 0;
    await this.#programs.restoreTables(suffix, text);
    return 1;
  }

  async #restoreSets(text: string): Promise<number> {
    if (text === "") return 0;
    await this.#programs.restoreSets(text);
    return 1;
  }

  /** What the constant chains depend on, and no plan says. */
  #constant(suffix: FamilySuffix): Pick<LayoutOptions, "ports" | "mark" | "clusterCIDRs"> {
    const { ports, clusterCIDRs, marks = marksOf(DEFAULT_MARK_MASK) } = this.#options;
    return { ports, mark: marks.envoy, clusterCIDRs: clusterCIDRs?.[FAMILY[suffix]] ?? [] };
  }
}

/** What is said of all families or none, and was found of some. */
function ofSomeFamiliesOnly(found: readonly FoundFamily[]): string[] {
  return (["envoy-ready", "envoy-alone"] as const).filter((container) => {
    const having = found.filter(({ elements }) =>
      elements.some((element) => element.container === container)
    );
    return having.length > 0 && having.length < found.length;
  }).map((container) => `missing: ${container} of a family`);
}

function entryText({ set, entry }: SetEntry): string {
  return `${set} ${entry}`;
}

/** Takes our chains, and the rules that lead there, out of both families. The sets stay: another kind of iptables may use them. */
export async function removeRules(programs: Programs): Promise<void> {
  for (const family of ["4", "6"] as const) {
    const tables = parseTables(await saveTablesIfAny(programs, family));
    const text = TABLES.map((table) =>
      renderTable(table, {
        write: new Map(),
        remove: [...tables[table].chains.keys()],
        statements: tables[table].hooks.map(({ chain, rule }) => `-D ${chain} ${rule}`),
      })
    ).join("");
    if (text !== "") await programs.restoreTables(family, text);
  }
}

async function saveTablesIfAny(programs: Programs, family: FamilySuffix): Promise<string> {
  try {
    return await programs.saveTables(family);
  } catch (error) {
    // A kernel without this family has nothing of ours in it.
    if (error instanceof RedirectError && error.kind === "unsupported") return "";
    throw error;
  }
}

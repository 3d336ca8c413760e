/**
 * Understands what the kernel holds of one family: as elements of a plan, and where it is not what we would have written for these.
 *
 * In: what `parse_saved.ts` read. Out: a FoundFamily. Pure.
 * Invariant: a family without differences is byte for byte what its elements ask for: chains are rendered anew from what was
 * understood of them, and compared. So nothing unknown survives.
 * @module
 */

import type { EnvoyPorts } from "../chains.ts";
import {
  DESTINATION_SPACES,
  type DestinationSpace,
  type FamilySuffix,
  type ServedSpace,
} from "../containers.ts";
import type { PlanElement } from "../plan.ts";
import { ChainPlan } from "./chain_plan.ts";
import { CHAIN_PREFIX, destinationChainName, ruleComment, type Side, TABLES } from "./chains.ts";
import { parseDestinationRules } from "./destination_rules.ts";
import { parseLeaf } from "./dispatch.ts";
import { EVERYBODY } from "./elements.ts";
import { createLayout, HAIRPINS, TREES } from "./layout.ts";
import { canonicalType, type SavedSet, type SavedTables } from "./parse_saved.ts";
import { elementOf, familySet, otherHalf, setsOf, vipEndpointEntry } from "./sets.ts";

/** What the kernel holds of a family. */
export interface FoundFamily {
  /** As `elements.ts` writes them. */
  readonly elements: readonly PlanElement[];
  /** The chains that these elements ask for. */
  readonly chains: ChainPlan;
  /** Where it is otherwise than these elements ask for, one line each. */
  readonly differences: readonly string[];
}

/** What was read, and what the constant part depends on. */
export interface FindOptions {
  readonly suffix: FamilySuffix;
  readonly tables: SavedTables;
  readonly sets: ReadonlyMap<string, SavedSet>;
  readonly ports: EnvoyPorts;
  readonly mark: number;
  readonly clusterCIDRs: readonly string[];
}

/** Understands a family. */
export function findFamily(options: FindOptions): FoundFamily {
  const { suffix } = options;
  const differences: string[] = [];
  const inChains = chainElements(options);
  const chains = new ChainPlan(suffix);
  chains.apply({ delete: [], add: inChains });
  differences.push(
    ...setDifferences(options),
    ...vipEndpointDifferences(options, chains),
    ...chainDifferences(options, chains),
  );
  return { elements: [...setElements(options, differences), ...inChains], chains, differences };
}

function* setElements(
  { suffix, sets }: FindOptions,
  differences: string[],
): Generator<PlanElement> {
  for (const { name } of setsOf(suffix)) {
    const entries = sets.get(name)?.entries ?? [];
    if (name === familySet("gone", suffix)) continue;
    const of = name === familySet("ready", suffix)
      ? "envoy-ready"
      : name === familySet("alone", suffix)
      ? "envoy-alone"
      : undefined;
    if (of !== undefined) {
      const halves = entries.filter((entry) => EVERYBODY[suffix].includes(entry)).length;
      if (halves === EVERYBODY[suffix].length) yield { container: of, key: "tcp", value: "" };
      if (entries.length !== 0 && halves !== EVERYBODY[suffix].length || entries.length > halves) {
        differences.push(`unexpected: entries of ${name}`);
      }
      continue;
    }
    const present = new Set(entries);
    for (const entry of entries) {
      const other = otherHalf(name, entry);
      if (other !== undefined && !present.has(other)) {
        differences.push(`missing: half of ${entry} of ${name}`);
      }
      const element = elementOf({ set: name, entry });
      if (element !== undefined) yield element;
    }
  }
}

function setDifferences({ suffix, sets }: FindOptions): string[] {
  const lines: string[] = [];
  const wanted = new Map(setsOf(suffix).map(({ name, type }) => [name, canonicalType(type)]));
  for (const [name, type] of wanted) {
    if (sets.get(name)?.type !== type) lines.push(`missing: set ${name} ${type}`);
  }
  for (const name of sets.keys()) {
    if (name.endsWith(`-${suffix}`) && !wanted.has(name)) lines.push(`unexpected: set ${name}`);
  }
  return lines;
}

function vipEndpointDifferences({ suffix, sets }: FindOptions, chains: ChainPlan): string[] {
  const name = familySet("endpoints", suffix);
  const found = new Set(sets.get(name)?.entries);
  const wanted = new Set([...chains.vipEndpoints].map((key) => vipEndpointEntry(key, suffix).entry));
  return found.symmetricDifference(wanted).size === 0 ? [] : [`unexpected: entries of ${name}`];
}

/** Which tree a branch is of; undefined when it is none. */
function treeOf(chain: string): { readonly side: Side; readonly space: DestinationSpace } | undefined {
  for (const side of ["outside", "inside"] as const) {
    for (const space of DESTINATION_SPACES) {
      if (chain.startsWith(`${TREES[side][space]}-`)) return { side, space };
    }
  }
  return undefined;
}

/** What chains say of destinations, hairpins and this node's address. */
function chainElements({ suffix, tables: { nat } }: FindOptions): PlanElement[] {
  const elements: PlanElement[] = [];
  const sticky = new Map<string, PlanElement>();
  for (const [name, rules] of nat.chains) {
    const found = treeOf(name);
    if (found === undefined) continue;
    const { side, space } = found;
    const served: ServedSpace = side === "inside" ? `inside-${space}` : space;
    for (const rule of rules) {
      const key = parseLeaf(rule);
      if (key === undefined) continue;
      const parsed = parseDestinationRules(nat.chains.get(destinationChainName(key, side)) ?? []);
      parsed?.endpoints.forEach((value, place) =>
        elements.push({ container: `endpoints-${served}-${suffix}`, key: `${key} . ${place}`, value })
      );
      if (parsed?.stickySeconds !== undefined) {
        // Said of both sides at once.
        sticky.set(key, { container: `sticky-${space}-${suffix}`, key, value: String(parsed.stickySeconds) });
      }
    }
  }
  elements.push(...sticky.values());
  for (const rule of nat.chains.get(HAIRPINS) ?? []) {
    const address = /^-s (\S+)\/(?:32|128) /.exec(rule)?.[1];
    if (address !== undefined) {
      elements.push({ container: `hairpin-${suffix}`, key: `${address} . ${address}`, value: "" });
    }
  }
  const toEnvoy = nat.chains.get("LIGHTPATH-HTTP")?.at(-1) ?? "";
  const [, v6, v4] = / --to-destination (?:\[([^\]]+)\]|([\d.]+)):\d+$/.exec(toEnvoy) ?? [];
  const envoyAddress = v6 ?? v4;
  if (envoyAddress !== undefined) {
    elements.push({ container: `envoy-address-${suffix}`, key: "tcp", value: envoyAddress });
  }
  return elements;
}

/** The comment by which a rule is recognised, or the rule if it has none. */
function identity(rule: string): string {
  return /--comment "(Lightpath: [^"]*)"/.exec(rule)?.[1] ?? rule;
}

/** Compares what was found with what is rendered for what was understood. */
function chainDifferences({ tables, ...constant }: FindOptions, chains: ChainPlan): string[] {
  const lines: string[] = [];
  const layout = createLayout({ ...constant, envoyAddress: chains.envoyAddress });
  for (const table of TABLES) {
    const wanted = new Map<string, string>();
    const wantedHooks: string[] = [];
    for (const { name, rules, isKernels, ...chain } of layout) {
      if (chain.table !== table) continue;
      const comments = rules.map((rule) => ruleComment(name, rule));
      if (isKernels) wantedHooks.push(...comments.map((comment) => `${name} ${comment}`));
      else wanted.set(name, comments.join("\n"));
    }
    if (table === "nat") { for (const [name, rules] of chains.chains()) wanted.set(name, rules.join("\n")); }
    const found = tables[table];
    for (const [name, text] of wanted) {
      const rules = found.chains.get(name);
      if (rules?.map(identity).join("\n") !== text) lines.push(`missing: ${table} ${name} as it is to be`);
    }
    for (const name of found.chains.keys()) {
      if (!wanted.has(name)) lines.push(`unexpected: ${table} ${name}`);
    }
    const hooks = found.hooks.map(({ chain, rule }) => `${chain} ${identity(rule)}`).sort();
    if (hooks.join("\n") !== wantedHooks.sort().join("\n")) {
      lines.push(`missing: ${table}, rules that lead to ${CHAIN_PREFIX}`);
    }
  }
  return lines;
}

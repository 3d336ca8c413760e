/**
 * An `Nft` in memory, for tests: interprets the scripts Lightpath renders, and refuses what nft and the kernel refuse.
 *
 * In: scripts. Out: the table as a value (`packet_walk.ts` walks it) and as the JSON `nft -j list` would print.
 * Invariants: a script happens wholly or not at all; what it does not understand it refuses, so a new kind of statement
 * has to be taught here before it can pass a test.
 * What it refuses was seen refused by nft 1.0.6 on Linux 6.18.
 * @module
 */

import type { Nft } from "../nft.ts";
import { RedirectError, type RedirectErrorKind } from "../redirect_error.ts";

/** A set or map. */
export interface FakeContainer {
  readonly keyTypes: readonly string[];
  /** Empty for a set. */
  readonly valueTypes: readonly string[];
  readonly interval: boolean;
  /** How many elements packets may add; undefined where they may not. */
  readonly dynamicSize: number | undefined;
  /** Key text to value text. */
  readonly elements: Map<string, string>;
}

/** A rule: its text without the comment, and the comment. */
export interface FakeRule {
  readonly text: string;
  readonly comment: string;
}

/** A chain; base chains have a hook. */
export interface FakeChain {
  readonly hook: { readonly type: string; readonly hook: string; readonly priority: number } | undefined;
  readonly rules: FakeRule[];
}

/** The table. */
export interface FakeTable {
  readonly containers: Map<string, FakeContainer>;
  readonly timeouts: Map<
    string,
    { readonly l3proto: string; readonly policy: Readonly<Record<string, number>> }
  >;
  readonly chains: Map<string, FakeChain>;
}

const SCALAR: Readonly<Record<string, RegExp>> = {
  ipv4_addr: /^\d{1,3}(\.\d{1,3}){3}$/,
  ipv6_addr: /^[0-9a-f:]*:[0-9a-f:]*$/,
  inet_proto: /^(tcp|udp|sctp)$/,
  inet_service: /^\d{1,5}$/,
  integer: /^\d{1,5}$/,
  classid: /^[0-9a-f]{1,4}:[0-9a-f]{1,4}$/,
};

/** The data types of the expressions that `typeof` is used with. */
const TYPE_OF: readonly (readonly [RegExp, string])[] = [
  [/^ip [sd]addr$/, "ipv4_addr"],
  [/^ip6 [sd]addr$/, "ipv6_addr"],
  [/^meta l4proto$/, "inet_proto"],
  [/^th dport$/, "inet_service"],
  [/^meta priority$/, "classid"],
  [/^numgen random mod \d+$/, "integer"],
];

const SET_BLOCK = /^\{ (type|typeof) ([^;]+);( flags interval;)?(?: flags dynamic,timeout; size (\d+);)? \}$/;

function refuse(kind: RedirectErrorKind, line: string): never {
  const text = { "not-found": "No such file or directory", exists: "File exists" }[kind as string] ??
    "syntax error";
  throw new RedirectError(`nft refused: ${text}`, { kind, stderr: `Error: ${text}`, line });
}

function copyTable(table: FakeTable): FakeTable {
  return {
    containers: new Map(
      [...table.containers].map(([name, container]) => [
        name,
        { ...container, elements: new Map(container.elements) },
      ]),
    ),
    timeouts: new Map(table.timeouts),
    chains: new Map([...table.chains].map(([name, chain]) => [name, { ...chain, rules: [...chain.rules] }])),
  };
}

/** See the module's comment. */
export class FakeNft implements Nft {
  /** The table, or undefined when there is none. Tests may tamper with it. */
  table: FakeTable | undefined;
  /** Every script that was applied. */
  readonly applied: string[] = [];
  /** How often the table was listed. */
  listings = 0;
  /** Called before a script is looked at; may wait or throw. */
  beforeApply: (script: string) => Promise<void> = () => Promise.resolve();
  /** Called before the table is listed; may wait or throw. */
  beforeList: () => Promise<void> = () => Promise.resolve();
  /** Longest script the kernel takes. */
  longestScript = Infinity;
  /** Element texts (`key` or `key : value`) that the kernel would not take. */
  readonly refusedTexts = new Set<string>();

  async apply(script: string): Promise<void> {
    await this.beforeApply(script);
    this.table = this.#interpret(script);
    this.applied.push(script);
  }

  // deno-lint-ignore require-await -- as a promise, also when it throws
  async check(script: string): Promise<void> {
    this.#interpret(script);
  }

  async list(): Promise<unknown | undefined> {
    this.listings++;
    await this.beforeList();
    return this.table === undefined ? undefined : listTable(this.table);
  }

  /** All elements as sorted lines `container key : value`. */
  elements(): string[] {
    const lines: string[] = [];
    for (const [name, { elements }] of this.table?.containers ?? []) {
      for (const [key, value] of elements) lines.push(`${name} ${key}${value === "" ? "" : ` : ${value}`}`);
    }
    return lines.sort();
  }

  #interpret(script: string): FakeTable | undefined {
    if (script.length > this.longestScript) refuse("too-large", script);
    let table = this.table === undefined ? undefined : copyTable(this.table);
    for (const line of script.split("\n")) {
      if (line === "") continue;
      if (line === "add table inet lightpath") {
        table ??= { containers: new Map(), timeouts: new Map(), chains: new Map() };
      } else if (table === undefined) refuse("not-found", line);
      else if (line === "delete table inet lightpath") table = undefined;
      else this.#statement(table, line);
    }
    if (table !== undefined) refuseMisplacedVerdicts(table);
    return table;
  }

  #statement(table: FakeTable, line: string): void {
    const [, verb = "", object = "", name = "", rest = ""] =
      /^(add|delete|flush) (set|map|ct timeout|chain|rule|element) inet lightpath (\S+)(?: (.*))?$/.exec(
        line,
      ) ?? [];
    switch (`${verb} ${object}`) {
      case "add set":
      case "add map": {
        const [, how, type = "", interval, size] = SET_BLOCK.exec(rest) ?? refuse("other", line);
        const [keyTypes = [], valueTypes = []] = type.split(" : ").map((part) =>
          part.split(" . ").map((one) => how === "type" ? one : typeOf(one) ?? refuse("other", line))
        );
        if ((object === "map") !== (valueTypes.length > 0)) refuse("other", line);
        table.containers.set(name, {
          keyTypes,
          valueTypes,
          interval: interval !== undefined,
          dynamicSize: size === undefined ? undefined : Number(size),
          elements: new Map(),
        });
        break;
      }
      case "flush set":
        (table.containers.get(name) ?? refuse("not-found", line)).elements.clear();
        break;
      case "add ct timeout": {
        const [, l3proto = "", states = ""] =
          /^\{ protocol tcp; l3proto (ip6?); policy = \{ (\w+ : \d+(?:, \w+ : \d+)*) \}; \}$/.exec(rest) ??
            refuse("other", line);
        const policy = Object.fromEntries(
          states.split(", ").map((state) => state.split(" : ")).map((
            [state, seconds],
          ) => [state, Number(seconds)]),
        );
        table.timeouts.set(name, { l3proto, policy });
        break;
      }
      case "add chain":
        table.chains.set(name, { hook: parseHook(rest, line), rules: [] });
        break;
      case "add rule": {
        const [, text = "", comment = ""] = /^(.*) comment "([^"]{1,127})"$/.exec(rest) ??
          refuse("other", line);
        for (const chain of chainsNamedBy(text)) {
          if (!table.chains.has(chain)) refuse("not-found", line);
        }
        for (const [, timeout = ""] of text.matchAll(/ct timeout set "(\S+)"/g)) {
          if (!table.timeouts.has(timeout)) refuse("not-found", line);
        }
        for (const [, container = ""] of text.matchAll(/@(\S+)/g)) {
          if (!table.containers.has(container)) refuse("not-found", line);
        }
        (table.chains.get(name) ?? refuse("not-found", line)).rules.push({ text, comment });
        break;
      }
      case "add element":
      case "delete element": {
        const [, texts = ""] = /^\{ (.+) \}$/.exec(rest) ?? refuse("other", line);
        const container = table.containers.get(name) ?? refuse("not-found", line);
        for (const text of texts.split(", ")) {
          if (this.refusedTexts.has(text)) refuse("other", line);
          if (verb === "add") addElement(container, { text, line });
          else if (!container.elements.delete(text)) refuse("not-found", line);
        }
        break;
      }
      default:
        refuse("other", line);
    }
  }
}

function typeOf(expression: string): string | undefined {
  return TYPE_OF.find(([pattern]) => pattern.test(expression))?.[1];
}

function chainsNamedBy(rule: string): string[] {
  return [...rule.matchAll(/\b(?:jump|goto) ([^\s,]+)/g)].map(([, name = ""]) => name);
}

function parseHook(rest: string, line: string): FakeChain["hook"] {
  if (rest === "") return undefined;
  const [, type = "", hook = "", priority = ""] =
    /^\{ type (nat|filter|route) hook (prerouting|input|forward|output|postrouting) priority (-?\d+); policy accept; \}$/
      .exec(rest) ??
      refuse("other", line);
  return { type, hook, priority: Number(priority) };
}

function addElement(
  container: FakeContainer,
  { text, line }: { readonly text: string; readonly line: string },
): void {
  const [key = "", value = ""] = text.split(" : ");
  const single = container.interval ? key.replace(/\/\d+$/, "") : key;
  if (!fits(single, container.keyTypes) || !fits(value, container.valueTypes)) refuse("other", line);
  const present = container.elements.get(key);
  if (present !== undefined && present !== value) refuse("exists", line);
  container.elements.set(key, value);
}

function fits(text: string, types: readonly string[]): boolean {
  const parts = text === "" ? [] : text.split(" . ");
  return parts.length === types.length &&
    parts.every((part, index) => SCALAR[types[index] ?? ""]?.test(part));
}

/** The kernel refuses `reject` below a nat hook, and address translation below any other. */
function refuseMisplacedVerdicts(table: FakeTable): void {
  for (const { hook, rules } of table.chains.values()) {
    if (hook === undefined) continue;
    const seen = new Set<FakeRule>();
    const queue = [...rules];
    for (let rule = queue.pop(); rule !== undefined; rule = queue.pop()) {
      if (seen.has(rule)) continue;
      seen.add(rule);
      const misplaced = hook.type === "nat" ? /\breject\b/ : /\b(dnat (ip|ip6) to|redirect|masquerade)\b/;
      if (misplaced.test(rule.text)) refuse("unsupported", rule.text);
      for (const target of chainsNamedBy(rule.text)) queue.push(...(table.chains.get(target)?.rules ?? []));
    }
  }
}

/** What `nft -j list table inet lightpath` prints, as far as Lightpath reads it. */
function listTable(table: FakeTable): unknown {
  const place = { family: "inet", table: "lightpath" };
  const objects: unknown[] = [{ metainfo: { json_schema_version: 1 } }, {
    table: { family: "inet", name: "lightpath" },
  }];
  for (const [name, { keyTypes, valueTypes, interval, dynamicSize, elements }] of table.containers) {
    const isSet = valueTypes.length === 0;
    const type = keyTypes.length === 1 ? keyTypes[0] : keyTypes;
    const elem = [...elements].map(([key, value]) =>
      isSet ? jsonParts(key) : [jsonParts(key), jsonParts(value)]
    );
    const flags = interval
      ? { flags: ["interval"] }
      : dynamicSize === undefined
      ? {}
      : { size: dynamicSize, flags: ["timeout"] };
    const found = { ...place, name, type, ...flags, ...(elem.length === 0 ? {} : { elem }) };
    objects.push(isSet ? { set: found } : { map: { ...found, map: valueTypes.join(" . ") } });
  }
  for (const [name, { l3proto, policy }] of table.timeouts) {
    objects.push({ "ct timeout": { ...place, name, protocol: "tcp", l3proto, policy } });
  }
  for (const [name, { hook }] of table.chains) {
    const { type, hook: at, priority } = hook ?? {};
    objects.push({
      chain: { ...place, name, ...(hook ? { type, hook: at, prio: priority, policy: "accept" } : {}) },
    });
  }
  for (const [chain, { rules }] of table.chains) {
    for (const { comment } of rules) objects.push({ rule: { ...place, chain, comment, expr: [] } });
  }
  return { nftables: objects };
}

function jsonParts(text: string): unknown {
  const parts = text.split(" . ").map((part) => {
    const [, addr, len] = /^(.*)\/(\d+)$/.exec(part) ?? [];
    if (addr !== undefined) return { prefix: { addr, len: Number(len) } };
    return /^\d+$/.test(part) ? Number(part) : part;
  });
  return parts.length === 1 ? parts[0] : { concat: parts };
}

/**
 * Renders the layout and its changes to nft scripts. One script is one transaction: all of it happens or nothing does.
 *
 * In: a Layout, PlanElements. Out: text for `nft -f -`. Pure; same input, same text.
 * Invariants: no line is longer than 4 KiB plus one element, so that an error's line number leads close to its cause.
 * Source of the grammar: nft(8). Deletions use `delete`, not `destroy`, which needs kernel 6.3 and nft 1.0.7.
 * @module
 */

import type { LayoutChain, LayoutTimeout } from "./chains.ts";
import type { LayoutContainer } from "./containers.ts";
import { emptiedBy, type PlanDelta } from "./diff.ts";
import { type Layout, TABLE } from "./layout.ts";
import type { PlanElement } from "./plan.ts";

/** Characters of element text after which a new statement begins. */
const LINE_LENGTH = 4_000;

function renderChain({ name, hook }: LayoutChain): string {
  if (hook === undefined) return `add chain ${TABLE} ${name}`;
  // A number, since the name `dstnat` is accepted in prerouting only, not in output.
  return `add chain ${TABLE} ${name} { type ${hook.type} hook ${hook.hook} priority ${hook.priority}; policy accept; }`;
}

function renderContainer(container: LayoutContainer): string {
  const { name, keyTypes, valueTypes, typeOf, interval, dynamicSize } = container;
  const kind = valueTypes.length === 0 ? "set" : "map";
  const [key, value] = typeOf ?? [keyTypes.join(" . "), valueTypes.join(" . ")];
  const type = `${typeOf === undefined ? "type" : "typeof"} ${key}${value === "" ? "" : ` : ${value}`}`;
  const flags = interval
    ? " flags interval;"
    : dynamicSize
    ? ` flags dynamic,timeout; size ${dynamicSize};`
    : "";
  return `add ${kind} ${TABLE} ${name} { ${type};${flags} }`;
}

function renderTimeout({ name, ip, policy }: LayoutTimeout): string {
  const states = Object.entries(policy).map(([state, seconds]) => `${state} : ${seconds}`).join(", ");
  return `add ct timeout ${TABLE} ${name} { protocol tcp; l3proto ${ip}; policy = { ${states} }; }`;
}

function renderLayoutLines(layout: Layout): string[] {
  const lines: string[] = [];
  for (const container of layout.containers) lines.push(renderContainer(container));
  for (const timeout of layout.timeouts) lines.push(renderTimeout(timeout));
  // All chains before all rules: rules jump to chains.
  for (const chain of layout.chains) lines.push(renderChain(chain));
  for (const { name, rules } of layout.chains) {
    for (const { text, comment } of rules) {
      lines.push(`add rule ${TABLE} ${name} ${text} comment "${comment}"`);
    }
  }
  return lines;
}

/** `verb element` statements for elements sorted by container. */
function renderElements(verb: "add" | "delete", elements: readonly PlanElement[]): string[] {
  const lines: string[] = [];
  let container: string | undefined;
  let texts: string[] = [];
  let length = 0;
  function flush(): void {
    if (texts.length > 0) lines.push(`${verb} element ${TABLE} ${container} { ${texts.join(", ")} }`);
    texts = [];
    length = 0;
  }
  for (const element of elements) {
    if (element.container !== container || length > LINE_LENGTH) flush();
    container = element.container;
    const text = verb === "delete" || element.value === ""
      ? element.key
      : `${element.key} : ${element.value}`;
    texts.push(text);
    length += text.length + 2;
  }
  flush();
  return lines;
}

function script(lines: readonly string[]): string {
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

/** Element differences only; empty text when there are none. */
export function renderDelta(delta: PlanDelta): string {
  // Deletions first: within one transaction the kernel then accepts the same key again with another value.
  return script([
    ...renderElements("delete", delta.delete),
    ...renderElements("add", delta.add),
    ...emptiedBy(delta).map((container) => `flush set ${TABLE} ${container}`),
  ]);
}

/**
 * The whole table anew, whatever was there before: layout and all elements (sorted by container). As one transaction
 * there is no moment without the table; connections that run are in conntrack and do not notice.
 */
export function renderReplacement(layout: Layout, elements: readonly PlanElement[]): string {
  return script([
    ...DELETE_TABLE,
    `add table ${TABLE}`,
    ...renderLayoutLines(layout),
    ...renderElements("add", elements),
  ]);
}

/**
 * The layout as a table of another name: what the kernel says of it, to be checked and not to be made. nft reads of a table what a
 * script is about, and of ours that could be much.
 */
export function renderProbe(layout: Layout): string {
  return script([`add table ${TABLE}`, ...renderLayoutLines(layout)]).replaceAll(
    ` ${TABLE}`,
    ` ${TABLE}-probe`,
  );
}

/** Removes exactly our table; does nothing, and is no error, when it is absent. */
export function renderCleanup(): string {
  return script(DELETE_TABLE);
}

/**
 * Cuts a script into two of about equal length that have its effect when performed one after the other; undefined when it
 * has a single line. What was one transaction then is two.
 */
export function halveScript(text: string): readonly [string, string] | undefined {
  // The end of the line in the middle, or of the one before when that is the last.
  let end = text.indexOf("\n", text.length >> 1) + 1;
  if (end === text.length || end === 0) end = text.lastIndexOf("\n", text.length - 2) + 1;
  return end === 0 ? undefined : [text.slice(0, end), text.slice(end)];
}

/** Adding first makes the deletion succeed also where there is no table. */
const DELETE_TABLE: readonly string[] = [`add table ${TABLE}`, `delete table ${TABLE}`];

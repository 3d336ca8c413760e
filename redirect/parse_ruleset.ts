/**
 * Reads what `nft -j list table inet lightpath` prints.
 *
 * In: decoded JSON. Out: a KernelTable: the layout's fingerprint and the elements, comparable with what `layout.ts`
 * and `plan.ts` want. Pure. Whatever cannot be an element of ours becomes a line of the fingerprint, which then differs, so
 * that the table is replaced: nothing unknown survives in it.
 * Source: libnftables-json(5). nft prints a protocol by name, or by number where /etc/protocols is missing; the type of a key
 * that was declared by `typeof` as a data type up to 1.0.6, as the expressions it was declared with from 1.1 on.
 * @module
 */

import { parseIPAddress } from "../agent/model/mod.ts";
import type { LayoutHook } from "./chains.ts";
import { CONTAINERS, type LayoutContainer } from "./containers.ts";
import { fingerprintLine } from "./layout.ts";
import { RedirectError } from "./redirect_error.ts";
import type { PlanElement } from "./plan.ts";

/** The table as the kernel holds it. */
export interface KernelTable {
  /** Sorted lines as `layoutFingerprint` writes them. */
  readonly layout: readonly string[];
  readonly elements: readonly PlanElement[];
}

type JsonObject = Readonly<Record<string, unknown>>;

const CONTAINER_BY_NAME: ReadonlyMap<string, LayoutContainer> = new Map(
  CONTAINERS.map((container) => [container.name, container]),
);
const PROTOCOL_BY_NUMBER: Readonly<Record<string, string>> = { "6": "tcp", "17": "udp", "132": "sctp" };

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : JSON.stringify(value) ?? "";
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(text) : [text(value)];
}

/** Data types of the expressions of `typeof`, by protocol and field, or by key. */
const TYPE_OF: Readonly<Record<string, string>> = {
  "ip saddr": "ipv4_addr",
  "ip daddr": "ipv4_addr",
  "ip6 saddr": "ipv6_addr",
  "ip6 daddr": "ipv6_addr",
  "th dport": "inet_service",
  "l4proto": "inet_proto",
  "priority": "classid",
};

/** The data type of an expression; its own text, which no type of ours equals, when it is none that we declare. */
function typeOfExpression(expression: unknown): string {
  if (isObject(expression)) {
    const { payload, meta, numgen } = expression;
    const name = isObject(payload)
      ? `${text(payload["protocol"])} ${text(payload["field"])}`
      : isObject(meta)
      ? text(meta["key"])
      : "";
    const type = isObject(numgen) ? "integer" : TYPE_OF[name];
    if (type !== undefined) return type;
  }
  return text(expression);
}

/** The data types of a key or value: named, or by expressions. */
function dataTypes(found: unknown): string[] {
  const expression = isObject(found) ? found["typeof"] : undefined;
  // A map's is printed as one text by 1.0.6, `ipv4_addr . inet_service`.
  if (expression === undefined) return texts(found).join(" . ").split(" . ");
  const concatenated = isObject(expression) ? expression["concat"] : undefined;
  return (Array.isArray(concatenated) ? concatenated : [expression]).map(typeOfExpression);
}

/** The C library prints `::10.0.0.1` where RFC 5952 has `::a00:1`. */
function withoutDottedTail(address: string): string {
  const [, head, a, b, c, d] = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address) ?? [];
  if (head === undefined) return address;
  const group = (high: string | undefined, low: string | undefined): string =>
    (Number(high) * 256 + Number(low)).toString(16);
  return `${head}${group(a, b)}:${group(c, d)}`;
}

/** A scalar of a key or value as `plan.ts` writes it, or undefined when it is none. */
function parseScalar(value: unknown, type: string): string | undefined {
  if (typeof value !== "string" && typeof value !== "number") return undefined;
  const found = String(value);
  switch (type) {
    case "inet_proto":
      return PROTOCOL_BY_NUMBER[found] ?? found;
    case "ipv4_addr":
    case "ipv6_addr": {
      const parsed = parseIPAddress(withoutDottedTail(found));
      return parsed?.family === (type === "ipv4_addr" ? "IPv4" : "IPv6") ? parsed.address : undefined;
    }
    default:
      return found;
  }
}

/** A range as `plan.ts` writes it, or a scalar. */
function parseRange(value: unknown, type: string): string | undefined {
  if (!isObject(value) || !isObject(value["prefix"])) return parseScalar(value, type);
  const { addr, len } = value["prefix"];
  const address = parseScalar(addr, type);
  return address === undefined ? undefined : `${address}/${text(len)}`;
}

/** A concatenation, or what stands alone. `parseLast` reads the last part. */
function parseParts(value: unknown, types: readonly string[], parseLast = parseScalar): string | undefined {
  const parts = isObject(value) && Array.isArray(value["concat"]) ? value["concat"] : [value];
  if (parts.length !== types.length) return undefined;
  const scalars = parts.map((part, index) =>
    (index === types.length - 1 ? parseLast : parseScalar)(part, types[index] ?? "")
  );
  return scalars.includes(undefined) ? undefined : scalars.join(" . ");
}

function parseElement(found: unknown, container: LayoutContainer): PlanElement | undefined {
  const { name, keyTypes, valueTypes, interval } = container;
  if (valueTypes.length === 0) {
    const key = parseParts(found, keyTypes, interval ? parseRange : parseScalar);
    return key === undefined ? undefined : { container: name, key, value: "" };
  }
  if (!Array.isArray(found) || found.length !== 2) return undefined;
  const key = parseParts(found[0], keyTypes);
  const value = parseParts(found[1], valueTypes);
  return key === undefined || value === undefined ? undefined : { container: name, key, value };
}

function parseContainer(found: JsonObject, layout: string[], elements: PlanElement[]): void {
  const name = text(found["name"]);
  const keyTypes = dataTypes(found["type"]);
  const valueTypes = found["map"] === undefined ? [] : dataTypes(found["map"]);
  // Flags (interval, timeout …), sizes and the like are not ours: they make the line differ.
  const flags = ["flags", "size", "timeout", "policy"].flatMap((flag) =>
    found[flag] === undefined ? [] : texts(found[flag])
  ).filter((flag) => flag !== "dynamic"); // nft 1.0.6 does not print that one
  layout.push(fingerprintLine.container({ name, keyTypes, valueTypes, flags }));
  const listed = found["elem"];
  const container = CONTAINER_BY_NAME.get(name);
  if (container === undefined || container.dynamicSize !== undefined || !Array.isArray(listed)) return;
  let unreadable = 0;
  for (const item of listed) {
    const element = parseElement(item, container);
    if (element === undefined) unreadable++;
    else elements.push(element);
  }
  if (unreadable > 0) layout.push(`elements of ${name} that Lightpath did not write: ${unreadable}`);
}

function parseTimeout(found: JsonObject): string {
  const policy = isObject(found["policy"]) ? found["policy"] : {};
  const { name, l3proto } = found;
  return fingerprintLine.timeout({ name: text(name), ip: text(l3proto) as "ip", policy });
}

function parseChain(found: JsonObject): string {
  const name = text(found["name"]);
  if (found["hook"] === undefined) return fingerprintLine.chain(name);
  const hook = { type: text(found["type"]), hook: text(found["hook"]), priority: Number(found["prio"]) };
  return fingerprintLine.baseChain(name, hook as LayoutHook, text(found["policy"]));
}

/**
 * Reads the table.
 * @throws {RedirectError} of kind `unreadable` when the JSON is not a listing at all.
 */
export function parseRuleset(listing: unknown): KernelTable {
  const objects = isObject(listing) ? listing["nftables"] : undefined;
  if (!Array.isArray(objects)) {
    throw new RedirectError(`nft -j printed something else than a list of objects`, { kind: "unreadable" });
  }
  const layout: string[] = [];
  const elements: PlanElement[] = [];
  const ruleCounts = new Map<string, number>();
  for (const object of objects) {
    if (!isObject(object)) continue;
    const [[kind, found] = ["", undefined]] = Object.entries(object);
    if (!isObject(found)) continue;
    switch (kind) {
      case "metainfo":
      case "table":
        break;
      case "set":
      case "map":
        parseContainer(found, layout, elements);
        break;
      case "ct timeout":
        layout.push(parseTimeout(found));
        break;
      case "chain":
        layout.push(parseChain(found));
        break;
      case "rule": {
        const chain = text(found["chain"]);
        const position = ruleCounts.get(chain) ?? 0;
        ruleCounts.set(chain, position + 1);
        layout.push(fingerprintLine.rule(chain, position, text(found["comment"] ?? "(no comment)")));
        break;
      }
      default:
        layout.push(`${kind} ${text(found["name"])}`);
    }
  }
  return { layout: layout.sort(), elements };
}

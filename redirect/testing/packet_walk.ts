/**
 * Walks the first packet of a connection through the rendered table, for tests: "pod to VIP:80 lands on Envoy's HTTP
 * listener".
 *
 * In: the table of a `FakeNft`, a packet. Out: one word on where it ends. Pure.
 * Understands exactly the expressions the layout uses; anything else throws, so that no rule passes untested.
 * Source of the order of hooks: kernel, include/uapi/linux/netfilter_ipv4.h (nat chains all run at -100).
 * @module
 */

import ipaddr from "ipaddr.js";
import type { FakeChain, FakeTable } from "./fake_nft.ts";

/** The first packet of a connection. */
export interface Packet {
  /** `pod`: comes in by an interface (prerouting). `host`: made here (output). */
  readonly from: "pod" | "host";
  /** @default "10.244.9.9", or "fd00:244::9:9" */
  readonly source?: string;
  readonly destination: string;
  readonly port: number;
  readonly protocol?: "tcp" | "udp" | "sctp";
  /** The destination is an address of this node, so what is not translated goes to input. @default false */
  readonly local?: boolean;
  /** @default "new" */
  readonly state?: "new" | "established" | "invalid" | "untracked";
  /** It is one that begins a connection. @default unless the state is "established" */
  readonly connects?: boolean;
  /** It was translated as conntrack remembers, without being looked up. @default false */
  readonly translated?: boolean;
  /** SO_PRIORITY of the sender's socket, on the node. @default 0 */
  readonly socketPriority?: number;
  /** Its SO_MARK. @default 0 */
  readonly mark?: number;
  /** Whether Envoy listens. @default true */
  readonly envoyListens?: boolean;
  /** The numbers that are drawn, one after the other; the last is drawn again and again. @default 0 */
  readonly draws?: readonly number[];
}

/**
 * Where it ends: `accept` (untouched), `reset`, `unreachable`, `drop`, `redirect :PORT` or `dnat ADDRESS:PORT`; with
 * ` masquerade` after it where the endpoint sees this node as the source, and with
 * ` priority MAJOR:MINOR` after it where it leaves with a priority it did not come with.
 */
export type Outcome = string;

interface Walk {
  readonly table: FakeTable;
  readonly packet: Packet;
  destination: string;
  port: number;
  /** As nft writes it, `MAJOR:MINOR`. */
  priority: string;
  drawn: number;
  translation: Outcome | undefined;
  masqueraded: boolean;
}

type Step = { readonly kind: "match" | "mismatch" | "return" } | {
  readonly kind: "go";
  readonly to: string;
  readonly back: boolean;
} | {
  readonly kind: "end";
  readonly outcome: Outcome;
};

const MATCH: Step = { kind: "match" };
const MISMATCH: Step = { kind: "mismatch" };

function holds(condition: boolean): Step {
  return condition ? MATCH : MISMATCH;
}

function familyIs(family: string, { destination }: Walk): boolean {
  return destination.includes(":") === (family === "ip6");
}

function sourceOf({ packet }: Walk): string {
  return packet.source ?? (packet.destination.includes(":") ? "fd00:244::9:9" : "10.244.9.9");
}

function lookUp(walk: Walk, name: string, key: string): string | undefined {
  const container = walk.table.containers.get(name);
  if (!container?.interval) return container?.elements.get(key);
  const [, start = "", address = ""] = /^(.* )?(\S+)$/.exec(key) ?? [];
  for (const [element, value] of container.elements) {
    if (!element.startsWith(start)) continue;
    const range = element.slice(start.length);
    if (range === address) return value;
    if (range.includes("/") && ipaddr.parse(address).match(ipaddr.parseCIDR(range))) return value;
  }
  return undefined;
}

function numberOf(priority: string): number {
  const [major = "", minor = ""] = priority.split(":");
  return parseInt(major || "0", 16) * 65_536 + parseInt(minor || "0", 16);
}

/** A concatenation of expressions as the key of an element; undefined where one of them is of another family. */
function keyOf(walk: Walk, text: string): string | undefined {
  const parts = text.split(" . ").map((part) => {
    switch (part) {
      case "ip daddr":
      case "ip6 daddr":
        return familyIs(part.split(" ")[0] ?? "", walk) ? walk.destination : undefined;
      case "ip saddr":
      case "ip6 saddr":
        return familyIs(part.split(" ")[0] ?? "", walk) ? sourceOf(walk) : undefined;
      case "ct original ip daddr":
      case "ct original ip6 daddr":
        return familyIs(part.split(" ")[2] ?? "", walk) ? walk.packet.destination : undefined;
      case "ct original proto-dst":
        return String(walk.packet.port);
      case "meta l4proto":
        return protocolOf(walk);
      case "meta priority":
        return walk.priority;
      case "th dport":
        return String(walk.port);
      default:
        throw new Error(`The packet walk does not understand "${part}" in a key`);
    }
  });
  return parts.includes(undefined) ? undefined : parts.join(" . ");
}

/** What a map or set has under a concatenation; undefined where it has nothing. */
function found(walk: Walk, container: string, key: string): string | undefined {
  const text = keyOf(walk, key);
  return text === undefined ? undefined : lookUp(walk, container, text);
}

const PART = String
  .raw`(?:(?:ct original )?ip6? [ds]addr|meta l4proto|th dport|meta priority|ct original proto-dst)`;
const KEY = `(${PART}(?: \\. ${PART})*)`;
/** A hash, by what is hashed: no two are equal here. */
const HASH = `jhash ${KEY} mod \\d+ seed \\w+`;

/** Whether a source is in one of these ranges; undefined where it is of another family. */
function comesFrom(walk: Walk, family: string, ranges: string): boolean | undefined {
  if (!familyIs(family, walk)) return undefined;
  const source = ipaddr.parse(sourceOf(walk));
  return ranges.split(", ").some((range) => source.match(ipaddr.parseCIDR(range)));
}

const RANGES = String.raw`(?:\{ ([^}]+) \}|([0-9a-f.:]+/\d+))`;

/** The expressions of the layout, each with its meaning. */
const EXPRESSIONS: readonly (readonly [RegExp, (walk: Walk, ...groups: string[]) => Step])[] = [
  [
    new RegExp(`^${KEY} @(\\S+)`),
    (walk, key = "", set = "") => holds(found(walk, set, key) !== undefined),
  ],
  [
    new RegExp(`^${KEY} != @(\\S+)`),
    (walk, key = "", set = "") => holds(found(walk, set, key) === undefined),
  ],
  [new RegExp(`^meta priority set ${HASH} map @(\\S+)`), (walk, key = "", map = "") => {
    const value = found(walk, map, key);
    walk.priority = value ?? walk.priority;
    return holds(value !== undefined);
  }],
  [new RegExp(`^meta priority set ${KEY} map @(\\S+)`), (walk, key = "", map = "") => {
    const value = found(walk, map, key);
    walk.priority = value ?? walk.priority;
    return holds(value !== undefined);
  }],
  [/^meta priority set numgen random mod (\d+) offset (\d+)/, (walk, below = "", offset = "") => {
    const { draws = [0] } = walk.packet;
    const number = Number(offset) + (draws[walk.drawn++] ?? draws.at(-1) ?? 0) % Number(below);
    walk.priority = `${(number >>> 16).toString(16)}:${(number & 0xffff).toString(16)}`;
    return MATCH;
  }],
  [/^meta priority and 0x([0-9a-f]+) vmap \{ ([^}]+) \}/, ({ priority }, mask = "", entries = "") => {
    // Without a sign, as the kernel compares.
    const masked = (numberOf(priority) & parseInt(mask, 16)) >>> 0;
    for (const entry of entries.split(", ")) {
      const [, value = "", verb, to = ""] = /^(\S+) : (jump|goto) (\S+)$/.exec(entry) ?? [];
      if (numberOf(value) === masked) return { kind: "go", to, back: verb === "jump" };
    }
    return MISMATCH;
  }],
  [/^meta l4proto tcp/, (walk) => holds(protocolOf(walk) === "tcp")],
  [/^meta l4proto \{ tcp, udp, sctp \}/, () => MATCH],
  [
    /^tcp dport \{ (\d+), (\d+) \}/,
    (walk, ...ports) => holds(protocolOf(walk) === "tcp" && ports.includes(String(walk.port))),
  ],
  [/^tcp sport \{ \d+, \d+ \}/, () => MISMATCH],
  [/^ct state (\S+)/, ({ packet }, states = "") => holds(states.split(",").includes(packet.state ?? "new"))],
  [
    /^tcp flags & \(fin \| syn \| rst \| ack\) != syn/,
    (walk) =>
      holds(protocolOf(walk) === "tcp" && !(walk.packet.connects ?? walk.packet.state !== "established")),
  ],
  // It is always the first packet of a connection.
  [/^ct direction reply/, () => MISMATCH],
  [
    /^meta mark & (0x\w+) ([!=]=) (0x\w+)/,
    ({ packet }, mask = "", operator = "", value = "") =>
      holds((((packet.mark ?? 0) & Number(mask)) >>> 0 === Number(value)) === (operator === "==")),
  ],
  [
    /^meta nfproto (ipv4|ipv6)/,
    (walk, family = "") => holds(familyIs(family === "ipv4" ? "ip" : "ip6", walk)),
  ],
  [/^ct timeout set "\S+"/, () => MATCH],
  // Of the mark of a connection only its answers read.
  [/^ct mark set ct mark & 0x\w+ \| 0x\w+/, () => MATCH],
  [new RegExp(`^delete @(\\S+) \\{ ${HASH} : meta priority \\}`), (walk, map = "", key = "") => {
    walk.table.containers.get(map)?.elements.delete(keyOf(walk, key) ?? "");
    return MATCH;
  }],
  [
    new RegExp(`^update @(\\S+) \\{ ${HASH} timeout \\d+s : meta priority \\}`),
    (walk, map = "", key = "") => {
      const { elements } = walk.table.containers.get(map) ?? {};
      const client = keyOf(walk, key) ?? "";
      // The kernel prolongs what there is, and does not replace it.
      if (elements?.has(client) === false) elements.set(client, walk.priority);
      return MATCH;
    },
  ],
  [/^add @envoy-gone \{ meta l4proto timeout \d+s \}/, (walk) => {
    walk.table.containers.get("envoy-gone")?.elements.set(protocolOf(walk), "");
    return MATCH;
  }],
  [
    new RegExp(`^(ip6?) saddr ${RANGES}`),
    (walk, family = "", several = "", one = "") => holds(comesFrom(walk, family, several || one) === true),
  ],
  [
    new RegExp(`^(ip6?) saddr != ${RANGES}`),
    (walk, family = "", several = "", one = "") => holds(comesFrom(walk, family, several || one) === false),
  ],
  [/^fib saddr type local/, ({ packet }) => holds(packet.from === "host")],
  [/^oif lo/, (walk) => holds(walk.packet.from === "host" && walk.destination === sourceOf(walk))],
  [/^masquerade fully-random/, (walk) => {
    walk.masqueraded = true;
    return { kind: "end", outcome: "masquerade" };
  }],
  [/^ct status & dnat != 0/, (walk) => holds(walk.translation !== undefined)],
  [
    /^ct status & dnat == 0/,
    (walk) => holds(tracked(walk) && walk.translation === undefined && !walk.packet.translated),
  ],
  [/^jump (\S+)/, (_walk, to = "") => ({ kind: "go", to, back: true })],
  [/^goto (\S+)/, (_walk, to = "") => ({ kind: "go", to, back: false })],
  [/^dnat (ip6?) to meta l4proto map @(\S+) : (\d+)/, (walk, family = "", map = "", port = "") => {
    const address = familyIs(family, walk) ? lookUp(walk, map, protocolOf(walk)) : undefined;
    return address === undefined ? MISMATCH : translate(walk, `dnat ${address}:${port}`, address, port);
  }],
  [new RegExp(`^dnat (ip6?) to ${KEY} map @(\\S+)`), (walk, family = "", key = "", map = "") => {
    const socket = familyIs(family, walk) ? found(walk, map, key) : undefined;
    const [address = "", port = ""] = socket?.split(" . ") ?? [];
    return socket === undefined ? MISMATCH : translate(walk, `dnat ${address}:${port}`, address, port);
  }],
  [
    /^redirect to :(\d+)/,
    (walk, port = "") =>
      translate(walk, `redirect :${port}`, familyIs("ip6", walk) ? "::1" : "127.0.0.1", port),
  ],
  [/^reject with tcp reset/, () => ({ kind: "end", outcome: "reset" })],
  [/^reject with icmpx type port-unreachable/, () => ({ kind: "end", outcome: "unreachable" })],
  [/^meta priority set 0/, (walk) => {
    walk.priority = "0:0";
    return MATCH;
  }],
  [/^meta priority (\w+:\w+)-(\w+:\w+)/, ({ priority }, first = "", last = "") => {
    const number = numberOf(priority);
    return holds(number >= numberOf(first) && number <= numberOf(last));
  }],
  [
    /^meta priority \{ (\w+:\w+(?:, \w+:\w+)*) \}/,
    ({ priority }, values = "") =>
      holds(values.split(", ").some((value) => numberOf(priority) === numberOf(value))),
  ],
  [/^meta priority (\w+:\w+)/, ({ priority }, value = "") => holds(numberOf(priority) === numberOf(value))],
  [/^socket transparent \{ 0, 1 \}/, ({ packet }) => holds(packet.envoyListens ?? true)],
  [/^return/, () => ({ kind: "return" })],
  [/^drop/, () => ({ kind: "end", outcome: "drop" })],
  [/^accept/, () => ({ kind: "end", outcome: "accept" })],
];

function translate(walk: Walk, outcome: Outcome, destination: string, port: string): Step {
  walk.translation = outcome;
  walk.destination = destination;
  walk.port = Number(port);
  return { kind: "end", outcome };
}

function protocolOf({ packet }: Walk): string {
  return packet.protocol ?? "tcp";
}

function tracked({ packet }: Walk): boolean {
  return packet.state === undefined || packet.state === "new" || packet.state === "established";
}

/** One rule: runs its expressions until one does not match or decides. */
function runRule(walk: Walk, text: string): Step {
  for (let rest = text; rest !== "";) {
    const expression = EXPRESSIONS.find(([pattern]) => pattern.test(rest));
    const groups = expression?.[0].exec(rest);
    if (!expression || !groups) throw new Error(`The packet walk does not understand "${rest}"`);
    const step = expression[1](walk, ...groups.slice(1));
    if (step.kind !== "match") return step;
    rest = rest.slice(groups[0].length).trimStart();
  }
  return MATCH;
}

/** One chain. Undefined: came to its end, the caller goes on. */
function runChain(walk: Walk, name: string): Outcome | undefined {
  const chain = walk.table.chains.get(name);
  if (chain === undefined) throw new Error(`There is no chain "${name}"`);
  for (const { text } of chain.rules) {
    const step = runRule(walk, text);
    if (step.kind === "end") return step.outcome;
    if (step.kind === "return") return undefined;
    if (step.kind !== "go") continue;
    const outcome = runChain(walk, step.to);
    // After `goto` the rest of this chain is not run, after `jump` it is.
    if (outcome !== undefined || !step.back) return outcome;
  }
  return undefined;
}

/** The real place of a base chain within its hook. */
function order({ hook }: FakeChain): number {
  if (hook === undefined) return 0;
  return hook.type === "nat" ? -100 + hook.priority / 1_000 : hook.priority;
}

/** Runs the chains of a hook until one ends the packet; a translation ends the chains of type nat only. */
function runHook(walk: Walk, hook: string): Outcome | undefined {
  const bases = [...walk.table.chains].filter(([, chain]) => chain.hook?.hook === hook);
  bases.sort(([, a], [, b]) => order(a) - order(b));
  const before = walk.translation;
  for (const [name, chain] of bases) {
    // Only the first packet of a connection passes nat chains.
    const isNat = chain.hook?.type === "nat";
    if (isNat && ((walk.packet.state ?? "new") !== "new" || walk.translation !== before)) continue;
    const outcome = runChain(walk, name);
    // Ends this base chain only.
    if (outcome === "accept") continue;
    if (outcome !== undefined && outcome !== walk.translation) return outcome;
  }
  return undefined;
}

/** Where a packet ends. */
export function walkPacket(table: FakeTable | undefined, packet: Packet): Outcome {
  if (table === undefined) return "accept";
  const came = `0:${(packet.socketPriority ?? 0).toString(16)}`;
  const walk: Walk = {
    table,
    packet,
    destination: packet.destination,
    port: packet.port,
    priority: came,
    drawn: 0,
    translation: undefined,
    masqueraded: false,
  };
  const ended = runHook(walk, packet.from === "pod" ? "prerouting" : "output");
  if (ended !== undefined) return ended;
  // Where a connection was sent to Envoy it is for this node.
  const toEnvoy = /^redirect |:166[67]$/.test(walk.translation ?? "");
  const isForThisNode = toEnvoy || (walk.translation === undefined && packet.local);
  const refused = isForThisNode
    ? runHook(walk, "input")
    : packet.from === "pod"
    ? runHook(walk, "forward")
    : undefined;
  if (!toEnvoy && (walk.translation !== undefined || packet.from === "host")) runHook(walk, "postrouting");
  const outcome = refused ?? walk.translation ?? "accept";
  const left = walk.priority === came || walk.priority === "0:0" ? "" : ` priority ${walk.priority}`;
  return `${outcome}${walk.masqueraded ? " masquerade" : ""}${left}`;
}

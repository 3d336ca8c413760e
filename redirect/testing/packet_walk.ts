/**
 * Walks the first packet of a connection through the rendered table, for tests: "pod to VIP:80 lands on Envoy's HTTP
 * listener".
 *
 * In: the table of a `FakeNft`, a packet. Out: one word on where it ends. Pure.
 * Understands exactly the expressions the layout uses; anything else throws, so that no rule passes untested.
 * Source of the order of hooks: kernel, include/uapi/linux/netfilter_ipv4.h (nat chains all run at -100).
 * @module
 */

import type { FakeChain, FakeTable } from "./fake_nft.ts";

/** The first packet of a connection. */
export interface Packet {
  /** `pod`: comes in by an interface (prerouting). `host`: made here (output). */
  readonly from: "pod" | "host";
  readonly destination: string;
  readonly port: number;
  readonly protocol?: "tcp" | "udp" | "sctp";
  /** The destination is an address of this node, so what is not translated goes to input. @default false */
  readonly local?: boolean;
  /** @default "new" */
  readonly state?: "new" | "established" | "invalid" | "untracked";
  /** SO_PRIORITY of the sender's socket, on the node. @default 0 */
  readonly socketPriority?: number;
}

/** Where it ends: `accept` (untouched), `reset`, `unreachable`, `drop`, `redirect :PORT` or `dnat ADDRESS:PORT`. */
export type Outcome = string;

interface Walk {
  readonly table: FakeTable;
  readonly packet: Packet;
  readonly port: number;
  readonly translated: boolean;
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

function destinationIs(family: string | undefined, { packet }: Walk): boolean {
  return packet.destination.includes(":") === (family === "ip6");
}

function lookUp(walk: Walk, name: string, key: string): string | undefined {
  return walk.table.containers.get(name)?.elements.get(key);
}

/** The expressions of the layout, each with its meaning. */
const EXPRESSIONS: readonly (readonly [RegExp, (walk: Walk, ...groups: string[]) => Step])[] = [
  [/^(ip6?) daddr \. meta l4proto \. th dport @(\S+)/, (walk, family, set = "") => {
    const key = `${walk.packet.destination} . ${protocolOf(walk)} . ${walk.port}`;
    return holds(destinationIs(family, walk) && lookUp(walk, set, key) !== undefined);
  }],
  [
    /^(ip6?) daddr @(\S+)/,
    (walk, family, set = "") =>
      holds(destinationIs(family, walk) && lookUp(walk, set, walk.packet.destination) !== undefined),
  ],
  [
    /^meta l4proto \. th dport @(\S+)/,
    (walk, set = "") => holds(lookUp(walk, set, `${protocolOf(walk)} . ${walk.port}`) !== undefined),
  ],
  [/^meta l4proto tcp/, (walk) => holds(protocolOf(walk) === "tcp")],
  [
    /^tcp dport \{ (\d+), (\d+) \}/,
    (walk, ...ports) => holds(protocolOf(walk) === "tcp" && ports.includes(String(walk.port))),
  ],
  [/^tcp sport \{ \d+, \d+ \}/, () => MISMATCH],
  [/^ct state (\S+)/, ({ packet }, states = "") => holds(states.split(",").includes(packet.state ?? "new"))],
  [/^ct direction original/, (walk) => holds(tracked(walk))],
  [/^ct status & dnat == 0/, (walk) => holds(tracked(walk) && !walk.translated)],
  [/^jump (\S+)/, (_walk, to = "") => ({ kind: "go", to, back: true })],
  [/^goto (\S+)/, (_walk, to = "") => ({ kind: "go", to, back: false })],
  [/^dnat (ip6?) to meta l4proto map @(\S+) : (\d+)/, (walk, family, map = "", port = "") => {
    const address = destinationIs(family, walk) ? lookUp(walk, map, protocolOf(walk)) : undefined;
    return address === undefined ? MISMATCH : { kind: "end", outcome: `dnat ${address}:${port}` };
  }],
  [/^redirect to :(\d+)/, (_walk, port) => ({ kind: "end", outcome: `redirect :${port}` })],
  [/^reject with tcp reset/, () => ({ kind: "end", outcome: "reset" })],
  [/^reject with icmpx type port-unreachable/, () => ({ kind: "end", outcome: "unreachable" })],
  [
    /^meta priority 0:(\d+)/,
    ({ packet }, priority) => holds(String(packet.socketPriority ?? 0) === priority),
  ],
  [/^return/, () => ({ kind: "return" })],
  [/^drop/, () => ({ kind: "end", outcome: "drop" })],
];

function protocolOf({ packet }: Walk): string {
  return packet.protocol ?? "tcp";
}

function tracked({ packet }: Walk): boolean {
  return packet.state === undefined || packet.state === "new" || packet.state === "established";
}

/** One rule: runs its expressions until one does not match or decides. */
function runRule(walk: Walk, text: string): Step {
  for (let rest = text; rest !== "";) {
    const found = EXPRESSIONS.find(([pattern]) => pattern.test(rest));
    const groups = found?.[0].exec(rest);
    if (!found || !groups) throw new Error(`The packet walk does not understand "${rest}"`);
    const step = found[1](walk, ...groups.slice(1));
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

function runHook(walk: Walk, hook: string): Outcome | undefined {
  const bases = [...walk.table.chains].filter(([, chain]) => chain.hook?.hook === hook);
  bases.sort(([, a], [, b]) => order(a) - order(b));
  for (const [name, chain] of bases) {
    // Only the first packet of a connection passes nat chains.
    if (chain.hook?.type === "nat" && (walk.packet.state ?? "new") !== "new") continue;
    const outcome = runChain(walk, name);
    if (outcome !== undefined) return outcome;
  }
  return undefined;
}

/** Where a packet ends. */
export function walkPacket(table: FakeTable | undefined, packet: Packet): Outcome {
  if (table === undefined) return "accept";
  const walk: Walk = { table, packet, port: packet.port, translated: false };
  const first = runHook(walk, packet.from === "pod" ? "prerouting" : "output");
  const translated = first === undefined ? undefined : /^(?:redirect |dnat .+):(\d+)$/.exec(first);
  if (translated) {
    const input = runHook({ ...walk, port: Number(translated[1]), translated: true }, "input");
    return input ?? first ?? "accept";
  }
  if (first !== undefined) return first;
  return (packet.local ? runHook(walk, "input") : undefined) ?? "accept";
}

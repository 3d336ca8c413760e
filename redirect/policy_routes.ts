/**
 * The policy routes that take answers in which are addressed to clients, but are Envoy's (`answer_rules.ts` marks them).
 *
 * In: the marks, a number for a routing table, an `Ip`. Out: three rules and two routes in each family, made, mended, or removed.
 * Invariants: what is there already is left alone; what is ours and not wanted goes; nothing else is touched. Rules outlive
 * the agent, as the nft table does.
 *
 *     76: from all fwmark 0x1000/0x1040 iif lo goto 78
 *     77: from all fwmark 0x1000/0x1040 lookup 1676            local 0.0.0.0/1 dev lo
 *     78: from all fwmark 0x1040/0x1040 lookup 1676            local 128.0.0.0/1 dev lo
 *
 * - 77 is for what comes in. Before every other rule but the local table's: the AWS plug-in has one for each pod's address at 512.
 * - 76: where net.ipv4.conf.*.src_valid_mark is on (wg-quick sets it, and Calico with WireGuard), the kernel asks which way it would
 *   send a packet *back*, with the mark that it came with: by the table it would find the node itself, and drop the answer as
 *   coming from an impossible address, whatever rp_filter says. It asks as for a packet that the node makes (`iif lo`): this rule
 *   lets it go on to the usual ones.
 * - Two halves in place of a default route: who looks for the node's own in /proc/net/ipv6_route, as the kubelet does and this
 *   agent, finds the routes of all tables there, without the tables.
 * - 78 is for answers that the node itself makes, for which `iif lo` holds as well: therefore they have a mark of their own.
 *
 * - Ours are what has these priorities, a mark, and the protocol number of the kernel itself: systemd-networkd removes rules
 *   and routes that have another one and that it did not make, whenever it starts (networkd.conf(5), ManageForeignRoutes).
 *
 * Source: kernel, __fib_validate_source() in net/ipv4/fib_frontend.c; ip-rule(8).
 * @module
 */

import { type IPFamily, type Marks, renderMark } from "../agent/model/mod.ts";

/** A rule as `ip -d -N -j rule list` tells it; what is absent is not said. */
export interface PolicyRule {
  readonly priority: number;
  readonly fwmark?: string;
  readonly fwmask?: string;
  readonly iif?: string;
  readonly goto?: number;
  readonly table?: string;
  readonly protocol?: string;
}

/** A route as `ip -j route show` tells it. */
export interface PolicyRoute {
  readonly type?: string;
  readonly dst?: string;
  readonly dev?: string;
}

/** The kernel's policy routing. Every method throws `IpError`. */
export interface Ip {
  rules(family: IPFamily): Promise<readonly PolicyRule[]>;
  addRule(family: IPFamily, rule: PolicyRule): Promise<void>;
  deleteRule(family: IPFamily, rule: PolicyRule): Promise<void>;
  /** Of one table. */
  routes(family: IPFamily, table: string): Promise<readonly PolicyRoute[]>;
  /** Makes the table lead a destination to this node itself. */
  takeIn(family: IPFamily, table: string, destination: string): Promise<void>;
  /** Undoes that, if it does. */
  leaveOut(family: IPFamily, table: string, destination: string): Promise<void>;
}

/** What of the policy routes depends on settings. */
export interface PolicyRouteOptions {
  readonly marks: Marks;
  /** Number of the routing table. */
  readonly table: number;
  readonly families: readonly IPFamily[];
}

/** By it the kernel notes whose a rule or route is (rtnetlink(7)): RTPROT_KERNEL. */
export const ROUTE_PROTOCOL = "2";

const FIRST_PRIORITY = 76;
const LAST_PRIORITY = 78;

/** All addresses, as `ip` writes them. */
const EVERYTHING: Readonly<Record<IPFamily, readonly string[]>> = {
  IPv4: ["0.0.0.0/1", "128.0.0.0/1"],
  IPv6: ["::/1", "8000::/1"],
};

/** The rules, in their order. */
export function policyRules({ marks, table }: Pick<PolicyRouteOptions, "marks" | "table">): PolicyRule[] {
  const [usual, taken, takenHere] = [FIRST_PRIORITY, FIRST_PRIORITY + 1, LAST_PRIORITY];
  const answer = {
    fwmark: renderMark(marks.answer),
    fwmask: renderMark(marks.mask),
    protocol: ROUTE_PROTOCOL,
  };
  const answerHere = { ...answer, fwmark: renderMark(marks.answerHere) };
  return [
    { priority: usual, ...answer, iif: "lo", goto: takenHere },
    { priority: taken, ...answer, table: String(table) },
    { priority: takenHere, ...answerHere, table: String(table) },
  ];
}

/** Makes what is missing and removes what is ours but not wanted. Returns how much of that there was. */
export async function ensurePolicyRoutes(ip: Ip, options: PolicyRouteOptions): Promise<number> {
  const wanted = new Map(policyRules(options).map((rule) => [text(rule), rule]));
  const table = String(options.table);
  let changes = 0;
  for (const family of options.families) {
    // The table first: a rule that leads into an empty one would lead on to the client.
    const routes = await ip.routes(family, table);
    for (const destination of EVERYTHING[family]) {
      if (routes.some((route) => takesIn(route, destination))) continue;
      await ip.takeIn(family, table, destination);
      changes++;
    }
    const found = new Map(ours(await ip.rules(family)).map((rule) => [text(rule), rule]));
    for (const [key, rule] of found) {
      if (wanted.has(key)) continue;
      await ip.deleteRule(family, rule);
      if (rule.table !== undefined && rule.table !== table) await emptyTable(ip, family, rule.table);
      changes++;
    }
    for (const [key, rule] of wanted) {
      if (found.has(key)) continue;
      await ip.addRule(family, rule);
      changes++;
    }
  }
  return changes;
}

/** Removes all that is ours, whichever marks and table it was made with. */
export async function removePolicyRoutes(ip: Ip, families: readonly IPFamily[]): Promise<void> {
  for (const family of families) {
    const rules = ours(await ip.rules(family));
    for (const rule of rules) await ip.deleteRule(family, rule);
    for (const table of new Set(rules.flatMap(({ table }) => table ?? []))) {
      await emptyTable(ip, family, table);
    }
  }
}

async function emptyTable(ip: Ip, family: IPFamily, table: string): Promise<void> {
  const routes = await ip.routes(family, table);
  for (const destination of EVERYTHING[family]) {
    if (routes.some((route) => takesIn(route, destination))) await ip.leaveOut(family, table, destination);
  }
}

function ours(rules: readonly PolicyRule[]): PolicyRule[] {
  return rules.filter(({ priority, fwmark, protocol }) =>
    priority >= FIRST_PRIORITY && priority <= LAST_PRIORITY && fwmark !== undefined &&
    protocol === ROUTE_PROTOCOL
  );
}

function takesIn({ type, dst, dev }: PolicyRoute, destination: string): boolean {
  return type === "local" && dst === destination && dev === "lo";
}

function text({ priority, fwmark, fwmask, iif, goto, table }: PolicyRule): string {
  return [priority, fwmark, fwmask, iif, goto, table].join(" ");
}

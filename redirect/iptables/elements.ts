/**
 * What of a plan iptables can hold, and in which form: the same plan, rendered another way.
 *
 * In: PlanElements. Out: PlanElements of fewer kinds, the "held" ones. Pure.
 *
 * - `service-…` is held as the path alone: rules count the endpoints themselves, and remember clients in lists of their own.
 * - `affine-…` and `endpoint-ids-…` are not held for the same reason; `sticky-…` is, with the seconds as value.
 * - An endpoint's place is a number, from 0.
 * - A set of ranges takes none without a prefix: everybody is written as two halves.
 * @module
 */

import { AFFINITY_TIMEOUTS, timeoutValue } from "../affinity.ts";
import { FIRST_PLACE } from "../balance.ts";
import type { FamilySuffix } from "../containers.ts";
import { diffPlans, type PlanDelta } from "../diff.ts";
import type { PlanElement } from "../plan.ts";
import { servedPath } from "../served_value.ts";

/** All addresses, as ranges with a prefix, by how everybody is spelled. */
const HALVES = {
  "0.0.0.0/0": ["0.0.0.0/1", "128.0.0.0/1"],
  "::/0": ["::/1", "8000::/1"],
} as const;

/** The halves of a family's addresses: what makes a set of ranges match any packet. */
export const EVERYBODY: Readonly<Record<FamilySuffix, readonly string[]>> = {
  "4": HALVES["0.0.0.0/0"],
  "6": HALVES["::/0"],
};

const SECONDS: ReadonlyMap<string, number> = new Map(
  AFFINITY_TIMEOUTS.map((seconds) => [timeoutValue(seconds), seconds]),
);

/** What is held of an element. */
export function heldElements(element: PlanElement): readonly PlanElement[] {
  const { container, key, value } = element;
  if (container.startsWith("affine-") || container.startsWith("endpoint-ids-")) return [];
  if (/^service-(?:inside-)?(?:ips|nodeports)-/.test(container)) {
    return [{ container, key, value: servedPath(value) ?? value }];
  }
  if (container.startsWith("endpoints-")) return [{ container, key: numbered(key), value }];
  if (container.startsWith("sticky-")) {
    return [{ container, key, value: String(SECONDS.get(value) ?? value) }];
  }
  if (!/^(?:allowed-sources|service-cidrs)-/.test(container)) return [element];
  const at = key.includes(" . ") ? key.lastIndexOf(" . ") + 3 : 0;
  const halves = (HALVES as Readonly<Record<string, readonly string[]>>)[key.slice(at)];
  return halves === undefined
    ? [element]
    : halves.map((half) => ({ container, key: `${key.slice(0, at)}${half}`, value }));
}

/** The key of an endpoint with its place as a number. */
function numbered(key: string): string {
  const at = key.lastIndexOf(":") + 1;
  const place = Number.parseInt(key.slice(at), 16) - (FIRST_PLACE & 0xffff);
  return `${key.slice(0, key.lastIndexOf(" . "))} . ${place}`;
}

/** A plan as it is held. */
export function heldPlan(plan: Iterable<PlanElement>): PlanElement[] {
  const held: PlanElement[] = [];
  for (const element of plan) held.push(...heldElements(element));
  return held;
}

/** A change as it is held: without what only changes in what is not. */
export function heldDelta(delta: PlanDelta): PlanDelta {
  return diffPlans(heldPlan(delta.delete), heldPlan(delta.add));
}

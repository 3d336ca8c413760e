/**
 * Finds the elements that are to blame for a line that was refused.
 *
 * In: a line of a text for `ipset restore` or `iptables-restore`, and a plan. Out: held elements. Pure.
 * A destination is refused as a whole: of one that is served by half nobody had anything.
 * @module
 */

import type { PlanElement } from "../plan.ts";
import { destinationChainName } from "./chains.ts";
import { parseLeaf } from "./dispatch.ts";
import { elementOf } from "./sets.ts";

const SIDES = ["outside", "inside"] as const;

/** The key that a line is about. */
function keyOf(line: string, plan: readonly PlanElement[]): string | undefined {
  const [verb, name = "", ...rest] = line.split(" ");
  if (verb === "add") return elementOf({ set: name, entry: rest.join(" ") })?.key;
  if (verb !== "-A") return undefined;
  const leaf = parseLeaf(rest.join(" "));
  if (leaf !== undefined) return leaf;
  return plan.map(destinationKey).find((key) =>
    key !== undefined && SIDES.some((side) => destinationChainName(key, side) === name)
  );
}

/** The destination that an element is about; undefined when it is about none. */
function destinationKey({ container, key }: PlanElement): string | undefined {
  if (!/-(?:ips|nodeports)-/.test(container) && !container.startsWith("allowed-sources-")) return undefined;
  const isBehind = container.startsWith("endpoints-") || container.startsWith("allowed-sources-");
  return isBehind ? key.slice(0, key.lastIndexOf(" . ")) : key;
}

/** The elements of a plan that fall with a line, of a NodePort in both families; none when it is about nothing of it. */
export function blamedElements(line: string, plan: readonly PlanElement[]): readonly PlanElement[] {
  const key = keyOf(line, plan);
  return key === undefined
    ? []
    : plan.filter((element) => element.key === key || destinationKey(element) === key);
}

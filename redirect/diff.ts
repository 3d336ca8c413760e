/**
 * Compares plans: from what is to what should be, in elements.
 *
 * In: elements before and after, or changes of ServicePorts. Out: a PlanDelta. Pure, except that `mergeChanges` adds to
 * the map it is given, and `diffChanges` counts in the one it is given.
 * Invariants: a key is in `add` only if it is absent before or also in `delete`; equal elements are in neither; both
 * lists are sorted, so that equal deltas render to equal text. Cost is that of the change (for whole plans: of the plan).
 * @module
 */

import type { ServicePortChange, ServicePortKey } from "../agent/model/mod.ts";
import { CONTAINER_ORDER, type ElementContainer, isShared } from "./containers.ts";
import { type PlanElement, planServicePort } from "./plan.ts";
import type { SharedElements } from "./shared_elements.ts";

/** What to do, in this order, in one transaction. A changed value is a deletion and an addition of its key. */
export interface PlanDelta {
  readonly delete: readonly PlanElement[];
  readonly add: readonly PlanElement[];
}

/** What names an element within the table. */
export function elementId(element: PlanElement): string {
  return `${element.container} ${element.key}`;
}

/** Orders by container, then key. */
export function compareElements(a: PlanElement, b: PlanElement): number {
  const byContainer = (CONTAINER_ORDER.get(a.container) ?? 0) - (CONTAINER_ORDER.get(b.container) ?? 0);
  if (byContainer !== 0) return byContainer;
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

/** The difference of two plans. Where one plan names a key twice, its last element counts. */
export function diffPlans(before: Iterable<PlanElement>, after: Iterable<PlanElement>): PlanDelta {
  const wanted = new Map<string, PlanElement>();
  for (const element of after) wanted.set(elementId(element), element);
  const present = new Map<string, PlanElement>();
  for (const element of before) present.set(elementId(element), element);
  const deleted: PlanElement[] = [];
  for (const [id, element] of present) {
    if (wanted.get(id)?.value === element.value) wanted.delete(id);
    else deleted.push(element);
  }
  return { delete: deleted.sort(compareElements), add: [...wanted.values()].sort(compareElements) };
}

/**
 * The difference a batch of changes makes. A VIP that moved from one ServicePort to another within the batch is seen as
 * one key with a before and an after, so it never appears to vanish. Elements that others may want too are counted in `shared`.
 */
export function diffChanges(
  changes: ReadonlyMap<ServicePortKey, ServicePortChange>,
  shared: SharedElements,
): PlanDelta {
  const before = new SplitPlan();
  const after = new SplitPlan();
  for (const change of changes.values()) {
    before.push(planServicePort(change.before));
    after.push(planServicePort(change.after));
  }
  const own = diffPlans(before.own, after.own);
  const common = shared.change(before.shared, after.shared);
  if (isEmptyDelta(common)) return own;
  return {
    delete: [...own.delete, ...common.delete].sort(compareElements),
    add: [...own.add, ...common.add].sort(compareElements),
  };
}

/** Elements that one ServicePort alone asks for, and those that others may ask for too. */
class SplitPlan {
  readonly own: PlanElement[] = [];
  readonly shared: PlanElement[] = [];

  push(elements: readonly PlanElement[]): void {
    for (const element of elements) (isShared(element.container) ? this.shared : this.own).push(element);
  }
}

/**
 * Adds `later` to `pending`: of each ServicePort the oldest `before` and the newest `after` remain, as if both batches
 * had been one.
 */
export function mergeChanges(
  pending: Map<ServicePortKey, ServicePortChange>,
  later: ReadonlyMap<ServicePortKey, ServicePortChange>,
): void {
  for (const [key, change] of later) {
    const earlier = pending.get(key);
    pending.set(key, earlier === undefined ? change : { before: earlier.before, after: change.after });
  }
}

/** True when there is nothing to do. */
export function isEmptyDelta(delta: PlanDelta): boolean {
  return delta.delete.length === 0 && delta.add.length === 0;
}

/** The sets that lose what the kernel itself has put into them, in the same transaction after all else. */
export function emptiedBy(delta: PlanDelta): readonly ElementContainer[] {
  // Who says that Envoy is ready knows better than a packet that found nobody.
  return delta.add.some(({ container }) => container === "envoy-ready") ? ["envoy-gone"] : [];
}

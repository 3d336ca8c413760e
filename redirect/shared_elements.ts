/**
 * Counts who asks for the elements that several ServicePorts may ask for: such an element comes with the first of them and goes
 * with the last.
 *
 * In: what a change gives up, and what it asks for. Out: a PlanDelta.
 * Invariant: the counts are those of the plan that the kernel was last given; after a failure, and at each comparison with the
 * whole plan, they are taken anew.
 * @module
 */

import { isShared } from "./containers.ts";
import { compareElements, elementId, type PlanDelta } from "./diff.ts";
import type { PlanElement } from "./plan.ts";

/** See the module's comment. */
export class SharedElements {
  readonly #wanted = new Map<string, number>();

  /** Forgets what was counted, and counts the shared ones among these. */
  recount(plan: Iterable<PlanElement>): void {
    this.#wanted.clear();
    for (const element of plan) if (isShared(element.container)) this.#count(element, 1);
  }

  /** Of these the ones that nobody wants any more, and the ones that nobody wanted. All must be shared. */
  change(givenUp: Iterable<PlanElement>, askedFor: Iterable<PlanElement>): PlanDelta {
    const touched = new Map<string, { readonly element: PlanElement; readonly before: number }>();
    const touch = (element: PlanElement, by: 1 | -1): void => {
      const id = elementId(element);
      if (!touched.has(id)) touched.set(id, { element, before: this.#wanted.get(id) ?? 0 });
      this.#count(element, by);
    };
    for (const element of givenUp) touch(element, -1);
    for (const element of askedFor) touch(element, 1);
    const gone: PlanElement[] = [];
    const come: PlanElement[] = [];
    for (const [id, { element, before }] of touched) {
      const wanted = this.#wanted.has(id);
      if (before > 0 && !wanted) gone.push(element);
      if (before <= 0 && wanted) come.push(element);
    }
    return { delete: gone.sort(compareElements), add: come.sort(compareElements) };
  }

  #count(element: PlanElement, by: 1 | -1): void {
    const id = elementId(element);
    const count = (this.#wanted.get(id) ?? 0) + by;
    if (count === 0) this.#wanted.delete(id);
    else this.#wanted.set(id, count);
  }
}

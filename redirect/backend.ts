/**
 * What puts a plan into the kernel, as an interface: the Redirector decides when, a backend knows how.
 *
 * Implementations: `nftables_backend.ts`, `iptables/iptables_backend.ts`.
 * @module
 */

import { elementId, type PlanDelta } from "./diff.ts";
import type { PlanElement } from "./plan.ts";
import type { RedirectError } from "./redirect_error.ts";

/** What there is to program the kernel with, as the setting `--redirect` spells it. */
export type BackendName = "nftables" | "iptables";

/**
 * Puts plans into the kernel. Calls are made one after the other; each throws `RedirectError` and nothing else that an operator
 * could mend.
 */
export interface RedirectBackend {
  readonly name: BackendName;
  /** Finds out whether the kernel can be programmed at all, without changing anything. */
  probe(): Promise<void>;
  /**
   * Reads what the kernel holds, for the next comparison only, which then does not read it again. A failure is of no
   * consequence: the comparison reads it itself.
   */
  readAhead(): Promise<void>;
  /**
   * Makes a change of what the kernel holds, as the last successful call left it. As one step: a packet meets all of it or
   * nothing, as far as the kernel can do that. Cost: that of the change.
   *
   * After a failure what the kernel holds is unknown, until a comparison has succeeded.
   */
  apply(delta: PlanDelta): Promise<void>;
  /**
   * Compares what the kernel holds with a plan and mends what differs, and nothing else. One element that the kernel refuses
   * does not keep out the others. Cost: that of the plan.
   * @param plan The elements wanted now. Called once, after the kernel was read, so that nothing is missed that
   * changed meanwhile.
   */
  reconcile(plan: () => Iterable<PlanElement>): Promise<Reconciliation>;
  /** Between two looks: as short as their cost allows; Infinity where nothing can be seen at little cost. Milliseconds. */
  readonly lookIntervalMs: number;
  /**
   * Looks whether somebody else has removed or changed what is the same for all Services, of what the last `reconcile` left; elements are
   * not looked at. Returns what is wrong, undefined when nothing is. Cost: constant. That it cannot be seen is returned too: a comparison tells.
   */
  look(): Promise<string | undefined>;
  /** Takes out of the kernel what any version of this backend put there, and nothing else. */
  cleanup(): Promise<void>;
}

/** What a comparison found and did: the element differences, all as `add` where everything was replaced. */
export interface Reconciliation extends PlanDelta {
  /** Elements the kernel does not take; they are not in `add`. */
  readonly refused: readonly RefusedElement[];
  /** 0 when nothing differed, else 1, or more where the kernel does not take everything at once. */
  readonly transactions: number;
  /** What differed beside the elements, one line each: the constant part, which depends on no Service. */
  readonly layoutDifferences: readonly string[];
}

/** An element the kernel does not take, and why. */
export interface RefusedElement {
  readonly element: PlanElement;
  readonly error: RedirectError;
}

/**
 * The differences a comparison found that Lightpath does not account for: neither its own change that was still
 * `pending`, nor an element the kernel refuses (which was not added). One line each; empty means that nobody else changed anything.
 */
export function foreignDifferences(found: Reconciliation, pending: PlanDelta): readonly string[] {
  if (found.layoutDifferences.length > 0) return found.layoutDifferences;
  const expected = new Set([...pending.add, ...pending.delete].map(elementId));
  function lines(verb: string, elements: readonly PlanElement[]): string[] {
    return elements.map(elementId).filter((id) => !expected.has(id)).map((id) => `${verb}: ${id}`);
  }
  return [...lines("unexpected", found.delete), ...lines("missing", found.add)];
}

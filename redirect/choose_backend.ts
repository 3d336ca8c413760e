/**
 * Chooses what programs the kernel, and sees to it that nothing else of ours does.
 *
 * In: the backends there may be, what the operator wants. Out: one of them. Nothing is changed before `removeOthers`.
 * @module
 */

import type { Logger } from "../agent/log.ts";
import type { BackendName, RedirectBackend } from "./backend.ts";
import { RedirectError } from "./redirect_error.ts";

/** What there may be. */
export interface BackendCandidates {
  readonly nftables: RedirectBackend;
  /** Called only when it may be needed. */
  iptables(): Promise<RedirectBackend>;
}

/**
 * The backend that the operator names; of its own accord nftables, or where it cannot be used iptables, with the reason logged.
 * @throws {RedirectError} what is in the way, with the mend
 */
export async function chooseBackend(
  wanted: BackendName | "auto",
  { candidates, logger }: { readonly candidates: BackendCandidates; readonly logger: Logger },
): Promise<RedirectBackend> {
  if (wanted !== "iptables") {
    const inTheWay = await refusalOf(candidates.nftables);
    if (inTheWay === undefined) return candidates.nftables;
    // Who may not program the one may not program the other.
    if (wanted === "nftables" || inTheWay.kind === "permission") throw inTheWay;
    return await fallBack(inTheWay, candidates, logger);
  }
  const iptables = await candidates.iptables();
  const inTheWay = await refusalOf(iptables);
  if (inTheWay !== undefined) throw inTheWay;
  return iptables;
}

async function fallBack(
  reason: RedirectError,
  candidates: BackendCandidates,
  logger: Logger,
): Promise<RedirectBackend> {
  const iptables = await candidates.iptables();
  const inTheWay = await refusalOf(iptables);
  if (inTheWay !== undefined) {
    throw new RedirectError(`${reason.message}. Nor is there iptables: ${inTheWay.message}`, {
      kind: reason.kind,
      stderr: reason.stderr,
      cause: reason,
    });
  }
  logger.warn("nftables cannot be used, so Services are redirected by iptables", { reason: reason.message });
  return iptables;
}

async function refusalOf(backend: RedirectBackend): Promise<RedirectError | undefined> {
  try {
    await backend.probe();
    return undefined;
  } catch (error) {
    if (error instanceof RedirectError) return error;
    throw error;
  }
}

/**
 * Removes what other ways of programming the kernel left there, once the chosen one has everything: both at once would go by
 * two plans. That one of them is not there is no fault; what else is in the way is logged, and tried again by the next agent.
 */
export async function removeLeftovers(
  removals: readonly (() => Promise<void>)[],
  logger: Logger,
): Promise<void> {
  for (const remove of removals) {
    try {
      await remove();
    } catch (error) {
      if (!(error instanceof RedirectError)) throw error;
      if (error.kind === "missing-binary" || error.kind === "unsupported") continue;
      logger.warn("what another way of redirecting may have left in the kernel was not removed", {
        reason: error.message,
      });
    }
  }
}

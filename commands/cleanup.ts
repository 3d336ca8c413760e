/**
 * `lightpath cleanup`: takes out of the kernel what the agent put there, and nothing else. Not while an agent runs: that
 * would put it back at its next change, and traffic would have been gone in between.
 * @module
 */
import { holdTable } from "../redirect/mod.ts";
import type { CommandContext } from "./context.ts";
import { removeEverything } from "./redirect_backend.ts";

/** Removes table, rules and sets; it is no error when there are none. @throws {TableInUseError | RedirectError} */
export async function runCleanup({ config, logger }: CommandContext): Promise<void> {
  await using _hold = await holdTable(`lightpath cleanup (pid ${Deno.pid})`);
  await removeEverything(config);
  logger.info(
    "the kernel holds nothing of Lightpath any more: neither a table of nftables nor rules of iptables",
  );
}

/**
 * `lightpath cleanup`: takes out of the kernel what the agent put there, and nothing else. Not while an agent runs: that
 * would put it back at its next change, and traffic would have been gone in between.
 * @module
 */
import { IP_FAMILIES } from "../agent/model/mod.ts";
import { createIp, holdTable, IpError, removePolicyRoutes } from "../redirect/mod.ts";
import type { CommandContext } from "./context.ts";
import { removeEverything } from "./redirect_backend.ts";

/**
 * Removes table, rules and sets, then the policy routes that marks of the table lead to; it is no error when there are none. Without a
 * program `ip` there are no such routes: the agent could not have made them.
 * @throws {TableInUseError | RedirectError}
 */
export async function runCleanup({ config, logger }: CommandContext): Promise<void> {
  await using _hold = await holdTable(`lightpath cleanup (pid ${Deno.pid})`);
  await removeEverything(config);
  try {
    await removePolicyRoutes(createIp({ ipPath: config.ipBin }), IP_FAMILIES);
  } catch (error) {
    if (!(error instanceof IpError)) throw error;
    return logger.warn(
      "table inet lightpath and rules of iptables are gone; whether there are policy routes of Lightpath is not known",
      { because: error.message },
    );
  }
  logger.info(
    "the kernel holds nothing of Lightpath any more: table inet lightpath, rules of iptables and policy routes are gone",
  );
}

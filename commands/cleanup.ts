/**
 * `lightpath cleanup`: takes out of the kernel what the agent put there, and nothing else. Not while an agent runs: that
 * would put the table back at its next change, and traffic would have been gone in between.
 * @module
 */
import { createNft, createNftablesBackend, holdTable } from "../redirect/mod.ts";
import type { CommandContext } from "./context.ts";

/** Removes the nftables table; it is no error when there is none. @throws {TableInUseError | RedirectError} */
export async function runCleanup({ config, logger }: CommandContext): Promise<void> {
  await using _hold = await holdTable(`lightpath cleanup (pid ${Deno.pid})`);
  const ports = { tcp: config.tcpPort, http: config.httpPort };
  await createNftablesBackend({ nft: createNft({ nftPath: config.nftBin }), ports }).cleanup();
  logger.info("the kernel holds nothing of Lightpath any more: table inet lightpath is gone");
}

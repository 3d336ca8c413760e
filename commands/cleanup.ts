/**
 * `lightpath cleanup`: takes out of the kernel what the agent put there, and nothing else.
 * @module
 */
import { cleanup, createNft } from "../redirect/mod.ts";
import type { CommandContext } from "./context.ts";

/** Removes the nftables table; it is no error when there is none. @throws {NftError} */
export async function runCleanup({ config, logger }: CommandContext): Promise<void> {
  await cleanup(createNft({ nftPath: config.nftBin }));
  logger.info("the kernel holds nothing of Lightpath any more: table inet lightpath is gone");
}

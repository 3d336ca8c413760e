/**
 * `lightpath version`: which Lightpath this is and which Envoy it is made for.
 * @module
 */
import { VERSION } from "../agent/version.ts";
import { ENVOY_VERSION } from "../xds/mod.ts";
import type { CommandContext } from "./context.ts";

/** Prints both versions, one a line. */
export async function runVersion({ print }: CommandContext): Promise<void> {
  await print(`lightpath ${VERSION}\nenvoy ${ENVOY_VERSION}\n`);
}

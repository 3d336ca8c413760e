/**
 * How the program is started from a checkout: by the demo, the tests and the benchmarks, with the flags of the task
 * `lightpath`.
 * @module
 */
import { fromFileUrl } from "@std/path/from-file-url";

/**
 * Keeps V8's young generation at 2 MB per half. By default it grows to 16 MB and more while the first lists are read, and
 * stays: 50 MB of the agent's memory at 10,000 Services, for no gain in speed that could be measured.
 */
const V8_FLAGS = "--v8-flags=--max-semi-space-size=2";

/** The command line up to the command's name. Nothing is fetched: it must work in a namespace without network. */
export function lightpathCommand(...denoFlags: readonly string[]): string[] {
  const program = fromFileUrl(new URL("../mod.ts", import.meta.url));
  return [Deno.execPath(), "run", "--allow-all", V8_FLAGS, "--cached-only", ...denoFlags, program];
}

/**
 * The environment in which tests and the demo find the outside programs they need.
 *
 * In: names of programs. Out: a PATH that has them, and one sentence for each that cannot be had on this machine.
 * What takes time is said in a line on standard error.
 * @module
 */

import { dirname } from "@std/path/dirname";
import { ensureTool, type ToolName } from "./tools/mod.ts";

/** What `withTools` found. */
export interface ToolPath {
  /** Added to the environment of whatever needs the programs. */
  readonly env: Readonly<Record<string, string>>;
  /** Where each program is; those that cannot be had are missing. */
  readonly paths: ReadonlyMap<ToolName, string>;
  readonly unavailable: readonly string[];
}

/** Fetches what the machine does not have, one after the other. */
export async function withTools(names: readonly ToolName[]): Promise<ToolPath> {
  const path = (Deno.env.get("PATH") ?? "").split(":");
  const unavailable: string[] = [];
  const paths = new Map<ToolName, string>();
  for (const name of names) {
    const tool = await ensureTool(name, { onProgress: progress });
    if (tool.path === undefined) {
      unavailable.push(tool.unavailable);
      continue;
    }
    // First on the PATH: an Envoy of another version may be there too.
    const folder = dirname(tool.path);
    if (!path.includes(folder)) path.unshift(folder);
    paths.set(name, tool.path);
  }
  const envoy = paths.get("envoy");
  const env = { PATH: path.join(":"), ...(envoy === undefined ? {} : { ENVOY_BIN: envoy }) };
  return { env, paths, unavailable };
}

/** A line for people about something that takes time, on standard error. */
export function progress(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}

/**
 * Outside programs for the demo, the tests and measurements.
 *
 *     deno run -A scripts/tools/mod.ts nft envoy …
 *
 * prints the path of each, one a line, and what is being fetched on standard error; exit code 1 when one cannot be had.
 * @module
 */

import { ensureTool } from "./ensure_tool.ts";
import { isToolName, TOOL_SOURCES } from "./tool_sources.ts";

export { cacheDir } from "./cache_dir.ts";
export { type EnsuredTool, ensureTool, type EnsureToolOptions } from "./ensure_tool.ts";
export { TOOL_SOURCES, type ToolName } from "./tool_sources.ts";

async function main(names: readonly string[]): Promise<number> {
  const unknown = names.find((name) => !isToolName(name));
  if (unknown !== undefined || names.length === 0) {
    if (unknown !== undefined) write(Deno.stderr, `${unknown} is not known here`);
    write(Deno.stderr, `usage: deno run -A scripts/tools/mod.ts <${Object.keys(TOOL_SOURCES).join("|")}> …`);
    return 2;
  }
  let code = 0;
  for (const name of names.filter(isToolName)) {
    const tool = await ensureTool(name, { onProgress: (line) => write(Deno.stderr, line) });
    if (tool.path !== undefined) {
      write(Deno.stdout, tool.path);
    } else {
      write(Deno.stderr, tool.unavailable);
      code = 1;
    }
  }
  return code;
}

function write(stream: { writeSync(bytes: Uint8Array): number }, line: string): void {
  stream.writeSync(new TextEncoder().encode(`${line}\n`));
}

if (import.meta.main) Deno.exit(await main(Deno.args));

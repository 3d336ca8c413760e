/**
 * Runs the benchmark's own command line from end to end, small and brief: that it still fits the program. What its figures
 * are is no test's business.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { fromFileUrl } from "@std/path/from-file-url";
import { namespacesUnavailable } from "../../lab/mod.ts";
import { progress } from "../../tool_path.ts";
import { ensureTool, type ToolName } from "../../tools/mod.ts";

const PROGRAM = fromFileUrl(new URL("../mod.ts", import.meta.url));

/** Why tools cannot be had, in the order asked for; undefined where they can. */
export async function toolsUnavailable(...names: readonly ToolName[]): Promise<(string | undefined)[]> {
  const reasons: (string | undefined)[] = [];
  for (const name of names) reasons.push((await ensureTool(name, { onProgress: progress })).unavailable);
  return reasons;
}

/** Why no benchmark can run here; all undefined when one can. */
export const benchUnavailable: readonly (string | undefined)[] = [
  await namespacesUnavailable(),
  ...await toolsUnavailable("nft", "envoy"),
];

/** Runs a command that ends with a line of JSON. @throws {AssertionError} with its words when it fails */
export async function runBench(args: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  const results = await Deno.makeTempDir({ prefix: "lightpath-bench-test-" });
  try {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--no-check", PROGRAM, ...args, `--results=${results}`],
    }).output();
    const decoder = new TextDecoder();
    const lines = decoder.decode(stdout).trimEnd().split("\n");
    assertEquals(code, 0, `${lines.join("\n")}\n${decoder.decode(stderr)}`);
    return JSON.parse(lines.at(-1)!) as Record<string, unknown>;
  } finally {
    await Deno.remove(results, { recursive: true });
  }
}

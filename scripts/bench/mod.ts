/**
 * `deno task bench`: measurements, each a command of its own. Without one it says which there are.
 *
 * Exit codes: 0 measured (whether or not targets are met), 1 could not measure, 2 asked for wrongly.
 * @module
 */
import { fromFileUrl } from "@std/path/from-file-url";
import { progress } from "../tool_path.ts";
import { CHARTS_USAGE, runCharts } from "./charts.ts";
import { DATAPLANE_USAGE, runDataplane } from "./dataplane.ts";
import { FAILOVER_USAGE, runFailover } from "./failover.ts";
import { L7_USAGE, runL7 } from "./l7.ts";
import { PEERS_USAGE, runPeers } from "./peers.ts";
import { runScenarios, SCENARIOS_USAGE } from "./scenarios/mod.ts";
import { runScale, SCALE_USAGE } from "./scale.ts";
import { runSoakCommand, SOAK_USAGE } from "./soak.ts";
import { runTable, TABLE_USAGE } from "./table.ts";
import { runWarm, WARM_USAGE } from "./warm.ts";

/** A benchmark. */
export interface BenchCommand {
  readonly usage: string;
  /** @throws {TypeError} when asked for wrongly @throws {Error} when it cannot measure */
  run(args: readonly string[], print: (text: string) => void): Promise<void>;
}

/** By name. */
export const COMMANDS: ReadonlyMap<string, BenchCommand> = new Map([
  ["scale", { usage: SCALE_USAGE, run: runScale }],
  ["soak", { usage: SOAK_USAGE, run: runSoakCommand }],
  ["peers", { usage: PEERS_USAGE, run: runPeers }],
  ["table", { usage: TABLE_USAGE, run: runTable }],
  ["dataplane", { usage: DATAPLANE_USAGE, run: runDataplane }],
  ["l7", { usage: L7_USAGE, run: runL7 }],
  ["scenarios", { usage: SCENARIOS_USAGE, run: runScenarios }],
  ["failover", { usage: FAILOVER_USAGE, run: runFailover }],
  ["warm", { usage: WARM_USAGE, run: runWarm }],
  ["charts", { usage: CHARTS_USAGE, run: runCharts }],
]);

/** Runs one, and returns the exit code. */
export async function main([name, ...args]: readonly string[]): Promise<number> {
  if (name === undefined || name === "--help") {
    print(usage());
    return 0;
  }
  const command = COMMANDS.get(name);
  if (command === undefined) {
    progress(`there is no benchmark "${name}"\n\n${usage()}`);
    return 2;
  }
  if (args.includes("--help")) {
    print(`usage: ${command.usage}`);
    return 0;
  }
  // In the namespaces there is no network to fetch packages from.
  for (const entry of ["../../mod.ts", "./world_server.ts", "./node_reader.ts"]) {
    const path = fromFileUrl(new URL(entry, import.meta.url));
    const cache = new Deno.Command(Deno.execPath(), { args: ["cache", "--quiet", path] });
    if (!(await cache.spawn().status).success) return 1;
  }
  try {
    await command.run(args, print);
    return 0;
  } catch (error) {
    if (error instanceof TypeError) {
      progress(`${error.message}\n\nusage: ${command.usage}`);
      return 2;
    }
    progress(wordsOf(error));
    return 1;
  }
}

/** The cause comes first, what went wrong in its wake after it. */
function wordsOf(error: unknown): string {
  if (error instanceof SuppressedError) {
    return `${wordsOf(error.suppressed)}\nand then, when everything was ended: ${wordsOf(error.error)}`;
  }
  return error instanceof Error ? error.message : String(error);
}

function usage(): string {
  return `usage:\n\n${[...COMMANDS.values()].map((command) => command.usage).join("\n")}`;
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

if (import.meta.main) {
  // What was started ends with this process; temporary folders are removed on its way out.
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => Deno.exit(130));
  Deno.exit(await main(Deno.args));
}

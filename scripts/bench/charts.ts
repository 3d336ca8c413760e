/**
 * `deno task bench charts`: draws results as SVG, for the README.
 *
 * In: a folder with results as `--results` writes them. Out: in the same folder `growth.svg`, `peers-N.svg`, and the reports of `scenarios` with
 * their charts.
 * Nothing is measured: equal results give equal charts, on any machine.
 * @module
 */
import { parseArgs } from "node:util";
import { fromFileUrl } from "@std/path/from-file-url";
import { join } from "@std/path/join";
import { progress } from "../tool_path.ts";
import { drawGrowth } from "./chart_growth.ts";
import { drawPeers } from "./chart_peers.ts";
import { renderFiles } from "./scenarios/report_files.ts";
import { type ChartResults, readResults, type ScaleResult } from "./chart_results.ts";

/** Committed. */
const PUBLISHED_FOLDER: string = fromFileUrl(new URL("../../docs/benchmarks/", import.meta.url));

/** What it says about itself. */
export const CHARTS_USAGE = `deno task bench charts [--results DIR] [--json]

  --results DIR     where results of scale, peers and scenarios are, and where charts are written (default docs/benchmarks)
  --json            ends with one line of JSON
`;

/** Draws, and tells the files through `print`. @throws {Error} When there is nothing to draw. */
export async function runCharts(args: readonly string[], print: (text: string) => void): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      results: { type: "string", default: PUBLISHED_FOLDER },
      json: { type: "boolean", default: false },
    },
  });
  const folder = values.results;
  const charts = drawAll(readResults(await readFolder(folder)));
  if (charts.size === 0) {
    throw new Error(
      `there are no results in ${folder}: write some with scale, peers or scenarios and --results ${folder}`,
    );
  }
  for (const [name, svg] of charts) {
    await Deno.writeTextFile(join(folder, name), svg);
    print(`${join(folder, name)}\n`);
  }
  if (values.json) print(`${JSON.stringify({ bench: "charts", folder, files: [...charts.keys()] })}\n`);
}

/** Each chart, and each report, by its file name. */
export function drawAll({ scale, peers, scenarios }: ChartResults): Map<string, string> {
  const charts = new Map<string, string>();
  // Others (eager, a real API server) are of few sizes and have their place in tables.
  const growth = scale.filter(({ mode, source }) => mode === "on-demand" && source === "synthetic");
  if (isSome(growth)) charts.set("growth.svg", drawGrowth(growth));
  for (const result of peers) charts.set(`peers-${result.services}.svg`, drawPeers(result));
  for (const [name, text] of scenarios.flatMap((result) => [...renderFiles(result)])) charts.set(name, text);
  return charts;
}

function isSome(results: readonly ScaleResult[]): results is readonly [ScaleResult, ...ScaleResult[]] {
  return results.length > 0;
}

async function readFolder(folder: string): Promise<unknown[]> {
  const results: unknown[] = [];
  try {
    for (const { name } of (await Array.fromAsync(Deno.readDir(folder)))) {
      if (!name.endsWith(".json")) continue;
      progress(`reading ${name}`);
      results.push(JSON.parse(await Deno.readTextFile(join(folder, name))));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return results;
}

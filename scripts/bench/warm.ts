/**
 * `deno task bench warm`: what a warm start costs a starting Envoy, and what it saves.
 *
 * In: flags. Out: a table per number of Clusters, with `--json` one line for machines at the end, and a file in
 * `.lightpath/bench/`. A real Envoy and the agent's ADS server on loopback; nothing is redirected. "First" is the first
 * request to a Service after Envoy's start, on a new connection, which a cold Envoy (0 Clusters) has to ask for.
 * @module
 */
import { parseArgs } from "node:util";
import { MAX_CLUSTERS } from "../../xds/working_set.ts";
import { progress } from "../tool_path.ts";
import { type FigureDefinition, type Figures, renderTable, summarize, toJson } from "./figures.ts";
import { parseCount } from "./options.ts";
import { describeMachine, RESULTS_FOLDER, writeResult } from "./results.ts";

/** What it says about itself. */
export const WARM_USAGE = `deno task bench warm [--clusters N] [--repetitions R] [--results F] [--json]

  --clusters N      Clusters this node used before; may be repeated (default 100 and ${MAX_CLUSTERS}). 0 is always measured
  --repetitions R   how often Envoy is started with each (default 5)
  --results F       folder for the result's file (default ${RESULTS_FOLDER})
  --json            ends with one line of JSON
`;

/** Names of the figures. */
export type WarmFigure = "listeningMs" | "envoyMB" | "firstMs" | "secondMs";

const WARM_FIGURES: Readonly<Record<WarmFigure, FigureDefinition>> = {
  listeningMs: { label: "Envoy's start until it listens", unit: "ms", summarize: "median" },
  envoyMB: { label: "memory of Envoy then", unit: "MB", summarize: "median" },
  firstMs: { label: "first request", unit: "ms", summarize: "median" },
  secondMs: { label: "second request", unit: "ms", summarize: "median" },
};

/** The command line, read. */
export interface WarmOptions {
  readonly clusters: readonly number[];
  readonly repetitions: number;
  /** The folder for the result's file. */
  readonly results: string;
  readonly json: boolean;
}

/** Reads the command line. @throws {TypeError} with a sentence for whoever typed it */
export function parseWarmOptions(args: readonly string[]): WarmOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      clusters: { type: "string", multiple: true, default: ["100", String(MAX_CLUSTERS)] },
      repetitions: { type: "string", default: "5" },
      results: { type: "string", default: RESULTS_FOLDER },
      json: { type: "boolean", default: false },
    },
  });
  return {
    clusters: [0, ...values.clusters.map((text) => parseCount("--clusters", text, { max: MAX_CLUSTERS }))],
    repetitions: parseCount("--repetitions", values.repetitions, { max: 100 }),
    results: values.results,
    json: values.json,
  };
}

/**
 * Measures, and writes what it found through `print`.
 * @throws {Error} When there is no Envoy.
 */
export async function runWarm(args: readonly string[], print: (text: string) => void): Promise<void> {
  const { clusters, repetitions, results, json } = parseWarmOptions(args);
  // Only now: it looks for an Envoy, and fetches one where there is none.
  const { measureWarmStarts } = await import("./warm_run.ts");
  const machine = describeMachine();
  const each: Record<string, Figures<WarmFigure>[]> = {};
  for (const count of clusters) {
    progress(`${count} Clusters, ${repetitions} starts of Envoy`);
    each[count] = await measureWarmStarts(count, repetitions);
  }
  const summaries = Object.entries(each).map(([count, found]) =>
    [count, summarize(WARM_FIGURES, found)] as const
  );
  for (const [count, summary] of summaries) {
    print(
      `${count} Clusters used before\n${renderTable(WARM_FIGURES, summary, { services: Number(count) })}\n`,
    );
  }
  const found = Object.fromEntries(summaries.map(([count, summary]) => [count, toJson(summary)]));
  const result = { bench: "warm", repetitions, clusters: found, machine };
  progress(`every start is in ${await writeResult(results, "warm", { ...result, each })}`);
  if (json) print(`${JSON.stringify(result)}\n`);
}

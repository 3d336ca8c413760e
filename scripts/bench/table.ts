/**
 * `deno task bench table`: how long the kernel's table takes to be filled, and to be changed.
 *
 * In: flags. Out: a table of figures for each way to write, with `--json` one line for machines at the end, and a file with every
 * repetition in `.lightpath/bench/`. The redirector and its backend in this process, the table in a namespace of its own.
 * @module
 */
import { parseArgs } from "node:util";
import { namespacesUnavailable } from "../lab/mod.ts";
import { progress, withTools } from "../tool_path.ts";
import { type FigureDefinition, type Figures, renderTable, summarize, toJson } from "./figures.ts";
import { parseCount } from "./options.ts";
import { describeMachine, RESULTS_FOLDER, writeResult } from "./results.ts";
import { measureTable } from "./table_run.ts";

/** What it says about itself. */
export const TABLE_USAGE = `deno task bench table [--services N] [--repetitions R] [--results F] [--json]

  --services N      Services with two endpoints each (default 10000)
  --repetitions R   how often each way to write is measured, in turns (default 5)
  --results F       folder for the result's file (default ${RESULTS_FOLDER})
  --json            ends with one line of JSON
`;

/** Names of the figures. */
export type TableFigure = "loadMs" | "changeP50Ms" | "changeP99Ms";

const TABLE_FIGURES: Readonly<Record<TableFigure, FigureDefinition>> = {
  loadMs: {
    label: "no table until all is in the kernel",
    unit: "ms",
    summarize: "median",
    target: { 10_000: 500 },
  },
  changeP50Ms: { label: "one endpoint replaced, p50", unit: "ms", summarize: "median", target: 15 },
  changeP99Ms: { label: "  the same, p99", unit: "ms", summarize: "median" },
};

/** Who writes elements: netlink messages of our own, as usual, or nft, where they cannot be had. */
export const WRITERS = ["netlink", "nft"] as const;
export type Writer = typeof WRITERS[number];

/** The command line, read. */
export interface TableOptions {
  readonly services: number;
  readonly repetitions: number;
  /** The folder for the result's file. */
  readonly results: string;
  readonly json: boolean;
}

/** Reads the command line. @throws {TypeError} with a sentence for whoever typed it */
export function parseTableOptions(args: readonly string[]): TableOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      services: { type: "string", default: "10000" },
      repetitions: { type: "string", default: "5" },
      results: { type: "string", default: RESULTS_FOLDER },
      json: { type: "boolean", default: false },
    },
  });
  return {
    services: parseCount("--services", values.services, { max: 60_000 }),
    repetitions: parseCount("--repetitions", values.repetitions, { max: 100 }),
    results: values.results,
    json: values.json,
  };
}

/**
 * Measures, and writes what it found through `print`.
 * @throws {Error} When the machine lacks something.
 */
export async function runTable(args: readonly string[], print: (text: string) => void): Promise<void> {
  const { services, repetitions, results, json } = parseTableOptions(args);
  const { paths, unavailable } = await withTools(["ip", "unshare", "nsenter", "nft"]);
  const missing = [...unavailable, await namespacesUnavailable()].filter((one) => one !== undefined);
  if (missing.length > 0) throw new Error(`cannot measure here: ${missing.join("; ")}`);
  const machine = describeMachine();
  const each: Record<Writer, Figures<TableFigure>[]> = { netlink: [], nft: [] };
  for (let repetition = 0; repetition < repetitions; repetition++) {
    progress(`repetition ${repetition + 1} of ${repetitions}`);
    for (const writer of WRITERS) {
      each[writer].push(await measureTable({ nft: paths.get("nft")!, writer, services }));
    }
  }
  const found: Partial<Record<Writer, unknown>> = {};
  for (const writer of WRITERS) {
    const summary = summarize(TABLE_FIGURES, each[writer]);
    print(`elements written by ${writer}\n${renderTable(TABLE_FIGURES, summary, { services })}\n`);
    found[writer] = toJson(summary);
  }
  const result = { bench: "table", services, repetitions, writers: found, machine };
  progress(`every repetition is in ${await writeResult(results, "table", { ...result, each })}`);
  if (json) print(`${JSON.stringify(result)}\n`);
}

/**
 * `deno task bench soak`: whether Lightpath is right and stays small however long a cluster is restless.
 *
 * In: flags. Out: a table for people, with `--json` one line for machines at the end, and a file. Services and slices are
 * made, changed, moved and deleted at random while clients call; in the end API server, agent, Envoy and kernel
 * are read and compared, destination by destination.
 * @module
 */
import { parseArgs } from "node:util";
import { progress } from "../tool_path.ts";
import { type FigureDefinition, renderTable, summarize, type Summary, toJson } from "./figures.ts";
import { NodeStage, type Source } from "./node_stage.ts";
import { parseCount, parseNumber, parseSource } from "./options.ts";
import { findPrograms } from "./programs.ts";
import { describeMachine, RESULTS_FOLDER, writeResult } from "./results.ts";
import { SOAK_FIGURES, type SoakFigure } from "./soak_figures.ts";
import { runSoak } from "./soak_run.ts";
import { MAX_SERVICES } from "./world.ts";

/** Before, an agent's memory still finds its level. */
const JUDGED_FROM_MINUTES = 10;

/** What it says about itself. */
export const SOAK_USAGE =
  `deno task bench soak --minutes M [--services N] [--rate R] [--source api|synthetic] [--seed S] [--results DIR] [--json]

  --minutes M       how long, e.g. 30 or 0.5; memory is judged from ${JUDGED_FROM_MINUTES} minutes on
  --services N      Services in the cluster (default 1000)
  --rate R          changes per second (default 50)
  --source S        as for scale (default synthetic)
  --seed S          which changes; equal seeds make equal ones (default 1)
  --results DIR     where the result is written (default .lightpath/bench)
  --json            ends with one line of JSON

Ends with code 1 when something is not as it has to be.
`;

/** Memory is taken and given back in lumps: growth below this share of it says nothing. */
const LUMP = 0.03;
/** Differences that are told one by one. */
const SHOWN_DIFFERENCES = 20;
/** Fewer would leave none without clients. */
const MIN_SERVICES = 10;

/** The command line, read. */
export interface SoakCommand {
  readonly minutes: number;
  readonly services: number;
  readonly rate: number;
  readonly source: Source;
  readonly seed: number;
  readonly results: string;
  readonly json: boolean;
}

/** Reads the command line. @throws {TypeError} with a sentence for whoever typed it */
export function parseSoakOptions(args: readonly string[]): SoakCommand {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: "string" },
      services: { type: "string", default: "1000" },
      rate: { type: "string", default: "50" },
      source: { type: "string", default: "synthetic" },
      seed: { type: "string", default: "1" },
      results: { type: "string", default: RESULTS_FOLDER },
      json: { type: "boolean", default: false },
    },
  });
  return {
    minutes: parseNumber("--minutes", values.minutes, { above: 0, max: 10_000 }),
    services: parseCount("--services", values.services, { min: MIN_SERVICES, max: MAX_SERVICES }),
    rate: parseCount("--rate", values.rate, { max: 1_000 }),
    source: parseSource(values.source),
    seed: parseCount("--seed", values.seed, { max: 2 ** 32 - 1 }),
    results: values.results,
    json: values.json,
  };
}

/**
 * Runs it, and writes what it found through `print`.
 * @throws {Error} When the machine lacks something, or what was found is not as it has to be.
 */
export async function runSoakCommand(
  args: readonly string[],
  print: (text: string) => void,
): Promise<void> {
  const options = parseSoakOptions(args);
  const { minutes, services, rate, source, seed } = options;
  const programs = await findPrograms(source);
  const machine = describeMachine();
  progress(`${services} Services, ${source} API: preparing`);
  await using stage = await NodeStage.create({
    ...{ services, mode: "on-demand", source, programs, denoFlags: [] },
    onProgress: progress,
  });
  progress(`${rate} changes per second for ${minutes} minutes`);
  const { figures, differences, errors, samplesMB } = await runSoak(stage, {
    minutes,
    rate,
    seed,
    onProgress: progress,
  });
  const summaries = summarize(SOAK_FIGURES, [figures]);
  print(renderTable(SOAK_FIGURES, summaries, { services, spread: false }));
  for (const difference of differences.slice(0, SHOWN_DIFFERENCES)) print(`${difference}\n`);
  for (const [error, count] of Object.entries(errors)) print(`failed requests: ${count} x ${error}\n`);
  const faults = faultsOf(summaries, minutes);
  const { spread: _oneRun, ...values } = toJson(summaries);
  const result = { bench: "soak", minutes, services, rate, source, seed, ...values, errors, faults, machine };
  const file = await writeResult(options.results, `soak-${services}-${source}`, {
    ...result,
    differences,
    samplesMB,
  });
  progress(`the result is in ${file}`);
  if (options.json) print(`${JSON.stringify(result)}\n`);
  if (faults.length > 0) throw new Error(`not as it has to be: ${faults.join("; ")}`);
}

/** What is not as it has to be, in words. */
export function faultsOf(
  summaries: Readonly<Partial<Record<SoakFigure, Summary>>>,
  minutes: number,
): string[] {
  const faults: string[] = [];
  for (const [name, { label, target }] of Object.entries(SOAK_FIGURES) as [SoakFigure, FigureDefinition][]) {
    const value = summaries[name]?.value;
    if (typeof target === "number" && !(value !== undefined && value <= target)) {
      faults.push(`${label.trim()}: ${value ?? "not known"}`);
    }
  }
  for (const [who, name] of [["agent", "agent_rss"], ["Envoy", "envoy_rss"]] as const) {
    const growth = summaries[`${name}_growth_mb`]?.value ?? NaN;
    const noise = summaries[`${name}_noise_mb`]?.value ?? NaN;
    const level = summaries[`${name}_mb`]?.value ?? NaN;
    if (minutes >= JUDGED_FROM_MINUTES && !(growth <= Math.max(noise, LUMP * level))) {
      faults.push(`memory of the ${who} grew by ${growth.toFixed(1)} MB, which is no noise`);
    }
  }
  return faults;
}

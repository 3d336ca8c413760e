/**
 * `deno task bench scale`: what Lightpath costs on a node of a cluster of N Services.
 *
 * In: flags. Out: a table for people, with `--json` one line for machines at the end, and a file with every repetition in
 * `.lightpath/bench/`. The agent, Envoy and nft are the real ones, in namespaces of their own.
 * @module
 */
import { parseArgs } from "node:util";
import { join } from "@std/path/join";
import { progress } from "../tool_path.ts";
import { renderTable, summarize, toJson } from "./figures.ts";
import { type Mode, NodeStage, type Programs, type Source } from "./node_stage.ts";
import { findPrograms } from "./programs.ts";
import { describeMachine, RESULTS_FOLDER, writeResult } from "./results.ts";
import { parseCount, parseCounts, parseSource } from "./options.ts";
import { FULL_EFFORT, QUICK_EFFORT } from "./scale_effort.ts";
import { SCALE_FIGURES } from "./scale_figures.ts";
import { type Repetition, runRepetition } from "./scale_run.ts";
import { MAX_SERVICES } from "./world.ts";

/** What it says about itself. */
export const SCALE_USAGE =
  `deno task bench scale --services N,… [--mode on-demand|eager] [--source api|synthetic] [--repetitions R] [--quick] [--profile]
                       [--deno-flag F] [--env NAME=VALUE] [--results DIR] [--json]

  --services N,…    Services in the cluster, two endpoints each; 100 of them are used by this node. Several sizes are
                    measured one after the other
  --mode M          when Envoy learns of a Service: on-demand (default) or eager
  --source S        a real etcd and kube-apiserver (api), or a stand-in of ours that is filled in seconds
                    (synthetic, default)
  --repetitions R   how often all is measured, from an empty agent on (default 3)
  --quick           looks at everything, but too briefly for good figures
  --profile         writes a CPU profile of every agent to .lightpath/bench/profiles/ (for Chrome's DevTools); slower
  --deno-flag F     starts the agent with this flag of Deno, e.g. --deno-flag=--v8-flags=--max-old-space-size=200; may
                    be repeated
  --env NAME=VALUE  starts the agent with this in its environment, e.g. MALLOC_ARENA_MAX=2; may be repeated
  --results DIR     where the results are written (default .lightpath/bench)
  --json            ends with one line of JSON; of several sizes each is an element of "sizes"
`;

/** The command line, read. */
export interface ScaleOptions {
  readonly services: readonly number[];
  readonly mode: Mode;
  readonly source: Source;
  readonly repetitions: number;
  readonly quick: boolean;
  readonly profile: boolean;
  readonly denoFlags: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly results: string;
  readonly json: boolean;
}

/** Reads the command line. @throws {TypeError} with a sentence for whoever typed it */
export function parseScaleOptions(args: readonly string[]): ScaleOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      services: { type: "string" },
      mode: { type: "string", default: "on-demand" },
      source: { type: "string", default: "synthetic" },
      repetitions: { type: "string", default: "3" },
      quick: { type: "boolean", default: false },
      profile: { type: "boolean", default: false },
      "deno-flag": { type: "string", multiple: true, default: [] },
      env: { type: "string", multiple: true, default: [] },
      results: { type: "string", default: RESULTS_FOLDER },
      json: { type: "boolean", default: false },
    },
  });
  const { mode, quick, profile, results, json } = values;
  if (mode !== "on-demand" && mode !== "eager") {
    throw new TypeError(`--mode is "${mode}": wanted on-demand or eager`);
  }
  return {
    services: parseCounts("--services", values.services, { max: MAX_SERVICES }),
    mode,
    source: parseSource(values.source),
    repetitions: parseCount("--repetitions", values.repetitions, { max: 100 }),
    quick,
    profile,
    denoFlags: values["deno-flag"],
    env: Object.fromEntries(values.env.map(parseVariable)),
    results,
    json,
  };
}

function parseVariable(text: string): [string, string] {
  const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    throw new TypeError(`--env is "${text}": wanted NAME=VALUE`);
  }
  return [name, value];
}

function denoFlagsOf({ profile, denoFlags }: ScaleOptions): readonly string[] {
  if (!profile) return denoFlags;
  return [...denoFlags, "--cpu-prof", `--cpu-prof-dir=${join(RESULTS_FOLDER, "profiles")}`];
}

/**
 * Measures, and writes what it found through `print`.
 * @throws {Error} When the machine lacks something, or the program measured does not work.
 */
export async function runScale(
  args: readonly string[],
  print: (text: string) => void,
): Promise<void> {
  const options = parseScaleOptions(args);
  const programs = await findPrograms(options.source);
  const sizes: Readonly<Record<string, unknown>>[] = [];
  for (const services of options.services) {
    if (options.services.length > 1) print(`${services} Services\n`);
    sizes.push(await measureSize(services, { options, programs, print }));
  }
  if (options.json) print(`${JSON.stringify(sizes.length === 1 ? sizes[0] : { bench: "scale", sizes })}\n`);
}

/** @returns what `--json` tells of one size */
async function measureSize(
  services: number,
  { options, programs, print }: {
    readonly options: ScaleOptions;
    readonly programs: Programs;
    readonly print: (text: string) => void;
  },
): Promise<Readonly<Record<string, unknown>>> {
  const { mode, source, quick, env, profile } = options;
  const machine = describeMachine();
  const denoFlags = denoFlagsOf(options);
  progress(`${services} Services, ${mode}, ${source} API: preparing`);
  const repetitions: Repetition[] = [];
  {
    await using stage = await NodeStage.create({
      ...{ services, mode, source, programs, denoFlags, env },
      readable: profile,
      onProgress: progress,
    });
    for (let number = 1; number <= options.repetitions; number++) {
      progress(`repetition ${number} of ${options.repetitions}`);
      repetitions.push(await runRepetition(stage, quick ? QUICK_EFFORT : FULL_EFFORT));
    }
  }
  const summaries = summarize(SCALE_FIGURES, repetitions.map(({ figures }) => figures));
  // Targets are made for the default mode.
  print(renderTable(SCALE_FIGURES, summaries, { services: mode === "on-demand" ? services : 0 }));
  const result = {
    bench: "scale",
    ...{ services, mode, source, repetitions: repetitions.length, quick, denoFlags, env },
    ...toJson(summaries),
    machine,
  };
  const name = `scale-${services}-${mode}-${source}`;
  const file = await writeResult(options.results, name, { ...result, each: repetitions });
  progress(`every repetition is in ${file}`);
  return result;
}

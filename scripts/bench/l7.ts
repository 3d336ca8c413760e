/**
 * `deno task bench l7`: what a request costs on its way through Lightpath, beside a static Envoy that does the same.
 *
 * In: flags. Out: a table of the ways, one of ratios, with `--json` one line for machines at the end, and a file with every
 * round in `.lightpath/bench/`. Agent, Envoy, nft and the redirect are the real ones, in namespaces of their own.
 * @module
 */
import { parseArgs } from "node:util";
import { namespacesUnavailable } from "../lab/mod.ts";
import { progress, withTools } from "../tool_path.ts";
import { joinRounds, renderSummary, type Rounds, summarizeRounds, summaryToJson } from "./l7_figures.ts";
import { runRounds } from "./l7_run.ts";
import { type L7Programs, L7Stage } from "./l7_stage.ts";
import { parseCount } from "./options.ts";
import { describeMachine, RESULTS_FOLDER, writeResult } from "./results.ts";

/** What it says about itself. */
export const L7_USAGE = `deno task bench l7 [--rounds N] [--quick] [--results DIR] [--json]

  --rounds N        how often every way is measured, in an order drawn anew each time (default 20, 20 seconds each),
                    every four of them with Envoys started anew
  --quick           one brief round: looks at everything, but too briefly for good figures
  --results DIR     where the result is written (default .lightpath/bench)
  --json            ends with one line of JSON
`;

/** The command line, read. */
export interface L7Options {
  readonly rounds: number;
  readonly quick: boolean;
  readonly results: string;
  readonly json: boolean;
}

/** Reads the command line. @throws {TypeError} with a sentence for whoever typed it */
export function parseL7Options(args: readonly string[]): L7Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string" },
      quick: { type: "boolean", default: false },
      results: { type: "string", default: RESULTS_FOLDER },
      json: { type: "boolean", default: false },
    },
  });
  const { rounds, quick, results, json } = values;
  return {
    rounds: parseCount("--rounds", rounds ?? (quick ? "1" : "20"), { max: 1_000 }),
    quick,
    results,
    json,
  };
}

/**
 * How long the same two Envoys are compared. Where its memory happens to lie makes an Envoy up to 3 % faster or slower than the
 * next one of the same configuration, for as long as it lives: no number of rounds tells that from a difference between the two.
 */
const ROUNDS_OF_A_STAGE = 4;

/**
 * Measures, and writes what it found through `print`.
 * @throws {Error} When the machine lacks something, or a way does not answer.
 */
export async function runL7(args: readonly string[], print: (text: string) => void): Promise<void> {
  const { rounds, quick, results, json } = parseL7Options(args);
  const programs = await findL7Programs();
  const machine = describeMachine();
  const found: Rounds[] = [];
  for (let done = 0; done < rounds; done += ROUNDS_OF_A_STAGE) {
    progress("preparing");
    await using stage = await L7Stage.create(programs);
    const count = Math.min(ROUNDS_OF_A_STAGE, rounds - done);
    progress(`rounds ${done + 1} to ${done + count} of ${rounds}`);
    found.push(await runRounds(stage, { rounds: count, durationMs: quick ? 200 : 350 }));
  }
  const each = joinRounds(found);
  const summary = summarizeRounds(each);
  print(renderSummary(summary));
  const result = { bench: "l7", rounds, quick, ...summaryToJson(summary), machine };
  progress(
    `every round is in ${await writeResult(results, "l7", { ...result, each: Object.fromEntries(each) })}`,
  );
  if (json) print(`${JSON.stringify(result)}\n`);
}

async function findL7Programs(): Promise<L7Programs> {
  const { paths, unavailable } = await withTools(["ip", "unshare", "nsenter", "nft", "envoy", "fortio"]);
  const missing = [...unavailable, await namespacesUnavailable()].filter((one) => one !== undefined);
  if (missing.length > 0) throw new Error(`cannot measure here: ${missing.join("; ")}`);
  return { envoy: paths.get("envoy")!, nft: paths.get("nft")!, fortio: paths.get("fortio")! };
}

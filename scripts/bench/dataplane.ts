/**
 * `deno task bench dataplane`: what clients get through the kernel and through Envoy, beside kube-proxy and beside no proxy.
 *
 * In: flags. Out: a table of the ways, tables of ratios, with `--json` one line for machines at the end, and a file with every
 * round in `.lightpath/bench/`. Programs, kernel and API server are the real ones, in namespaces of their own.
 * @module
 */
import { parseArgs } from "node:util";
import { namespacesUnavailable } from "../lab/mod.ts";
import { progress, withTools } from "../tool_path.ts";
import { renderSummary, summarizeRounds, summaryToJson } from "./dataplane_figures.ts";
import { runRounds } from "./dataplane_run.ts";
import { type DataplanePrograms, DataplaneStage } from "./dataplane_stage.ts";
import { parseCount } from "./options.ts";
import { describeMachine, RESULTS_FOLDER, writeResult } from "./results.ts";

/** What it says about itself. */
export const DATAPLANE_USAGE = `deno task bench dataplane [--rounds N] [--quick] [--results DIR] [--json]

  --rounds N        how often every way is measured, in an order drawn anew each time (default 20, thirteen seconds each)
  --quick           one brief round: looks at everything, but too briefly for good figures
  --results DIR     where the result is written (default .lightpath/bench)
  --json            ends with one line of JSON
`;

/** The command line, read. */
export interface DataplaneOptions {
  readonly rounds: number;
  readonly quick: boolean;
  readonly results: string;
  readonly json: boolean;
}

/** Reads the command line. @throws {TypeError} with a sentence for whoever typed it */
export function parseDataplaneOptions(args: readonly string[]): DataplaneOptions {
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
 * Measures, and writes what it found through `print`.
 * @throws {Error} When the machine lacks something, or a way does not answer.
 */
export async function runDataplane(args: readonly string[], print: (text: string) => void): Promise<void> {
  const { rounds, quick, results, json } = parseDataplaneOptions(args);
  const programs = await findPrograms();
  const machine = describeMachine();
  progress("preparing");
  await using stage = await DataplaneStage.create(programs);
  progress(`${rounds} rounds`);
  const found = await runRounds(stage, { rounds, durationMs: quick ? 200 : 400 });
  const summary = summarizeRounds(found);
  print(renderSummary(summary));
  const result = { bench: "dataplane", rounds, quick, ...summaryToJson(summary), machine };
  const each = Object.fromEntries(found);
  progress(`every round is in ${await writeResult(results, "dataplane", { ...result, each })}`);
  if (json) print(`${JSON.stringify(result)}\n`);
}

async function findPrograms(): Promise<DataplanePrograms> {
  const { paths, env, unavailable } = await withTools([
    ...["ip", "unshare", "nsenter", "nft", "envoy", "fortio"] as const,
    ...["kube-proxy", "etcd", "kube-apiserver", "conntrack"] as const,
  ]);
  const missing = [...unavailable, await namespacesUnavailable()].filter((one) => one !== undefined);
  if (missing.length > 0) throw new Error(`cannot measure here: ${missing.join("; ")}`);
  return {
    envoy: paths.get("envoy")!,
    nft: paths.get("nft")!,
    fortio: paths.get("fortio")!,
    kubeProxy: paths.get("kube-proxy")!,
    etcd: paths.get("etcd")!,
    kubeApiserver: paths.get("kube-apiserver")!,
    env,
  };
}

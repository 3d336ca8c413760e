/**
 * `deno task bench scenarios`: a graph of services under load, beside kube-proxy.
 *
 * In: flags; the manifests in `deploy/bench/scenarios/`. Out: a table of both sides and one of the goals, with `--json` one line for
 * machines at the end; the result, a report and its charts in the folder of results; each load's result as fortio wrote it. kube-proxy,
 * Lightpath, Envoy, kernel and API server are the real ones, in namespaces of their own.
 * @module
 */
import { parseArgs } from "node:util";
import { fromFileUrl } from "@std/path/from-file-url";
import { join } from "@std/path/join";
import { parseAllDocuments } from "yaml";
import { namespacesUnavailable } from "../../lab/mod.ts";
import type { KubeObject } from "../../lab/object_path.ts";
import { temporaryFolder } from "../../lab/temporary_folder.ts";
import { bundleLightpath } from "../../lightpath_command.ts";
import { progress, withTools } from "../../tool_path.ts";
import { runProgram } from "../../tools/run_program.ts";
import { ENVOY_VERSION, FORTIO_VERSION, KUBERNETES_VERSION } from "../../tools/versions.ts";
import { parseCount, parseNumber } from "../options.ts";
import { describeMachine, RESULTS_FOLDER, writeResult } from "../results.ts";
import { SCENARIO_NAMES, type ScenarioName } from "./catalog.ts";
import { type Play, readPlay, slowed } from "./manifests.ts";
import { renderSummaries, reportName } from "./report.ts";
import { renderFiles } from "./report_files.ts";
import { type ScenariosResult, summarizeResult } from "./result.ts";
import { runScenario, type ScenarioEffort, type Turn } from "./run.ts";
import { type ScenarioPrograms, ScenarioStage } from "./stage.ts";

const FOLDER = fromFileUrl(new URL("../../../deploy/bench/scenarios/", import.meta.url));

/** What it says about itself. */
export const SCENARIOS_USAGE = `deno task bench scenarios [--only NAME,…] [--repetitions N] [--seconds S]
                          [--qps-scale X] [--slow-motion X] [--quick] [--results DIR] [--runs DIR] [--json]

  --only NAME,…     some of ${SCENARIO_NAMES.slice(0, 6).join(", ")},
                    ${SCENARIO_NAMES.slice(6, 10).join(", ")},
                    ${SCENARIO_NAMES.slice(10).join(", ")} (default all)
  --repetitions N   how often both proxies are measured, in an order drawn anew each time (default 5)
  --seconds S       of each load (default 12)
  --qps-scale X     times the requests a second that the manifests say (default 1)
  --slow-motion X   so many times fewer requests, and replicas that take so many times longer (default 1): each replica is
                    as busy as before, and the processors are not
  --quick           one brief repetition: looks at everything, but too briefly for good figures
  --results DIR     where result, report and charts are written (default .lightpath/bench)
  --runs DIR        where the result of each load is kept (default .lightpath/bench/scenarios)
  --json            ends with one line of JSON
`;

/** The command line, read. */
export interface ScenariosOptions {
  readonly only: readonly ScenarioName[];
  readonly effort: ScenarioEffort;
  readonly results: string;
  readonly runs: string;
  readonly json: boolean;
}

/** Reads the command line. @throws {TypeError} with a sentence for whoever typed it */
export function parseScenariosOptions(args: readonly string[]): ScenariosOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string" },
      repetitions: { type: "string" },
      seconds: { type: "string" },
      "qps-scale": { type: "string", default: "1" },
      "slow-motion": { type: "string", default: "1" },
      quick: { type: "boolean", default: false },
      results: { type: "string", default: RESULTS_FOLDER },
      runs: { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const { quick, results, runs = join(RESULTS_FOLDER, "scenarios"), json } = values;
  return {
    only: values.only === undefined ? SCENARIO_NAMES : values.only.split(",").map(parseName),
    effort: {
      repetitions: parseCount("--repetitions", values.repetitions ?? (quick ? "1" : "5"), { max: 100 }),
      durationMs: 1_000 *
        parseNumber("--seconds", values.seconds ?? (quick ? "1" : "12"), { above: 0, max: 3_600 }),
      warmUpMs: quick ? 500 : 3_000,
      qpsScale: parseNumber("--qps-scale", values["qps-scale"], { above: 0, max: 100 }),
      slowMotion: parseNumber("--slow-motion", values["slow-motion"], { above: 0, max: 100 }),
    },
    ...{ results, runs, json },
  };
}

function parseName(text: string): ScenarioName {
  const name = SCENARIO_NAMES.find((name) => name === text);
  if (name === undefined) throw new TypeError(`--only: there is no scenario "${text}"`);
  return name;
}

/**
 * Measures, and writes what it found through `print`.
 * @throws {Error} When the machine lacks something, or a part of a scenario does not start.
 */
export async function runScenarios(args: readonly string[], print: (text: string) => void): Promise<void> {
  const { only, effort, results, runs, json } = parseScenariosOptions(args);
  await using made = new AsyncDisposableStack();
  const programs = await findScenarioPrograms(await temporaryFolder(made, "lightpath-bench-"));
  const machine = describeMachine();
  await Deno.mkdir(runs, { recursive: true });
  const keep = (name: string, text: string): Promise<void> =>
    Deno.writeTextFile(join(runs, `${name}.json`), text);
  const each: Partial<Record<ScenarioName, Turn[][]>> = {};
  for (const name of only) {
    progress(`${name}: preparing`);
    const play = slowed(await buildPlay(name, programs.kustomize), effort.slowMotion);
    await using stage = await ScenarioStage.create(play, programs);
    progress(`${name}: ${effort.repetitions} repetitions`);
    each[name] = await runScenario(name, { stage, play, effort, keep });
  }
  const result: ScenariosResult = {
    bench: "scenarios",
    command: ["deno task bench scenarios", ...args.filter((arg) => arg !== "--json")].join(" "),
    repetitions: effort.repetitions,
    seconds: effort.durationMs / 1_000,
    qpsScale: effort.qpsScale,
    slowMotion: effort.slowMotion,
    machine,
    versions: {
      "Envoy": ENVOY_VERSION,
      "kube-proxy": KUBERNETES_VERSION,
      "fortio": FORTIO_VERSION,
      "Deno": machine.deno,
    },
    each,
  };
  const summaries = summarizeResult(result);
  print(renderSummaries(summaries));
  await writeResult(results, reportName(result), result);
  for (const [name, text] of renderFiles(result)) await Deno.writeTextFile(join(results, name), text);
  progress(`result, report and charts are in ${results}`);
  if (json) {
    const { each: _, ...rest } = result;
    print(`${JSON.stringify({ ...rest, scenarios: summaries })}\n`);
  }
}

/** What a scenario consists of, as a cluster would be given it. @throws {Error} with kustomize's words */
export async function buildPlay(name: ScenarioName, kustomize: string): Promise<Play> {
  const text = await runProgram(kustomize, ["build", join(FOLDER, name)]);
  return readPlay(parseAllDocuments(text).map((document) => document.toJS() as KubeObject));
}

async function findScenarioPrograms(bundle: string): Promise<ScenarioPrograms> {
  const { paths, env, unavailable } = await withTools([
    ...["ip", "unshare", "nsenter", "nft", "envoy", "fortio", "conntrack"] as const,
    ...["kube-proxy", "etcd", "kube-apiserver", "kustomize", "mock-graph"] as const,
  ]);
  const missing = [...unavailable, await namespacesUnavailable()].filter((one) => one !== undefined);
  if (missing.length > 0) throw new Error(`cannot measure here: ${missing.join("; ")}`);
  return {
    lightpath: await bundleLightpath(bundle, { minify: true }),
    envoy: paths.get("envoy")!,
    nft: paths.get("nft")!,
    conntrack: paths.get("conntrack")!,
    kubeProxy: paths.get("kube-proxy")!,
    etcd: paths.get("etcd")!,
    kubeApiserver: paths.get("kube-apiserver")!,
    fortio: paths.get("fortio")!,
    kustomize: paths.get("kustomize")!,
    mockGraph: paths.get("mock-graph")!,
    env,
  };
}

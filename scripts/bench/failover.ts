/**
 * `deno task bench failover`: what clients notice when Envoy, the agent or both end.
 *
 * In: flags. Out: a table per fault, with `--json` one line for machines at the end, and a file in `.lightpath/bench/`.
 * A node with pods in namespaces, the real program, real Envoy and nft. Clients make a new connection for each request, because
 * connections that go through an Envoy break with it whatever anybody does.
 * @module
 */
import { parseArgs } from "node:util";
import { progress } from "../tool_path.ts";
import { type FigureDefinition, type Figures, renderTable, summarize, toJson } from "./figures.ts";
import { parseCount } from "./options.ts";
import { describeMachine, RESULTS_FOLDER, writeResult } from "./results.ts";

/** What it says about itself. */
export const FAILOVER_USAGE =
  `deno task bench failover [--repetitions R] [--services N] [--results F] [--json]

  --repetitions R   how often each fault is made (default 5)
  --services N      Services of the node, of which two are asked (default 1000)
  --results F       folder for the result's file (default ${RESULTS_FOLDER})
  --json            ends with one line of JSON
`;

/** What is done to the node. */
export const FAULTS = {
  envoy: "Envoy is killed; the agent, which runs it, starts it again",
  agentEnds: "the agent is told to end and takes Envoy along; the next one is started",
  both: "agent and Envoy are killed; the next agent is started two seconds later",
} as const;

/** A key of {@linkcode FAULTS}. */
export type Fault = keyof typeof FAULTS;

/** Names of the figures. */
export type FailoverFigure = "requests" | "failed" | "inFlight" | "longestMs" | "takeoverMs" | "backMs";

const FIGURES: Readonly<Record<FailoverFigure, FigureDefinition>> = {
  requests: { label: "requests, each on a new connection", unit: "", summarize: "median" },
  inFlight: { label: "of them under way through Envoy when it ended", unit: "", summarize: "max" },
  failed: { label: "others that failed", unit: "", summarize: "max" },
  longestMs: { label: "the longest one took", unit: "ms", summarize: "median" },
  takeoverMs: { label: "until the kernel served", unit: "ms", summarize: "median" },
  backMs: { label: "until Envoy served again", unit: "ms", summarize: "median" },
};

/** The command line, read. */
export interface FailoverOptions {
  readonly repetitions: number;
  readonly services: number;
  readonly results: string;
  readonly json: boolean;
}

/** Reads the command line. @throws {TypeError} with a sentence for whoever typed it */
export function parseFailoverOptions(args: readonly string[]): FailoverOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      repetitions: { type: "string", default: "5" },
      services: { type: "string", default: "1000" },
      results: { type: "string", default: RESULTS_FOLDER },
      json: { type: "boolean", default: false },
    },
  });
  return {
    repetitions: parseCount("--repetitions", values.repetitions, { max: 100 }),
    services: parseCount("--services", values.services, { max: 50_000 }),
    results: values.results,
    json: values.json,
  };
}

/** Measures, and writes what it found through `print`. @throws {Error} when it cannot be measured here */
export async function runFailover(args: readonly string[], print: (text: string) => void): Promise<void> {
  const { repetitions, services, results, json } = parseFailoverOptions(args);
  const { FailoverStage } = await import("./failover_run.ts");
  await using stage = await FailoverStage.create(services);
  const each: Partial<Record<Fault, Figures<FailoverFigure>[]>> = {};
  for (let repetition = 0; repetition < repetitions; repetition++) {
    for (const fault of Object.keys(FAULTS) as Fault[]) {
      progress(`${repetition + 1} of ${repetitions}: ${FAULTS[fault]}`);
      (each[fault] ??= []).push(await stage.measure(fault));
    }
  }
  const summaries = Object.entries(each).map(([fault, found]) =>
    [fault as Fault, summarize(FIGURES, found)] as const
  );
  for (const [fault, summary] of summaries) {
    print(`${FAULTS[fault]}\n${renderTable(FIGURES, summary, { services })}\n`);
  }
  const faults = Object.fromEntries(summaries.map(([fault, summary]) => [fault, toJson(summary)]));
  const result = { bench: "failover", repetitions, services, faults, machine: describeMachine() };
  progress(`every repetition is in ${await writeResult(results, "failover", { ...result, each })}`);
  if (json) print(`${JSON.stringify(result)}\n`);
}

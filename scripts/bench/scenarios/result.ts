/**
 * The result of `bench scenarios` as it is written, and read again for the report. Pure.
 * @module
 */
import type { Machine } from "../results.ts";
import { SCENARIO_NAMES, type ScenarioName } from "./catalog.ts";
import { type ScenarioSummary, summarizeScenario } from "./figures.ts";
import type { Turn } from "./run.ts";

/** What was run, and with what. */
export interface ScenariosResult {
  readonly bench: "scenarios";
  readonly command: string;
  readonly repetitions: number;
  readonly seconds: number;
  readonly qpsScale: number;
  readonly slowMotion: number;
  readonly machine: Machine;
  /** By program. */
  readonly versions: Readonly<Record<string, string>>;
  /** Of each scenario its repetitions. */
  readonly each: Readonly<Partial<Record<ScenarioName, readonly (readonly Turn[])[]>>>;
}

/** All scenarios of a result, in the order of the catalog. */
export function summarizeResult({ each }: ScenariosResult): ScenarioSummary[] {
  return SCENARIO_NAMES.flatMap((name) => {
    const repetitions = each[name];
    return repetitions === undefined ? [] : [summarizeScenario(name, repetitions)];
  });
}

/**
 * The files of the report of `bench scenarios`: the text and the charts it shows. Pure.
 * @module
 */
import { drawLatencies, drawPrograms } from "./charts.ts";
import { CHART_FILES, renderReport } from "./report.ts";
import type { ScenariosResult } from "./result.ts";

/** Each by its name; all belong in the same folder. */
export function renderFiles(result: ScenariosResult): Map<string, string> {
  return new Map([
    ["scenarios.md", renderReport(result)],
    [CHART_FILES.latency, drawLatencies(result)],
    [CHART_FILES.programs, drawPrograms(result)],
  ]);
}

/**
 * The files of the report of `bench scenarios`: the text and the charts it shows. Pure.
 * @module
 */
import { drawLatencies, drawPrograms } from "./charts.ts";
import { chartFiles, renderReport, reportName } from "./report.ts";
import type { ScenariosResult } from "./result.ts";

/** Each by its name; all belong in the same folder. */
export function renderFiles(result: ScenariosResult): Map<string, string> {
  const { latency, programs } = chartFiles(result);
  return new Map([
    [`${reportName(result)}.md`, renderReport(result)],
    [latency, drawLatencies(result)],
    [programs, drawPrograms(result)],
  ]);
}

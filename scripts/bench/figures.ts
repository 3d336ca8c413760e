/**
 * What a benchmark found: which figures there are, how repetitions become one, and how a table of them looks.
 *
 * In: one number per figure and repetition. Out: summaries, a table for people, an object for machines. Pure.
 * @module
 */

/** How the numbers of several repetitions become the one that is reported. */
export type Summarize =
  /** The middle one; the mean of the two in the middle. */
  | "median"
  /** The worst: for what must not happen even once. */
  | "max";

/** One figure. */
export interface FigureDefinition {
  readonly label: string;
  /** Empty for a count. */
  readonly unit: "" | "µs" | "ms" | "MB" | "MB/h" | "MB/s" | "B" | "%" | "/s";
  readonly summarize: Summarize;
  /** The most it may be: always, or by number of Services; a figure of another size then has no target. */
  readonly target?: number | Readonly<Record<number, number>>;
}

/** Numbers by the name of their figure; one that could not be measured is missing. */
export type Figures<Name extends string> = Readonly<Partial<Record<Name, number>>>;

/** What became of a figure over all repetitions. */
export interface Summary {
  readonly value: number;
  readonly min: number;
  readonly max: number;
}

/** Summarises repetitions, figure by figure, in the order of the definitions. */
export function summarize<Name extends string>(
  definitions: Readonly<Record<Name, FigureDefinition>>,
  repetitions: readonly Figures<Name>[],
): Partial<Record<Name, Summary>> {
  const summaries: Partial<Record<Name, Summary>> = {};
  for (const name of Object.keys(definitions) as Name[]) {
    const sorted = repetitions.flatMap((figures) => figures[name] ?? []).toSorted((a, b) => a - b);
    const [min, max] = [sorted[0], sorted.at(-1)];
    if (min === undefined || max === undefined) continue;
    summaries[name] = { value: definitions[name].summarize === "max" ? max : median(sorted), min, max };
  }
  return summaries;
}

/** The value at rank q (nearest rank: the smallest that at least that share does not exceed); NaN of none. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? NaN;
}

/** The mean; NaN of none. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The middle of sorted values. */
function median(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

/** Renders a table: each figure with its value, its spread if wanted, and its target where there is one for this size. */
export function renderTable<Name extends string>(
  definitions: Readonly<Record<Name, FigureDefinition>>,
  summaries: Readonly<Partial<Record<Name, Summary>>>,
  { services, spread = true }: { readonly services: number; readonly spread?: boolean },
): string {
  const rows = [["figure", "value", ...(spread ? ["min", "max"] : []), "target", ""]];
  const missing = rows[0]!.slice(2).map(() => "");
  for (const name of Object.keys(definitions) as Name[]) {
    const { label, unit, target } = definitions[name];
    const summary = summaries[name];
    if (summary === undefined) {
      rows.push([label, "–", ...missing]);
      continue;
    }
    const limit = typeof target === "number" ? target : target?.[services];
    const [value, min, max] = [summary.value, summary.min, summary.max].map((number) =>
      withUnit(number, unit)
    );
    const [wanted, verdict] = limit === undefined
      ? ["", ""]
      : [`≤ ${withUnit(limit, unit)}`, summary.value <= limit ? "met" : "MISSED"];
    rows.push([label, value!, ...(spread ? [min!, max!] : []), wanted, verdict]);
  }
  return renderColumns(rows, (column) => column === 0 || column === rows[0]!.length - 1);
}

/** Rows of as many cells each, with their columns aligned: the first to the left, the others as `isLeft` says. */
export function renderColumns(
  rows: readonly (readonly string[])[],
  isLeft: (column: number) => boolean = (column) => column === 0,
): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row.map((cell, column) => isLeft(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))
      .join("  ").trimEnd()
  );
  return `${lines.join("\n")}\n`;
}

/**
 * Of each subject after the first, every figure as a multiple of the first subject's; nothing for counts, nor where the first
 * has 0 or nothing.
 */
export function ratiosToFirst<Name extends string>(
  definitions: Readonly<Record<Name, FigureDefinition>>,
  subjects: ReadonlyMap<string, Readonly<Partial<Record<Name, Summary>>>>,
): Record<string, Partial<Record<Name, number>>> {
  const [first, ...others] = [...subjects];
  return Object.fromEntries(others.map(([subject, summaries]) => {
    const ratios: Partial<Record<Name, number>> = {};
    for (const [name, { value }] of Object.entries(summaries) as [Name, Summary][]) {
      const base = first?.[1][name]?.value;
      if (base && definitions[name].unit !== "") ratios[name] = rounded(value / base);
    }
    return [subject, ratios];
  }));
}

/** Renders several subjects side by side, each figure also as a multiple of the first subject's. */
export function renderComparison<Name extends string>(
  definitions: Readonly<Record<Name, FigureDefinition>>,
  subjects: ReadonlyMap<string, Readonly<Partial<Record<Name, Summary>>>>,
): string {
  const ratios = ratiosToFirst(definitions, subjects);
  const rows = [["figure", ...subjects.keys()]];
  for (const name of Object.keys(definitions) as Name[]) {
    const { label, unit } = definitions[name];
    const cells = [...subjects].map(([subject, summaries]) => {
      const value = summaries[name]?.value;
      if (value === undefined) return "–";
      const ratio = ratios[subject]?.[name];
      return ratio === undefined ? withUnit(value, unit) : `${withUnit(value, unit)} (${ratio} x)`;
    });
    rows.push([label, ...cells]);
  }
  return renderColumns(rows);
}

/** The object of the last line of `--json`: the summarised value under each figure's name, the spread beside it. */
export function toJson<Name extends string>(
  summaries: Readonly<Partial<Record<Name, Summary>>>,
): Record<string, unknown> {
  const entries = Object.entries(summaries) as [Name, Summary][];
  return {
    ...Object.fromEntries(entries.map(([name, { value }]) => [name, rounded(value)])),
    spread: Object.fromEntries(
      entries.map(([name, { min, max }]) => [name, { min: rounded(min), max: rounded(max) }]),
    ),
  };
}

/** A number as it is printed. */
export function withUnit(value: number, unit: FigureDefinition["unit"]): string {
  const text = String(rounded(value));
  return unit === "" ? text : `${text} ${unit}`;
}

/** Three digits that count, and never a digit less before the point. */
function rounded(value: number): number {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 0.01))));
  return Number(value.toFixed(Math.min(digits, 3)));
}

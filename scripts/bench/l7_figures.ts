/**
 * The figures of `bench l7`: of each case, and of Lightpath as a multiple of the static Envoy.
 *
 * In: figures of each case in each round. Out: summaries, tables for people, an object for machines. Pure.
 *
 * Ratios are taken within a round, where the two were measured moments apart, and summarised after that: what else the machine
 * was doing falls out of them, and not out of the figures themselves. How far they spread is told by their quartiles; the
 * extremes are those of the machine.
 * @module
 */
import {
  type FigureDefinition,
  type Figures,
  quantile,
  renderColumns,
  summarize,
  type Summary,
  toJson,
  withUnit,
} from "./figures.ts";
import { CASE_NAMES, type CaseName, CASES, PAIRS } from "./l7_cases.ts";

/** Names of the figures of a case. */
export type L7Figure =
  | "requestsPerSecond"
  | "cpuUs"
  | "p50Ms"
  | "p99Ms"
  | "calmP50Ms"
  | "connectionsPerSecond";

/** Of a case. */
export const L7_FIGURES: Readonly<Record<L7Figure, FigureDefinition>> = {
  requestsPerSecond: { label: "requests", unit: "/s", summarize: "median" },
  cpuUs: { label: "CPU of Envoy per request", unit: "µs", summarize: "median" },
  p50Ms: { label: "p50", unit: "ms", summarize: "median" },
  p99Ms: { label: "p99", unit: "ms", summarize: "median" },
  calmP50Ms: { label: "p50 at 100 /s", unit: "ms", summarize: "median" },
  connectionsPerSecond: { label: "new connections", unit: "/s", summarize: "median" },
};
const FIGURES = Object.keys(L7_FIGURES) as readonly L7Figure[];

/** How much the constant listeners may take off: the share of the static Envoy's throughput that has to remain. */
export const LEAST_THROUGHPUT = 0.9;

/** Of each case, its figures in each round. */
export type Rounds = ReadonlyMap<CaseName, readonly Figures<L7Figure>[]>;

/** What became of all rounds. */
export interface L7Summary {
  readonly cases: ReadonlyMap<CaseName, Readonly<Partial<Record<L7Figure, Summary>>>>;
  /** Of each case of Lightpath, multiples of the static one beside it. */
  readonly ratios: ReadonlyMap<CaseName, Readonly<Partial<Record<L7Figure, Ratio>>>>;
}

/** A multiple. */
export interface Ratio {
  readonly median: number;
  readonly quartiles: readonly [number, number];
}

/** One after the other. */
export function joinRounds(parts: readonly Rounds[]): Rounds {
  return new Map(CASE_NAMES.map((name) => [name, parts.flatMap((rounds) => rounds.get(name) ?? [])]));
}

/** Summarises. */
export function summarizeRounds(rounds: Rounds): L7Summary {
  const cases = new Map([...rounds].map(([name, found]) => [name, summarize(L7_FIGURES, found)]));
  const ratios = new Map(PAIRS.map(([name, twin]) => {
    const others = rounds.get(twin) ?? [];
    const found = (rounds.get(name) ?? []).map((figures, round) => ratiosOf(figures, others[round] ?? {}));
    return [name, summarizeRatios(found)];
  }));
  return { cases, ratios };
}

function summarizeRatios(found: readonly Figures<L7Figure>[]): Partial<Record<L7Figure, Ratio>> {
  return Object.fromEntries(FIGURES.flatMap((name) => {
    const values = found.flatMap((figures) => figures[name] ?? []);
    if (values.length === 0) return [];
    const quartiles = [quantile(values, 0.25), quantile(values, 0.75)];
    return [[name, { median: quantile(values, 0.5), quartiles }]];
  }));
}

function ratiosOf(figures: Figures<L7Figure>, others: Figures<L7Figure>): Figures<L7Figure> {
  return Object.fromEntries(FIGURES.flatMap((name) => {
    const [value, other] = [figures[name], others[name]];
    return value === undefined || !other ? [] : [[name, value / other]];
  }));
}

/** Renders a table of the cases and one of the ratios. */
export function renderSummary({ cases, ratios }: L7Summary): string {
  const labels = FIGURES.map((name) => L7_FIGURES[name].label);
  const figures = CASE_NAMES.map((name) => [
    CASES[name].label,
    ...FIGURES.map((figure) => {
      const value = cases.get(name)?.[figure]?.value;
      return value === undefined ? "–" : withUnit(value, L7_FIGURES[figure].unit);
    }),
  ]);
  const multiples = PAIRS.map(([name]) => {
    const throughput = ratios.get(name)?.requestsPerSecond?.median ?? NaN;
    return [
      CASES[name].label,
      ...FIGURES.map((figure) => {
        const ratio = ratios.get(name)?.[figure];
        if (ratio === undefined) return "–";
        const [low, high] = ratio.quartiles;
        return `${ratio.median.toFixed(2)} (${low.toFixed(2)} … ${high.toFixed(2)})`;
      }),
      throughput >= LEAST_THROUGHPUT ? "met" : "MISSED",
    ];
  });
  return [
    renderColumns([["median", ...labels], ...figures]),
    renderColumns([
      ["times static Envoy, median (quartiles)", ...labels, `requests ≥ ${LEAST_THROUGHPUT}`],
      ...multiples,
    ]),
  ].join("\n");
}

/** The objects of the last line of `--json`. */
export function summaryToJson({ cases, ratios }: L7Summary): Readonly<Record<string, unknown>> {
  return {
    cases: Object.fromEntries([...cases].map(([name, summary]) => [name, toJson(summary)])),
    ratios: Object.fromEntries(ratios),
  };
}

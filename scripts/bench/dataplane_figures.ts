/**
 * The figures of `bench dataplane`: of each case, and as multiples of what kube-proxy and what no proxy has.
 *
 * In: figures of each case in each round. Out: summaries, tables for people, an object for machines. Pure.
 *
 * Ratios are taken within a round, where all of a protocol were measured moments apart, and summarised after that.
 * @module
 */
import { CASE_NAMES, type CaseName, CASES, GROUPS } from "./dataplane_cases.ts";
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

/** Names of the figures of a case. */
export type DataplaneFigure =
  | "requestsPerSecond"
  | "p50Ms"
  | "p99Ms"
  | "megabytesPerSecond"
  | "connectionsPerSecond";

/** Of a case. */
export const DATAPLANE_FIGURES: Readonly<Record<DataplaneFigure, FigureDefinition>> = {
  requestsPerSecond: { label: "requests", unit: "/s", summarize: "median" },
  p50Ms: { label: "p50", unit: "ms", summarize: "median" },
  p99Ms: { label: "p99", unit: "ms", summarize: "median" },
  megabytesPerSecond: { label: "each way", unit: "MB/s", summarize: "median" },
  connectionsPerSecond: { label: "new connections", unit: "/s", summarize: "median" },
};
const FIGURES = Object.keys(DATAPLANE_FIGURES) as readonly DataplaneFigure[];

/** What the kernel path has to keep of kube-proxy's requests per second. */
export const LEAST_OF_KUBE_PROXY = 0.95;

/** Of each case, its figures in each round. */
export type Rounds = ReadonlyMap<CaseName, readonly Figures<DataplaneFigure>[]>;

/** A multiple, over all rounds. */
export interface Ratio {
  readonly median: number;
  readonly quartiles: readonly [number, number];
}

/** Multiples by figure. */
export type Ratios = Readonly<Partial<Record<DataplaneFigure, Ratio>>>;

/** What became of all rounds. */
export interface DataplaneSummary {
  readonly cases: ReadonlyMap<CaseName, Readonly<Partial<Record<DataplaneFigure, Summary>>>>;
  /** Of each case of Lightpath. */
  readonly timesKubeProxy: ReadonlyMap<CaseName, Ratios>;
  /** Of each case with a proxy. */
  readonly timesDirect: ReadonlyMap<CaseName, Ratios>;
}

/** Summarises. */
export function summarizeRounds(rounds: Rounds): DataplaneSummary {
  return {
    cases: new Map([...rounds].map(([name, found]) => [name, summarize(DATAPLANE_FIGURES, found)])),
    timesKubeProxy: new Map(
      GROUPS.flatMap(({ kubeProxy, lightpath }) =>
        lightpath.map((name) => [name, ratios(rounds, name, kubeProxy)] as const)
      ),
    ),
    timesDirect: new Map(
      GROUPS.flatMap(({ direct, kubeProxy, lightpath }) =>
        [kubeProxy, ...lightpath].map((name) => [name, ratios(rounds, name, direct)] as const)
      ),
    ),
  };
}

function ratios(rounds: Rounds, name: CaseName, base: CaseName): Ratios {
  const others = rounds.get(base) ?? [];
  return Object.fromEntries(FIGURES.flatMap((figure) => {
    const values = (rounds.get(name) ?? []).flatMap((figures, round) => {
      const [value, other] = [figures[figure], others[round]?.[figure]];
      return value === undefined || !other ? [] : [value / other];
    });
    if (values.length === 0) return [];
    const quartiles = [quantile(values, 0.25), quantile(values, 0.75)];
    return [[figure, { median: quantile(values, 0.5), quartiles }]];
  }));
}

/** Renders a table of the cases, and one of the multiples of each kind. */
export function renderSummary({ cases, timesKubeProxy, timesDirect }: DataplaneSummary): string {
  const labels = FIGURES.map((name) => DATAPLANE_FIGURES[name].label);
  const figures = CASE_NAMES.map((name) => [
    CASES[name].label,
    ...FIGURES.map((figure) => {
      const value = cases.get(name)?.[figure]?.value;
      return value === undefined ? "–" : withUnit(value, DATAPLANE_FIGURES[figure].unit);
    }),
  ]);
  const target = `requests ≥ ${LEAST_OF_KUBE_PROXY}`;
  return [
    renderColumns([["median", ...labels], ...figures]),
    renderColumns([
      ["times kube-proxy, median (quartiles)", ...labels, target],
      ...[...timesKubeProxy].map(([name, ratios]) => [...renderRatios(name, ratios), verdict(name, ratios)]),
    ]),
    renderColumns([
      ["times no proxy, median (quartiles)", ...labels],
      ...[...timesDirect].map(([name, ratios]) => renderRatios(name, ratios)),
    ]),
  ].join("\n");
}

function renderRatios(name: CaseName, ratios: Ratios): string[] {
  const { scheme, label } = CASES[name];
  return [
    `${scheme === "udp" ? "UDP" : "TCP"}, ${label.trim()}`,
    ...FIGURES.map((figure) => {
      const ratio = ratios[figure];
      if (ratio === undefined) return "–";
      const [low, high] = ratio.quartiles;
      return `${ratio.median.toFixed(2)} (${low.toFixed(2)} … ${high.toFixed(2)})`;
    }),
  ];
}

/** Envoy does what kube-proxy does not, and is not held against it. */
function verdict(name: CaseName, ratios: Ratios): string {
  if (CASES[name].hasTarget !== true) return "";
  return (ratios.requestsPerSecond?.median ?? NaN) >= LEAST_OF_KUBE_PROXY ? "met" : "MISSED";
}

/** The objects of the last line of `--json`. */
export function summaryToJson(
  { cases, timesKubeProxy, timesDirect }: DataplaneSummary,
): Readonly<Record<string, unknown>> {
  return {
    cases: Object.fromEntries([...cases].map(([name, summary]) => [name, toJson(summary)])),
    timesKubeProxy: Object.fromEntries(timesKubeProxy),
    timesDirect: Object.fromEntries(timesDirect),
  };
}

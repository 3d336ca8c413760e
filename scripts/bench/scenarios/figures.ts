/**
 * The figures of a scenario: of each side over all repetitions, and whether its goals are met. Pure.
 *
 * In: the turns of a scenario. Out: medians with their spread, verdicts.
 * A failed request of one repetition is a failed request: these are added up.
 * @module
 */
import { type FigureDefinition, type Figures, summarize, type Summary } from "../figures.ts";
import { type Goal, type ScenarioName, SCENARIOS, type Side } from "./catalog.ts";
import { PERCENTILES } from "./load.ts";
import { DISTURBED_PCT } from "./machine_load.ts";
import type { Turn } from "./run.ts";

/** Names of the figures of a side. */
export type ScenarioFigure =
  | "perSecond"
  | "failedPct"
  | "meanMs"
  | "p50Ms"
  | "p90Ms"
  | "p99Ms"
  | "p999Ms"
  | "agentCpuPct"
  | "envoyCpuPct"
  | "kubeProxyCpuPct"
  | "agentMB"
  | "envoyMB"
  | "kubeProxyMB"
  | "machinePct";

/** In the order of the tables. */
export const SCENARIO_FIGURES: Readonly<Record<ScenarioFigure, FigureDefinition>> = {
  perSecond: { label: "requests", unit: "/s", summarize: "median" },
  failedPct: { label: "failed", unit: "%", summarize: "median" },
  meanMs: { label: "mean", unit: "ms", summarize: "median" },
  p50Ms: { label: "p50", unit: "ms", summarize: "median" },
  p90Ms: { label: "p90", unit: "ms", summarize: "median" },
  p99Ms: { label: "p99", unit: "ms", summarize: "median" },
  p999Ms: { label: "p99.9", unit: "ms", summarize: "median" },
  kubeProxyCpuPct: { label: "CPU of kube-proxy", unit: "%", summarize: "median" },
  agentCpuPct: { label: "CPU of the agent", unit: "%", summarize: "median" },
  envoyCpuPct: { label: "CPU of Envoy", unit: "%", summarize: "median" },
  kubeProxyMB: { label: "memory of kube-proxy", unit: "MB", summarize: "median" },
  agentMB: { label: "memory of the agent", unit: "MB", summarize: "median" },
  envoyMB: { label: "memory of Envoy", unit: "MB", summarize: "median" },
  machinePct: { label: "all processors busy", unit: "%", summarize: "median" },
};

/** What became of a side. */
export interface SideSummary {
  readonly figures: Readonly<Partial<Record<ScenarioFigure, Summary>>>;
  /** Over all repetitions. */
  readonly requests: number;
  readonly failed: number;
  readonly wantedPerSecond: number;
  /** For each of {@linkcode PERCENTILES}, in milliseconds. */
  readonly percentiles: readonly Summary[];
}

/** A goal and what became of it. */
export interface Verdict {
  readonly goal: string;
  readonly found: string;
  readonly isMet: boolean;
}

/** What became of a scenario. */
export interface ScenarioSummary {
  readonly name: ScenarioName;
  readonly sides: Readonly<Record<Side, SideSummary>>;
  readonly verdicts: readonly Verdict[];
  /** Repetitions during which others used the machine, counted from 1, with their share of it at worst. */
  readonly disturbed: readonly { readonly repetition: number; readonly othersPct: number }[];
}

/** Summarises. @throws {Error} when there is no repetition with both sides */
export function summarizeScenario(
  name: ScenarioName,
  repetitions: readonly (readonly Turn[])[],
): ScenarioSummary {
  const turns = repetitions.flat();
  const sides = {
    "kube-proxy": summarizeSide(turns.filter(({ side }) => side === "kube-proxy")),
    "lightpath": summarizeSide(turns.filter(({ side }) => side === "lightpath")),
  };
  return {
    name,
    sides,
    verdicts: SCENARIOS[name].goals.map((goal) => judge(goal, sides)),
    disturbed: repetitions.flatMap((found, index) => {
      const othersPct = Math.max(...found.map(({ machine }) => machine.othersPct));
      return othersPct > DISTURBED_PCT ? [{ repetition: index + 1, othersPct }] : [];
    }),
  };
}

function summarizeSide(turns: readonly Turn[]): SideSummary {
  const [first] = turns;
  if (first === undefined) throw new Error("a side that was not measured");
  const percentiles = PERCENTILES.map((_, index) => {
    const definition = { value: { label: "", unit: "ms", summarize: "median" } } as const;
    return summarize(definition, turns.map(({ load }) => ({ value: load.percentilesMs[index]! }))).value!;
  });
  return {
    figures: summarize(SCENARIO_FIGURES, turns.map(figuresOf)),
    requests: sum(turns.map(({ load }) => load.requests)),
    failed: sum(turns.map(({ load }) => load.failed)),
    wantedPerSecond: first.load.wantedPerSecond,
    percentiles,
  };
}

function figuresOf({ load, programs, machine }: Turn): Figures<ScenarioFigure> {
  const { agent, envoy, "kube-proxy": kubeProxy } = programs;
  const percentile = (wanted: typeof PERCENTILES[number]): number =>
    load.percentilesMs[PERCENTILES.indexOf(wanted)]!;
  return {
    perSecond: load.perSecond,
    failedPct: 100 * load.failed / load.requests,
    meanMs: load.meanMs,
    p50Ms: percentile(50),
    p90Ms: percentile(90),
    p99Ms: percentile(99),
    p999Ms: percentile(99.9),
    ...kubeProxy === undefined
      ? {}
      : { kubeProxyCpuPct: kubeProxy.cpuPct, kubeProxyMB: kubeProxy.residentMB },
    ...agent === undefined ? {} : { agentCpuPct: agent.cpuPct, agentMB: agent.residentMB },
    ...envoy === undefined ? {} : { envoyCpuPct: envoy.cpuPct, envoyMB: envoy.residentMB },
    machinePct: machine.busyPct,
  };
}

function judge(goal: Goal, sides: Readonly<Record<Side, SideSummary>>): Verdict {
  const [kubeProxy, lightpath] = [sides["kube-proxy"], sides.lightpath];
  const failures = `${lightpath.failed} of ${lightpath.requests}`;
  const value = (side: SideSummary, figure: "meanMs" | "p50Ms" | "p99Ms"): number =>
    side.figures[figure]!.value;
  switch (goal.kind) {
    case "no failure":
      return { goal: "no failed request", found: failures, isMet: lightpath.failed === 0 };
    case "no more failures":
      return {
        goal: "no more failed requests than kube-proxy",
        found: `${failures}; kube-proxy ${kubeProxy.failed} of ${kubeProxy.requests}`,
        isMet: lightpath.failed <= kubeProxy.failed,
      };
    case "times lower": {
      const { label } = SCENARIO_FIGURES[goal.figure];
      const times = value(kubeProxy, goal.figure) / value(lightpath, goal.figure);
      return {
        goal: goal.factor === 1
          ? `${label} below kube-proxy's`
          : `${label} at least ${goal.factor} times lower than kube-proxy's`,
        found: `${times.toFixed(2)} times lower`,
        isMet: goal.factor === 1 ? times > 1 : times >= goal.factor,
      };
    }
    case "overhead": {
      const { label } = SCENARIO_FIGURES[goal.figure];
      const overheadMs = value(lightpath, goal.figure) - value(kubeProxy, goal.figure);
      return {
        goal: `${label} at most ${goal.mostMs} ms above kube-proxy's`,
        found: `${overheadMs.toFixed(2)} ms`,
        isMet: overheadMs <= goal.mostMs,
      };
    }
    default:
      throw new TypeError(`unknown goal ${goal satisfies never}`);
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

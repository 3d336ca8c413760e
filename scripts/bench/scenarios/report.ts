/**
 * The report of `bench scenarios`: Markdown for the documentation, a table for the terminal. Pure.
 * @module
 */
import { renderColumns, type Summary, withUnit } from "../figures.ts";
import { describeCircumstances } from "../chart_results.ts";
import { SCENARIOS, type Side, SIDE_LABELS, SIDES } from "./catalog.ts";
import { SCENARIO_FIGURES, type ScenarioFigure, type ScenarioSummary, type SideSummary } from "./figures.ts";
import { DISTURBED_PCT } from "./machine_load.ts";
import { type ScenariosResult, summarizeResult } from "./result.ts";

const SHOWN: readonly ScenarioFigure[] = ["perSecond", "meanMs", "p50Ms", "p90Ms", "p99Ms", "p999Ms"];
const PROGRAMS: Readonly<Record<Side, readonly ScenarioFigure[]>> = {
  "kube-proxy": ["kubeProxyCpuPct", "kubeProxyMB", "machinePct"],
  "lightpath": ["agentCpuPct", "agentMB", "envoyCpuPct", "envoyMB", "machinePct"],
};

/** What a result and its files are called: one in slow motion stands beside one that is not. */
export function reportName({ slowMotion }: ScenariosResult): string {
  return slowMotion === 1 ? "scenarios" : `scenarios-slow-motion-${slowMotion}`;
}

/** The names of the charts that the report shows. */
export function chartFiles(result: ScenariosResult): { readonly latency: string; readonly programs: string } {
  const name = reportName(result);
  return { latency: `${name}-latency.svg`, programs: `${name}-programs.svg` };
}

/** Renders the report. */
export function renderReport(result: ScenariosResult): string {
  const summaries = summarizeResult(result);
  const charts = chartFiles(result);
  const { command, machine, versions, repetitions, seconds, qpsScale, slowMotion } = result;
  return [
    "# Scenarios beside kube-proxy",
    "",
    "Written by `deno task bench scenarios`; what is played and how to repeat it is in [README.md](README.md).",
    "",
    `\`${command}\``,
    "",
    `${describeCircumstances(result)}; each load ${seconds} s${
      qpsScale === 1 ? "" : `, ${qpsScale} times the manifests' requests a second`
    }${
      slowMotion === 1
        ? ""
        : `, ${slowMotion} times fewer requests to replicas that take ${slowMotion} times longer`
    }. Begun ${machine.startedAt}, load average before ${machine.loadAverage}. ${
      Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ")
    }.`,
    "",
    ...renderDisturbances(summaries, repetitions),
    "",
    "Medians over the repetitions, in parentheses the lowest and the highest. CPU in percent of one processor, both nodes together; so is",
    "memory. What kube-proxy's rules cost is in nobody's figures but the machine's.",
    "",
    `![Latencies by percentile, scenario by scenario](${charts.latency})`,
    "",
    `![Requests that failed, CPU and memory of kube-proxy, agent and Envoy](${charts.programs})`,
    "",
    "## Goals",
    "",
    "| scenario | goal | found | |",
    "| --- | --- | --- | --- |",
    ...summaries.flatMap(({ name, verdicts }) =>
      verdicts.map(({ goal, found, isMet }) =>
        `| ${SCENARIOS[name].title} | ${goal} | ${found} | ${isMet ? "met" : "**missed**"} |`
      )
    ),
    ...summaries.flatMap(renderScenario),
    "",
  ].join("\n");
}

function renderDisturbances(summaries: readonly ScenarioSummary[], repetitions: number): string[] {
  const found = summaries.flatMap(({ name, disturbed }) =>
    disturbed.length === 0 ? [] : [
      `- ${name}: ${disturbed.length} of ${repetitions} repetitions, up to ${
        Math.max(...disturbed.map(({ othersPct }) => othersPct)).toFixed(0)
      } % of the machine`,
    ]
  );
  if (found.length === 0) {
    return [`Nobody else used more than ${DISTURBED_PCT} % of the machine during any load.`];
  }
  return ["**Disturbed**: others used the machine during", "", ...found];
}

function renderScenario({ name, sides }: ScenarioSummary): string[] {
  const { title, about, published } = SCENARIOS[name];
  return [
    "",
    `## ${title}`,
    "",
    `${about} (\`${name}\`)`,
    "",
    `| | ${[...SHOWN.map((figure) => SCENARIO_FIGURES[figure].label), "failed"].join(" | ")} |`,
    `| --- | ${[...SHOWN, "failed"].map(() => "---").join(" | ")} |`,
    ...SIDES.map((side) => `| ${[SIDE_LABELS[side], ...cellsOf(sides[side])].join(" | ")} |`),
    "",
    ...SIDES.map((side) =>
      `- ${SIDE_LABELS[side]}: ${PROGRAMS[side].map((figure) => wordsOf(figure, sides[side])).join(", ")}`
    ),
    ...published === undefined ? [] : ["", `Published before, of another machine: ${published}.`],
  ];
}

function cellsOf(side: SideSummary): string[] {
  const wanted = ` of ${side.wantedPerSecond}`;
  return [
    ...SHOWN.map((figure) =>
      `${withSpread(figure, side.figures[figure])}${figure === "perSecond" ? wanted : ""}`
    ),
    side.failed === 0
      ? "0"
      : `${side.failed} of ${side.requests} (${(100 * side.failed / side.requests).toFixed(1)} %)`,
  ];
}

function withSpread(figure: ScenarioFigure, summary: Summary | undefined): string {
  if (summary === undefined) return "–";
  const { unit } = SCENARIO_FIGURES[figure];
  const [low, high] = [summary.min, summary.max].map((value) => withUnit(value, ""));
  return `${withUnit(summary.value, unit)} (${low} … ${high})`;
}

function wordsOf(figure: ScenarioFigure, side: SideSummary): string {
  const summary = side.figures[figure];
  const { label, unit } = SCENARIO_FIGURES[figure];
  return `${label} ${summary === undefined ? "–" : withUnit(summary.value, unit)}`;
}

/** A table of all scenarios and one of their goals, for the terminal. */
export function renderSummaries(summaries: readonly ScenarioSummary[]): string {
  const rows = summaries.flatMap(({ name, sides }) =>
    SIDES.map((side) => [
      `${name}, ${SIDE_LABELS[side]}`,
      ...SHOWN.map((figure) => withSpread(figure, sides[side].figures[figure])),
      `${sides[side].failed} of ${sides[side].requests}`,
    ])
  );
  const goals = summaries.flatMap(({ name, verdicts }) =>
    verdicts.map(({ goal, found, isMet }) => [name, goal, found, isMet ? "met" : "MISSED"])
  );
  const disturbed = summaries.flatMap(({ name, disturbed }) =>
    disturbed.map(({ repetition, othersPct }) =>
      `disturbed: ${name}, repetition ${repetition}: others ${othersPct.toFixed(0)} % of the machine\n`
    )
  );
  return [
    renderColumns([[
      "median (lowest … highest)",
      ...SHOWN.map((figure) => SCENARIO_FIGURES[figure].label),
      "failed",
    ], ...rows]),
    renderColumns([["scenario", "goal", "found", ""], ...goals], () => true),
    ...disturbed,
  ].join("\n");
}

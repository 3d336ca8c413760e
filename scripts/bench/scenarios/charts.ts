/**
 * The charts of `bench scenarios`: latencies by percentile, and what failed and was used. Pure.
 *
 * In: summaries. Out: SVG. Latencies are shown by percentile and not as histograms: where the two sides differ is in the tail.
 * @module
 */
import { type ChartOption, type ChartSeries, COLORS, drawSvg, INK } from "../chart_svg.ts";
import { describeCircumstances } from "../chart_results.ts";
import { SCENARIOS, type Side, SIDE_LABELS, SIDES } from "./catalog.ts";
import type { ScenarioFigure, ScenarioSummary } from "./figures.ts";
import { PERCENTILES } from "./load.ts";
import { type ScenariosResult, summarizeResult } from "./result.ts";

const SIDE_COLORS: Readonly<Record<Side, string>> = {
  "kube-proxy": COLORS.nftables,
  "lightpath": COLORS.lightpath,
};

const WIDTH = 900;
const PANEL = { width: 375, height: 130 };
const LEFT = [55, 500];
const TOP = 105;
const STEP = 195;

/** Draws a panel of latencies for each scenario. */
export function drawLatencies(result: ScenariosResult): string {
  const summaries = summarizeResult(result);
  const place = (index: number): { readonly left: number; readonly top: number } => ({
    left: LEFT[index % 2]!,
    top: TOP + STEP * (index >> 1),
  });
  const option: ChartOption = {
    title: [
      heading(
        "Latency by percentile, kube-proxy and Lightpath",
        `${describeCircumstances(result)}; thin lines from the lowest to the highest`,
      ),
      ...summaries.map(({ name }, index) => ({
        text: `${SCENARIOS[name].title} (ms)`,
        left: place(index).left - 35,
        top: place(index).top - 30,
        textStyle: { color: INK.text, fontSize: 12 },
      })),
    ],
    grid: summaries.map((_, index) => ({ ...place(index), ...PANEL })),
    xAxis: summaries.map((_, gridIndex) => ({
      gridIndex,
      type: "category" as const,
      data: PERCENTILES.map((percentile) => `p${percentile}`),
      axisLabel: { color: INK.faint, interval: 0, fontSize: 10 },
      axisLine: { lineStyle: { color: INK.line } },
      axisTick: { show: false },
    })),
    // Logarithmic, or what most requests meet would lie flat below what one in a thousand meets.
    yAxis: summaries.map((_, gridIndex) => ({
      gridIndex,
      type: "log" as const,
      axisLabel: { color: INK.faint, fontSize: 10 },
      splitLine: { lineStyle: { color: INK.line } },
    })),
    series: summaries.flatMap(({ sides }, index) =>
      SIDES.flatMap((side) => latencySeries(sides[side].percentiles, side, index))
    ),
  };
  const height = TOP + STEP * Math.ceil(summaries.length / 2);
  return drawSvg(option, { width: WIDTH, height, description: describe(summaries) });
}

function latencySeries(
  percentiles: ScenarioSummary["sides"][Side]["percentiles"],
  side: Side,
  panel: number,
): ChartSeries[] {
  const color = SIDE_COLORS[side];
  const axes = { xAxisIndex: panel, yAxisIndex: panel, type: "line" as const };
  return [
    {
      ...axes,
      symbol: "circle",
      symbolSize: 5,
      itemStyle: { color },
      lineStyle: { color, width: 2 },
      data: percentiles.map(({ value }) => value),
      // The legend: once is enough.
      endLabel: { show: panel === 0, formatter: SIDE_LABELS[side], color, fontSize: 11 },
    },
    ...percentiles.map(({ min, max }, index) => ({
      ...axes,
      symbol: "none",
      lineStyle: { color, width: 1 },
      data: [[index, min], [index, max]],
    })),
  ];
}

interface Bar {
  readonly label: string;
  readonly color: string;
  readonly value: (summary: ScenarioSummary) => number | undefined;
}

const bar = (side: Side, figure: ScenarioFigure, label: string, color: string): Bar => ({
  label,
  color,
  value: ({ sides }) => sides[side].figures[figure]?.value,
});

const PANELS: readonly { readonly title: string; readonly bars: readonly Bar[] }[] = [
  {
    title: "Requests that failed (%)",
    bars: SIDES.map((side) => bar(side, "failedPct", SIDE_LABELS[side], SIDE_COLORS[side])),
  },
  {
    title: "CPU, both nodes together (% of one processor)",
    bars: [
      bar("kube-proxy", "kubeProxyCpuPct", "kube-proxy", COLORS.nftables),
      bar("lightpath", "agentCpuPct", "agent", COLORS.lightpath),
      bar("lightpath", "envoyCpuPct", "Envoy", COLORS.envoy),
    ],
  },
  {
    title: "The whole machine, replicas and clients included (% of all processors)",
    bars: SIDES.map((side) => bar(side, "machinePct", SIDE_LABELS[side], SIDE_COLORS[side])),
  },
  {
    title: "Memory, both nodes together (MB)",
    bars: [
      bar("kube-proxy", "kubeProxyMB", "kube-proxy", COLORS.nftables),
      bar("lightpath", "agentMB", "agent", COLORS.lightpath),
      bar("lightpath", "envoyMB", "Envoy", COLORS.envoy),
    ],
  },
];

/** Draws what failed, and what the programs used. */
export function drawPrograms(result: ScenariosResult): string {
  const summaries = summarizeResult(result);
  const option: ChartOption = {
    title: [
      heading("Failures, CPU and memory by scenario", describeCircumstances(result)),
      ...PANELS.map(({ title }, index) => ({
        text: title,
        left: 20,
        top: TOP + STEP * index - 30,
        textStyle: { color: INK.text, fontSize: 12 },
      })),
    ],
    grid: PANELS.map((_, index) => ({ left: 55, right: 90, top: TOP + STEP * index, height: PANEL.height })),
    xAxis: PANELS.map((_, gridIndex) => ({
      gridIndex,
      type: "category" as const,
      data: summaries.map(({ name }) => name),
      axisLabel: { color: INK.faint, interval: 0, fontSize: 9, width: 72, overflow: "break" as const },
      axisLine: { lineStyle: { color: INK.line } },
      axisTick: { show: false },
    })),
    yAxis: PANELS.map((_, gridIndex) => ({
      gridIndex,
      type: "value" as const,
      min: 0,
      splitNumber: 3,
      axisLabel: { color: INK.faint, fontSize: 10 },
      splitLine: { lineStyle: { color: INK.line } },
    })),
    series: PANELS.flatMap(({ bars }, index) =>
      bars.map(({ color, value }) => ({
        type: "bar" as const,
        xAxisIndex: index,
        yAxisIndex: index,
        itemStyle: { color },
        data: summaries.map((summary) => value(summary) ?? NaN),
      }))
    ),
    graphic: PANELS.flatMap(({ bars }, index) =>
      bars.map(({ label, color }, row) => ({
        type: "text" as const,
        left: WIDTH - 85,
        top: TOP + STEP * index + 16 * row,
        style: { text: label, fill: color, fontSize: 11 },
      }))
    ),
  };
  return drawSvg(option, {
    width: WIDTH,
    height: TOP + STEP * PANELS.length,
    description: describe(summaries),
  });
}

function heading(text: string, subtext: string): Record<string, unknown> {
  return {
    ...{ text, subtext, left: 10, top: 8 },
    textStyle: { color: INK.text, fontSize: 16 },
    subtextStyle: { color: INK.faint, fontSize: 12 },
  };
}

function describe(summaries: readonly ScenarioSummary[]): string {
  return summaries.map(({ name, sides }) => {
    const words = SIDES.map((side) => {
      const { figures: { p50Ms, p99Ms }, failed } = sides[side];
      return `${SIDE_LABELS[side]} p50 ${p50Ms?.value.toFixed(1)} ms, p99 ${
        p99Ms?.value.toFixed(1)
      } ms, ${failed} failed`;
    });
    return `${SCENARIOS[name].title}: ${words.join("; ")}`;
  }).join(". ");
}

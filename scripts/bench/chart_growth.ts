/**
 * The chart of how Lightpath grows with the cluster: start, change, memory, burst over the number of Services. Pure.
 * @module
 */
import { type ChartOption, type ChartSeries, COLORS, drawSvg, INK } from "./chart_svg.ts";
import { describeCircumstances, type ScaleResult } from "./chart_results.ts";
import { SCALE_FIGURES, type ScaleFigure } from "./scale_figures.ts";

interface Panel {
  readonly title: string;
  readonly unit: "ms" | "s" | "MB";
  readonly lines: readonly { readonly figure: ScaleFigure; readonly name: string; readonly color: string }[];
}

const { lightpath, envoy } = COLORS;
const PANELS: readonly Panel[] = [
  {
    title: "Agent started until every VIP in use answers",
    unit: "s",
    lines: [{ figure: "cold_start_ms", name: "", color: lightpath }],
  },
  {
    title: "One change, API write to Envoy's ACK and the kernel's commit",
    unit: "ms",
    lines: [
      { figure: "change_p99_ms", name: "p99", color: lightpath },
      { figure: "change_p50_ms", name: "p50", color: lightpath },
    ],
  },
  {
    title: "Resident memory at rest",
    unit: "MB",
    lines: [
      { figure: "agent_rss_mb", name: "agent", color: lightpath },
      { figure: "envoy_rss_mb", name: "Envoy", color: envoy },
    ],
  },
  {
    title: "1,000 endpoint changes at once, until all are through",
    unit: "ms",
    lines: [{ figure: "burst_1000_ms", name: "", color: lightpath }],
  },
];

const WIDTH = 900;
const PANEL = { width: 355, height: 170 };
const LEFT = [55, 500];
const TOP = [95, 340];

/** Draws results of one mode and source, ordered by size. */
export function drawGrowth(results: readonly [ScaleResult, ...ScaleResult[]]): string {
  const [{ mode, source }] = results;
  const about = `${mode}, ${source} API server, 100 Services in use; ` +
    `${describeCircumstances(results[0])}; thin lines from the lowest to the highest`;
  const option: ChartOption = {
    title: [
      {
        text: "Lightpath over the number of Services in the cluster",
        subtext: about,
        left: 10,
        top: 8,
        textStyle: { color: INK.text, fontSize: 16 },
        subtextStyle: { color: INK.faint, fontSize: 12 },
      },
      ...PANELS.map(({ title, unit }, index) => ({
        text: `${title} (${unit})`,
        left: LEFT[index % 2]! - 35,
        top: TOP[index >> 1]! - 30,
        textStyle: { color: INK.text, fontSize: 12 },
      })),
    ],
    grid: PANELS.map((_, index) => ({ left: LEFT[index % 2]!, top: TOP[index >> 1]!, ...PANEL })),
    xAxis: PANELS.map((_, gridIndex) => ({
      gridIndex,
      type: "value" as const,
      min: 0,
      max: Math.max(...results.map(({ services }) => services)),
      axisLabel: { color: INK.faint, formatter: thousands },
      axisLine: { lineStyle: { color: INK.line } },
      axisTick: { show: false },
      splitLine: { show: false },
    })),
    yAxis: PANELS.map((_, gridIndex) => ({
      gridIndex,
      type: "value" as const,
      min: 0,
      // Room for the word above the highest target.
      boundaryGap: [0, "12%"] as [number, string],
      splitNumber: 4,
      axisLabel: { color: INK.faint },
      axisLine: { show: false },
      axisTick: { show: false },
      splitLine: { lineStyle: { color: INK.line } },
    })),
    series: PANELS.flatMap((panel, index) => seriesOf(panel, index, results)),
  };
  return drawSvg(option, { width: WIDTH, height: 545, description: `Benchmark: ${describe(results)}` });
}

function seriesOf(
  { lines, unit }: Panel,
  axis: number,
  results: readonly ScaleResult[],
): ChartSeries[] {
  const scale = unit === "s" ? 1 / 1000 : 1;
  const axes = { xAxisIndex: axis, yAxisIndex: axis };
  return lines.flatMap(({ figure, name, color }) => {
    const points = results.flatMap(({ services, figures }) => {
      const found = figures[figure];
      return found === undefined ? [] : [{ services, ...found }];
    });
    const { target } = SCALE_FIGURES[figure];
    const targets = typeof target === "object" ? Object.entries(target) : [];
    const sizes = new Set(points.map(({ services }) => services));
    return [
      {
        ...axes,
        type: "line" as const,
        symbol: "circle",
        symbolSize: 7,
        itemStyle: { color },
        lineStyle: { color, width: 2 },
        data: points.map(({ services, value }) => [services, value * scale]),
        endLabel: { show: name !== "", formatter: name, color, fontSize: 11 },
      },
      // From the lowest to the highest repetition.
      ...points.map(({ services, min, max }) => ({
        ...axes,
        type: "line" as const,
        symbol: "none",
        lineStyle: { color, width: 1 },
        data: [[services, min * scale], [services, max * scale]],
      })),
      // The most it may be.
      {
        ...axes,
        type: "scatter" as const,
        symbol: "rect",
        symbolSize: [22, 2],
        itemStyle: { color: COLORS.target },
        data: targets.filter(([services]) => sizes.has(Number(services))).map(([services, limit]) => [
          Number(services),
          limit * scale,
        ]),
        label: { show: true, formatter: "target", position: "top" as const, color: INK.faint, fontSize: 10 },
      },
    ];
  });
}

function describe(results: readonly ScaleResult[]): string {
  return PANELS.map(({ title, unit, lines: [line] }) => {
    const values = results.flatMap(({ services, figures }) => {
      const found = figures[line!.figure]?.value;
      if (found === undefined) return [];
      return [`${unit === "s" ? (found / 1000).toFixed(1) : Math.round(found)} ${unit} at ${services}`];
    });
    return `${title}: ${values.join(", ")}`;
  }).join(". ");
}

function thousands(services: number): string {
  return services >= 1000 ? `${services / 1000}k` : String(services);
}

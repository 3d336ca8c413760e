/**
 * The chart of Lightpath beside kube-proxy: one panel of bars per figure. Pure.
 * @module
 */
import { describeCircumstances, type PeersResult } from "./chart_results.ts";
import { type ChartOption, COLORS, drawSvg, INK } from "./chart_svg.ts";
import { PEER_NAMES, type PeerName } from "./peer_names.ts";
import type { PeerFigure } from "./peer_run.ts";

const COLOR_BY_PEER: Readonly<Record<PeerName, string>> = {
  "lightpath": COLORS.lightpath,
  "kube-proxy nftables": COLORS.nftables,
  "kube-proxy iptables": COLORS.iptables,
};

const PANELS: readonly { readonly figure: PeerFigure; readonly title: string; readonly unit: string }[] = [
  { figure: "start_ms", title: "Started until every VIP in use answers", unit: "ms" },
  {
    figure: "change_p50_ms",
    title: "A Service's port: API write to a client's first answer, p50",
    unit: "ms",
  },
  { figure: "total_rss_mb", title: "Resident memory, with Envoy where there is one", unit: "MB" },
  { figure: "total_cpu_100_per_s_pct", title: "CPU at 100 changes per second, with Envoy", unit: "%" },
];

const WIDTH = 900;
const PANEL_HEIGHT = 85;
const PANEL_STEP = 130;
const TOP = 100;

/** Draws one size. */
export function drawPeers(result: PeersResult): string {
  const names = PEER_NAMES.filter((name) => result.peers[name] !== undefined);
  const height = TOP + PANELS.length * PANEL_STEP;
  const option: ChartOption = {
    title: [
      {
        text: `Beside kube-proxy, ${grouped(result.services)} Services`,
        subtext: `real etcd and kube-apiserver, 100 Services in use; ${describeCircumstances(result)}`,
        left: 10,
        top: 8,
        textStyle: { color: INK.text, fontSize: 16 },
        subtextStyle: { color: INK.faint, fontSize: 12 },
      },
      ...PANELS.map(({ title, unit }, index) => ({
        text: `${title} (${unit})`,
        left: 10,
        top: TOP + index * PANEL_STEP - 30,
        textStyle: { color: INK.text, fontSize: 12 },
      })),
    ],
    grid: PANELS.map((_, index) => ({
      left: 150,
      right: 90,
      top: TOP + index * PANEL_STEP,
      height: PANEL_HEIGHT,
    })),
    xAxis: PANELS.map((_, gridIndex) => ({ gridIndex, type: "value" as const, show: false, min: 0 })),
    yAxis: PANELS.map((_, gridIndex) => ({
      gridIndex,
      type: "category" as const,
      inverse: true,
      data: [...names],
      axisLabel: { color: INK.faint },
      axisLine: { lineStyle: { color: INK.line } },
      axisTick: { show: false },
    })),
    series: PANELS.map(({ figure, unit }, index) => ({
      type: "bar" as const,
      xAxisIndex: index,
      yAxisIndex: index,
      barWidth: 18,
      data: names.map((name) => ({
        value: result.peers[name]?.[figure]?.value ?? NaN,
        itemStyle: { color: COLOR_BY_PEER[name] },
      })),
      label: {
        show: true,
        position: "right" as const,
        color: INK.text,
        formatter: ({ value }: { readonly value?: unknown }) => `${grouped(Number(value))} ${unit}`,
      },
    })),
  };
  return drawSvg(option, { width: WIDTH, height, description: describe(result, names) });
}

function describe({ services, peers }: PeersResult, names: readonly PeerName[]): string {
  const sentences = PANELS.map(({ figure, title, unit }) =>
    `${title}: ${names.map((name) => `${name} ${peers[name]?.[figure]?.value} ${unit}`).join(", ")}`
  );
  return `Benchmark at ${services} Services. ${sentences.join(". ")}`;
}

/** 10,000 */
function grouped(value: number): string {
  return value.toLocaleString("en-US");
}

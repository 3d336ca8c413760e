/**
 * Draws a chart as SVG that is readable on GitHub's light and dark pages.
 *
 * In: what ECharts draws, a size, a sentence for who cannot see it. Out: SVG text, the same for the same input.
 * The background is transparent; ink and lines of the frame change with the reader's colour scheme, the colours of what is
 * shown are readable on both. What ECharts adds for pages that run scripts is taken out.
 * @module
 */
import * as echarts from "echarts";

/** What ECharts draws. */
export type ChartOption = echarts.EChartsOption;

/** One line, or one row of marks or bars, in it. */
export type ChartSeries = echarts.SeriesOption;

/** Colours of what is shown. */
export const COLORS = {
  lightpath: "#2f7fd1",
  envoy: "#a45ad6",
  nftables: "#d98324",
  iptables: "#3f9c5a",
  target: "#8b949e",
} as const;

/** Colours of the frame on a light page, and what they become on a dark one. */
export const INK = { text: "#1f2328", faint: "#59636e", line: "#d1d9e0" } as const;
const INK_IN_THE_DARK: Readonly<Record<keyof typeof INK, string>> = {
  text: "#f0f6fc",
  faint: "#9198a1",
  line: "#2f353d",
};

/** Draws. */
export function drawSvg(
  option: ChartOption,
  { width, height, description }: {
    readonly width: number;
    readonly height: number;
    readonly description: string;
  },
): string {
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    const fontFamily = "system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif";
    chart.setOption({ animation: false, textStyle: { fontFamily }, ...option });
    return finish(chart.renderToSVGString(), description);
  } finally {
    chart.dispose();
  }
}

function finish(svg: string, description: string): string {
  const style = `<style>@media (prefers-color-scheme: dark){${
    (Object.keys(INK) as (keyof typeof INK)[]).map((name) =>
      `[fill="${INK[name]}"]{fill:${INK_IN_THE_DARK[name]}}[stroke="${INK[name]}"]{stroke:${
        INK_IN_THE_DARK[name]
      }}`
    ).join("")
  }}</style>`;
  return svg
    .replace(/<style ?>.*?<\/style>\n?/s, "")
    .replaceAll(/ (?:class|pointer-events|ecmeta_\w+)="[^"]*"/g, "")
    // Numbered by how many charts were drawn before.
    .replaceAll(/\bzr\d+-/g, "")
    .replace(
      /^<svg([^>]*)>/,
      (_, attributes) => `<svg${attributes} role="img" aria-label="${escape(description)}">\n${style}`,
    )
    .trimEnd() + "\n";
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}

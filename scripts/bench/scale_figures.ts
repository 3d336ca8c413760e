/**
 * The figures of `bench scale`: what each means, and what it may be at most.
 *
 * Targets hold for on-demand mode on two cores with 100 Services in use.
 * @module
 */
import type { FigureDefinition } from "./figures.ts";

/** Names as `--json` gives them. */
export type ScaleFigure =
  | "cold_start_ms"
  | "cold_start_ready_ms"
  | "cold_start_vips_ms"
  | "change_p50_ms"
  | "change_p99_ms"
  | "endpoint_change_p50_ms"
  | "service_change_p50_ms"
  | "api_write_p50_ms"
  | "xds_bytes_per_endpoint_change"
  | "xds_bytes_per_service_change"
  | "agent_rss_mb"
  | "envoy_rss_mb"
  | "agent_and_envoy_rss_mb"
  | "nft_rss_mb"
  | "agent_peak_rss_mb"
  | "agent_rss_end_mb"
  | "cpu_idle_pct"
  | "cpu_100_per_s_pct"
  | "burst_1000_ms"
  | "burst_write_ms"
  | "restart_ready_ms"
  | "restart_resources_resent"
  | "restart_failed_requests";

/** In the order of the table. */
export const SCALE_FIGURES: Readonly<Record<ScaleFigure, FigureDefinition>> = {
  cold_start_ms: {
    label: "agent started until every VIP in use answers",
    unit: "ms",
    summarize: "median",
    target: { 10_000: 2_500, 50_000: 10_000 },
  },
  cold_start_ready_ms: { label: "  of that, until /readyz says ready", unit: "ms", summarize: "median" },
  cold_start_vips_ms: { label: "  of that, until they all have answered", unit: "ms", summarize: "median" },
  change_p50_ms: {
    label: "one change, API write to Envoy's ACK and the kernel's commit, p50",
    unit: "ms",
    summarize: "median",
  },
  change_p99_ms: {
    label: "  the same, p99",
    unit: "ms",
    summarize: "median",
    target: { 10_000: 30, 50_000: 50 },
  },
  endpoint_change_p50_ms: { label: "  of endpoints, p50", unit: "ms", summarize: "median" },
  service_change_p50_ms: { label: "  of a Service's port, p50", unit: "ms", summarize: "median" },
  api_write_p50_ms: { label: "  of all that, the API server's answer, p50", unit: "ms", summarize: "median" },
  xds_bytes_per_endpoint_change: {
    label: "xDS bytes per endpoint change",
    unit: "B",
    summarize: "median",
    target: { 10_000: 1_000, 50_000: 1_000 },
  },
  xds_bytes_per_service_change: {
    label: "xDS bytes per port change",
    unit: "B",
    summarize: "median",
    target: { 10_000: 2_000, 50_000: 2_000 },
  },
  agent_rss_mb: {
    label: "agent, resident, at rest",
    unit: "MB",
    summarize: "median",
    target: { 10_000: 160, 50_000: 400 },
  },
  envoy_rss_mb: { label: "Envoy, resident, at rest", unit: "MB", summarize: "median" },
  agent_and_envoy_rss_mb: {
    label: "both together",
    unit: "MB",
    summarize: "median",
    target: { 10_000: 260, 50_000: 500 },
  },
  nft_rss_mb: {
    label: "the nft that the agent keeps, resident, after all changes",
    unit: "MB",
    summarize: "median",
  },
  agent_peak_rss_mb: { label: "agent, resident, highest so far", unit: "MB", summarize: "median" },
  agent_rss_end_mb: { label: "agent, resident, after all changes", unit: "MB", summarize: "median" },
  cpu_idle_pct: {
    label: "agent's CPU at rest",
    unit: "%",
    summarize: "median",
    target: { 10_000: 1, 50_000: 1 },
  },
  cpu_100_per_s_pct: {
    label: "agent's CPU (and nft's) at 100 changes per second",
    unit: "%",
    summarize: "median",
    target: { 10_000: 25, 50_000: 35 },
  },
  burst_1000_ms: {
    label: "1,000 endpoint changes at once, until all are through",
    unit: "ms",
    summarize: "median",
    target: { 10_000: 1_000, 50_000: 2_000 },
  },
  burst_write_ms: { label: "  of that, until the API server had them", unit: "ms", summarize: "median" },
  restart_ready_ms: { label: "agent restarted until ready", unit: "ms", summarize: "median" },
  restart_resources_resent: {
    label: "  resources sent again",
    unit: "",
    summarize: "max",
    target: { 10_000: 0, 50_000: 0 },
  },
  restart_failed_requests: {
    label: "  requests that failed meanwhile",
    unit: "",
    summarize: "max",
    target: { 10_000: 0, 50_000: 0 },
  },
};

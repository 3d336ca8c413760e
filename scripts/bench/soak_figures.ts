/**
 * The figures of `bench soak`: what each means, and what it may be at most, at any number of Services.
 * @module
 */
import type { FigureDefinition } from "./figures.ts";

/** Names as `--json` gives them. */
export type SoakFigure =
  | "changes"
  | "requests"
  | "failed_requests"
  | "disagreements"
  | "agreed_after_ms"
  | "unanswered_vips"
  | "agent_rss_mb"
  | "agent_rss_growth_mb"
  | "agent_rss_noise_mb"
  | "agent_rss_mb_per_hour"
  | "envoy_rss_mb"
  | "envoy_rss_growth_mb"
  | "envoy_rss_noise_mb"
  | "envoy_rss_mb_per_hour"
  | "agent_fds_leaked"
  | "envoy_fds_leaked";

const count = (label: string, target?: number): FigureDefinition => ({
  label,
  unit: "",
  summarize: "max",
  ...(target === undefined ? {} : { target }),
});
const memory = (label: string, unit: "MB" | "MB/h" = "MB"): FigureDefinition => ({
  label,
  unit,
  summarize: "max",
});

/** In the order of the table. */
export const SOAK_FIGURES: Readonly<Record<SoakFigure, FigureDefinition>> = {
  changes: count("changes made"),
  requests: count("requests of clients"),
  failed_requests: count("  of those, failed", 0),
  disagreements: count("destinations in which agent, Envoy or kernel are not what the API says", 0),
  agreed_after_ms: {
    label: "  last change until all were found to agree, reading included",
    unit: "ms",
    summarize: "max",
  },
  unanswered_vips: count("VIPs with ready endpoints that do not answer in the end", 0),
  agent_rss_mb: memory("agent, resident, in the end"),
  agent_rss_growth_mb: memory("  last third of the time above the first"),
  agent_rss_noise_mb: memory("  of that, noise"),
  agent_rss_mb_per_hour: memory("  slope", "MB/h"),
  envoy_rss_mb: memory("Envoy, resident, in the end"),
  envoy_rss_growth_mb: memory("  last third of the time above the first"),
  envoy_rss_noise_mb: memory("  of that, noise"),
  envoy_rss_mb_per_hour: memory("  slope", "MB/h"),
  agent_fds_leaked: count("agent's file descriptors at rest, more than before", 0),
  envoy_fds_leaked: count("Envoy's file descriptors at rest, more than before", 0),
};

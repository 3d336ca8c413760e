/**
 * Reads the lines of Envoy's own log.
 *
 * In: a line as Envoy prints it with {@linkcode ENVOY_LOG_ARGUMENTS}. Out: its level in the agent's words, Envoy's
 * component and the message. Pure.
 * A line that has not this shape (a crash report, the C library's last words) is a warning with no component.
 * Source: Envoy 1.40 `--log-format` (spdlog patterns) and `--log-format-escaped`.
 * @module
 */

import type { LogLevel } from "../agent/log.ts";

/** Makes Envoy print one line per entry: level, component, message with C escapes for what is not printable. */
export const ENVOY_LOG_ARGUMENTS: readonly string[] = ["--log-format", "%l %n %v", "--log-format-escaped"];

/** An entry of Envoy's log. */
export interface EnvoyLogEntry {
  readonly level: LogLevel;
  /** Envoy's logger, e.g. `upstream`; empty when the line is not an entry. */
  readonly component: string;
  readonly message: string;
}

const LEVELS: ReadonlyMap<string, LogLevel> = new Map([
  ["trace", "debug"],
  ["debug", "debug"],
  ["info", "info"],
  ["warning", "warn"],
  ["error", "error"],
  ["critical", "error"],
]);

const ESCAPES: ReadonlyMap<string, string> = new Map([["n", "\n"], ["r", "\r"], ["t", "\t"]]);

/** Reads one line. */
export function parseEnvoyLogLine(line: string): EnvoyLogEntry {
  const [, levelName = "", component = "", message = ""] = /^([a-z]+) (\S+) (.*)$/s.exec(line) ?? [];
  const level = LEVELS.get(levelName);
  if (level === undefined) return { level: "warn", component: "", message: line };
  return {
    level,
    component,
    message: message.replace(/\\([nrt'"\\])/g, (_, one) => ESCAPES.get(one) ?? one),
  };
}

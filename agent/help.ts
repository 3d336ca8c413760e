/**
 * Renders `--help` from the table of settings.
 *
 * In: a command, or none for the overview. Out: text of at most 100 columns, ending with a line break.
 * Invariant: pure; lists exactly the flags the command takes.
 * @module
 */

import type { Command } from "./config_fields.ts";
import { COMMANDS, type Setting, SETTINGS } from "./settings.ts";

const COLUMNS = 100;
const INDENT = "      ";

/** Text of `lightpath --help`. */
export function renderOverview(): string {
  const commands = Object.entries(COMMANDS).map(([command, what]) => `  ${command.padEnd(10)} ${what}`);
  return [
    "Lightpath serves Kubernetes Services through Envoy, instead of kube-proxy or beside it.",
    "",
    "Usage: lightpath <command> [flags]",
    "",
    "Commands:",
    ...commands,
    "",
    'Flags: see "lightpath <command> --help".',
    "",
  ].join("\n");
}

/** Text of `lightpath <command> --help`. */
export function renderCommandHelp(command: Command): string {
  const lines = [
    `${COMMANDS[command]}.`,
    "",
    `Usage: lightpath ${command}${renderOperand(command)} [flags]`,
    "",
    "Each flag may also be given as environment variable (--log-level as LIGHTPATH_LOG_LEVEL) or as key of a YAML",
    "file (log-level: debug). A flag wins over the environment, the environment over the file.",
    "",
    "Flags:",
    "  --config PATH",
    ...wrap("YAML file of settings, shared by all commands"),
  ];
  const settings: readonly Setting<unknown>[] = Object.values(SETTINGS);
  for (const setting of settings) {
    if (!setting.commands.includes(command)) continue;
    lines.push(`  --${setting.flag} ${setting.kind.placeholder}`.trimEnd());
    lines.push(...wrap(`${setting.help}${renderDefault(setting)}`));
  }
  lines.push("  --help", ...wrap("print this"), "");
  return lines.join("\n");
}

/** What the command takes without a flag's name in front. */
function renderOperand(command: Command): string {
  const settings: readonly Setting<unknown>[] = Object.values(SETTINGS);
  const operand = settings.find(({ isOperand, commands }) =>
    isOperand === true && commands.includes(command)
  );
  return operand === undefined ? "" : ` ${operand.kind.placeholder}`;
}

function renderDefault(setting: Setting<unknown>): string {
  if (setting.defaultHelp !== undefined) return ` (default: ${setting.defaultHelp})`;
  return typeof setting.default === "string" ? ` (default: ${setting.default})` : "";
}

function wrap(sentence: string): string[] {
  const lines: string[] = [];
  let line = INDENT;
  for (const word of sentence.split(" ")) {
    if (line.length + word.length + 1 > COLUMNS && line !== INDENT) {
      lines.push(line);
      line = INDENT;
    }
    line += line === INDENT ? word : ` ${word}`;
  }
  return [...lines, line];
}

/**
 * Turns the command line, the environment and the YAML file into a command and its {@linkcode Config}.
 *
 * In: arguments, environment variables, a way to read the file named by `--config`.
 * Out: what to run, a help text to print, or all that is wrong, each with source (flag, variable, file:line), value and
 * what is wanted.
 * Invariants: pure but for the reading of that one file; nothing is guessed: an unknown name is an error that tells the
 * nearest known one. Precedence: flag, environment, file, default. The environment and the file are shared by all
 * commands, so a setting of another command is checked there and otherwise without effect.
 * @module
 */

import { closestString } from "@std/text/closest-string";
import type { Command, Config } from "./config_fields.ts";
import { renderCommandHelp, renderOverview } from "./help.ts";
import {
  type FileReader,
  type Given,
  readConfigFile,
  readEnvironment,
  readFlags,
  type Source,
} from "./setting_sources.ts";
import { COMMANDS, type Setting, SETTINGS, type Surroundings } from "./settings.ts";
import { renderHostPort } from "./setting_values.ts";

export type { Command, Config } from "./config_fields.ts";
export type { HostPort } from "./setting_values.ts";

/** What the program was asked to do. */
export type CommandLine =
  | { readonly kind: "run"; readonly command: Command; readonly config: Config }
  /** Text for standard output; the exit code is 0. */
  | { readonly kind: "help"; readonly text: string }
  /** Lines for standard error; the exit code is not 0. */
  | { readonly kind: "error"; readonly message: string };

/** What {@linkcode parseCommandLine} may ask of the outside. */
export interface CommandLineEdge extends Surroundings, FileReader {}

/** Reads arguments (without the program's own name), environment and configuration file. Never throws. */
export function parseCommandLine(args: readonly string[], edge: CommandLineEdge): CommandLine {
  const [first, ...rest] = args;
  if (first === "--help" || first === "-h") return { kind: "help", text: renderOverview() };
  if (first === "help") return helpFor(rest[0]);
  const name = first === "--version" ? "version" : first;
  if (name === undefined) return { kind: "error", message: `which command?\n\n${renderOverview()}` };
  if (!isCommand(name)) return { kind: "error", message: unknownCommand(name) };
  if (rest.includes("--help") || rest.includes("-h")) return { kind: "help", text: renderCommandHelp(name) };

  const errors: string[] = [];
  const flags = readFlags(name, rest, errors);
  const variables = readEnvironment(edge.env, errors);
  const configPath = flags.get("config") ?? variables.get("config");
  const file = configPath === undefined ? new Map<string, Given>() : readConfigFile(configPath, edge, errors);
  const config = resolve([flags, variables, file], edge, errors);
  if (errors.length === 0) errors.push(...contradictions(config, [flags, variables, file]));
  if (errors.length === 0 && name === "explain" && config.service === "") {
    errors.push("which Service? lightpath explain <namespace>/<service>");
  }
  if (errors.length === 0 && name === "webhook" && config.webhookBindAddress === undefined) {
    errors.push("--webhook-bind-address: the webhook has to listen somewhere");
  }
  if (errors.length === 0) return { kind: "run", command: name, config };
  return { kind: "error", message: [...errors, `see "lightpath ${name} --help"`].join("\n") };
}

function isCommand(name: string): name is Command {
  return Object.hasOwn(COMMANDS, name);
}

function helpFor(name: string | undefined): CommandLine {
  if (name === undefined) return { kind: "help", text: renderOverview() };
  if (isCommand(name)) return { kind: "help", text: renderCommandHelp(name) };
  return { kind: "error", message: unknownCommand(name) };
}

function unknownCommand(name: string): string {
  if (name.startsWith("-")) {
    return `the command comes first: lightpath <${Object.keys(COMMANDS).join("|")}> ${name} …`;
  }
  const nearest = closestString(name, Object.keys(COMMANDS));
  return `unknown command "${name}"; the nearest is "${nearest}" (there are ${
    Object.keys(COMMANDS).join(", ")
  })`;
}

function resolve(sources: readonly Source[], surroundings: Surroundings, errors: string[]): Config {
  const values = new Map<string, unknown>();
  for (const [field, setting] of Object.entries(SETTINGS) as [keyof Config, Setting<unknown>][]) {
    const given = sources.map((source) => source.get(setting.flag)).find((one) => one !== undefined) ??
      defaultOf(setting, surroundings, String(values.get("runDir")));
    const parsed = setting.kind.parse(given.texts);
    if ("value" in parsed) values.set(field, parsed.value);
    else errors.push(`${given.origin}: "${parsed.bad}" is not what is wanted: ${setting.kind.wanted}`);
    // A source that is overruled is checked all the same: it would fail on the day the other one is taken away.
    for (const source of sources) {
      const overruled = source.get(setting.flag);
      if (overruled === undefined || overruled === given) continue;
      const unused = setting.kind.parse(overruled.texts);
      if ("bad" in unused) {
        errors.push(`${overruled.origin}: "${unused.bad}" is not what is wanted: ${setting.kind.wanted}`);
      }
    }
  }
  // The type of SETTINGS guarantees an entry per field whose kind yields that field's type.
  return Object.fromEntries(values) as unknown as Config;
}

function defaultOf(setting: Setting<unknown>, surroundings: Surroundings, runDir: string): Given {
  if (setting.default === undefined) return { texts: [], origin: "the default" };
  if (typeof setting.default === "string") return { texts: [setting.default], origin: "the default" };
  const { text, origin } = setting.default(surroundings, runDir);
  return { texts: [text], origin: `--${setting.flag} from ${origin}` };
}

/** `sun_path` of Linux holds 108 bytes with the final zero (unix(7)). */
const MAX_SOCKET_PATH_BYTES = 107;

/** Values that are fine each but not together. */
function contradictions(config: Config, sources: readonly Source[]): string[] {
  const originOf = (flag: string): string | undefined =>
    sources.map((source) => source.get(flag)?.origin).find((origin) => origin !== undefined);
  const errors: string[] = [];
  function notBoth(one: string, other: string, why: string): void {
    const [oneOrigin, otherOrigin] = [originOf(one), originOf(other)];
    if (oneOrigin !== undefined && otherOrigin !== undefined) {
      errors.push(`${oneOrigin} and ${otherOrigin} exclude each other: ${why}`);
    }
  }
  if (config.manifests.length > 0) {
    const why = "Services come either from manifests or from an API server";
    if (config.kubeconfig !== "") notBoth("manifests", "kubeconfig", why);
    if (config.context !== "") notBoth("manifests", "context", why);
  }
  if (config.adsAddress !== undefined) {
    notBoth("ads-address", "ads-socket", "Envoy is fed either on a loopback address or on a Unix socket");
  }
  for (
    const [flag, path] of [
      ["ads-socket", config.adsSocket],
      ["envoy-admin-socket", config.envoyAdminSocket],
      ["agent-socket", config.agentSocket],
    ] as const
  ) {
    const bytes = new TextEncoder().encode(path).length;
    if (bytes === 0 || bytes > MAX_SOCKET_PATH_BYTES) {
      errors.push(
        `--${flag}: "${path}" has ${bytes} bytes; a Unix socket's path has 1 to ${MAX_SOCKET_PATH_BYTES}`,
      );
    }
  }
  const taken = new Map<number, string>();
  const ports: readonly (readonly [string, number | undefined, string])[] = [
    ["tcp-port", config.tcpPort, String(config.tcpPort)],
    ["http-port", config.httpPort, String(config.httpPort)],
    ["healthz-bind-address", config.healthzBindAddress?.port, spell(config.healthzBindAddress)],
    ["metrics-bind-address", config.metricsBindAddress?.port, spell(config.metricsBindAddress)],
    ["ads-address", config.adsAddress?.port, spell(config.adsAddress)],
    ["webhook-bind-address", config.webhookBindAddress?.port, spell(config.webhookBindAddress)],
  ];
  for (const [flag, number, text] of ports) {
    if (number === undefined || number === 0) continue;
    const other = taken.get(number);
    if (other !== undefined) errors.push(`--${flag} ${text} and ${other} need ports of their own`);
    taken.set(number, `--${flag} ${text}`);
  }
  return errors;
}

function spell(address: Config["metricsBindAddress"]): string {
  return address === undefined ? "" : renderHostPort(address);
}

/**
 * Collects what the three sources of settings say: flags, environment variables, the YAML file.
 *
 * In: arguments, environment, the path of the file. Out: a {@linkcode Source} each: texts by flag name, with an origin
 * for error messages; and a sentence in `errors` for each name that is not known, with the nearest that is.
 * Invariants: nothing here knows what a value means; a fault in one entry leaves the others readable.
 * @module
 */

import { closestString } from "@std/text/closest-string";
import { parseConfigFile } from "./config_file.ts";
import type { Command } from "./config_fields.ts";
import { envName, type Setting, SETTINGS, type Surroundings } from "./settings.ts";

/** A way to read the configuration file. */
export interface FileReader {
  /** The text of a file; throws when it cannot be read. */
  readTextFile(path: string): string;
}

/** What one source says about one setting. */
export interface Given {
  readonly texts: readonly string[];
  /** `--mode`, `environment variable LIGHTPATH_MODE`, `lightpath.yaml:3`. */
  readonly origin: string;
}

/** What one source says, by flag name. */
export type Source = ReadonlyMap<string, Given>;

const SETTING_BY_FLAG: ReadonlyMap<string, Setting<unknown>> = new Map(
  Object.values(SETTINGS).map((setting: Setting<unknown>) => [setting.flag, setting]),
);
const OPERANDS: readonly Setting<unknown>[] = [...SETTING_BY_FLAG.values()].filter(({ isOperand }) =>
  isOperand
);
const KNOWN_FLAGS: readonly string[] = ["config", ...SETTING_BY_FLAG.keys()];

/** Where kube-proxy's users look for something that has another name here. */
const KUBE_PROXY_FLAGS: ReadonlyMap<string, string> = new Map([
  ["hostname-override", "--node-name"],
  ["proxy-mode", "--redirect"],
  ["iptables-sync-period", "--resync-interval"],
  ["cleanup", 'the command "lightpath cleanup"'],
  ["v", "--log-level"],
  ["logging-format", "--log-format"],
]);

/** Reads `--flag value` and `--flag=value`; a flag given again adds to a list, and overrides otherwise. */
export function readFlags(command: Command, args: readonly string[], errors: string[]): Source {
  const given = new Map<string, Given>();
  for (let index = 0; index < args.length; index++) {
    const argument = args[index] ?? "";
    const match = /^--?([^=]+)(?:=(.*))?$/s.exec(argument);
    const flag = match?.[1];
    const operand = OPERANDS.find(({ commands }) => commands.includes(command));
    if (flag === undefined && operand !== undefined && !given.has(operand.flag)) {
      given.set(operand.flag, { texts: [argument], origin: `the argument of "${command}"` });
      continue;
    }
    if (flag === undefined) {
      errors.push(`"${argument}" is neither a flag nor the value of one`);
      continue;
    }
    const setting = SETTING_BY_FLAG.get(flag);
    if (!argument.startsWith("--") || (setting === undefined && flag !== "config")) {
      errors.push(unknownName(`flag ${argument.split("=")[0]}`, flag, (name) => `--${name}`));
      // What follows is most likely its value, not a fault of its own.
      if (match?.[2] === undefined && !(args[index + 1] ?? "-").startsWith("-")) index++;
      continue;
    }
    let text = match?.[2];
    if (text === undefined && setting?.kind.bare !== undefined) text = setting.kind.bare;
    if (text === undefined) {
      text = args[index + 1];
      if (text === undefined || /^--[a-z]/.test(text)) {
        errors.push(`--${flag} wants a value: ${setting?.kind.wanted ?? "a path"}`);
        continue;
      }
      index++;
    }
    if (setting !== undefined && !setting.commands.includes(command)) {
      errors.push(`--${flag} is a flag of "${setting.commands.join('" and "')}", not of "${command}"`);
      continue;
    }
    given.set(flag, { texts: [...(given.get(flag)?.texts ?? []), text], origin: `--${flag}` });
  }
  return given;
}

/** Reads the variables `LIGHTPATH_…`; all others are not ours. */
export function readEnvironment(env: Surroundings["env"], errors: string[]): Source {
  const flagByVariable = new Map(KNOWN_FLAGS.map((flag) => [envName(flag), flag]));
  const given = new Map<string, Given>();
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith("LIGHTPATH_") || isServiceLink(variable, text)) continue;
    const flag = flagByVariable.get(variable);
    if (flag === undefined) {
      const nearest = closestString(variable, [...flagByVariable.keys()]);
      errors.push(`unknown environment variable ${variable}; the nearest is ${nearest}`);
      continue;
    }
    const separator = SETTING_BY_FLAG.get(flag)?.kind.envSeparator;
    const texts = separator === undefined ? [text] : text.split(separator);
    given.set(flag, { texts, origin: `environment variable ${variable}` });
  }
  return given;
}

/**
 * Whether the kubelet made this variable for a Service called `lightpath…` in the pod's namespace
 * (Kubernetes, "Accessing the Service: Environment Variables"): nobody wrote it, so it cannot be a mistake.
 */
function isServiceLink(variable: string, text: string): boolean {
  if (/_SERVICE_HOST$|_SERVICE_PORT(_.+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(variable)) {
    return true;
  }
  return variable.endsWith("_PORT") && /^(tcp|udp|sctp):\/\//.test(text);
}

/** Reads the file that `--config` names. */
export function readConfigFile(path: Given, edge: FileReader, errors: string[]): Source {
  const name = path.texts.at(-1) ?? "";
  let content: string;
  try {
    content = edge.readTextFile(name);
  } catch (error) {
    errors.push(
      `${path.origin}: cannot read "${name}": ${error instanceof Error ? error.message : String(error)}`,
    );
    return new Map();
  }
  const parsed = parseConfigFile(name, content);
  errors.push(...parsed.errors);
  const given = new Map<string, Given>();
  for (const { key, texts, list, origin } of parsed.entries) {
    const setting = SETTING_BY_FLAG.get(key);
    if (setting === undefined) {
      errors.push(
        key === "config"
          ? `${origin}: a file cannot name another`
          : `${origin}: ${unknownName(`key "${key}"`, key, (name) => `"${name}"`)}`,
      );
    } else if (list && !setting.kind.list) {
      errors.push(`${origin}: "${key}" takes one value, not a list`);
    } else {
      given.set(key, { texts, origin });
    }
  }
  return given;
}

function unknownName(what: string, name: string, spell: (name: string) => string): string {
  const here = KUBE_PROXY_FLAGS.get(name);
  if (here !== undefined) return `unknown ${what}: kube-proxy's ${name} is ${here} here`;
  return `unknown ${what}; the nearest is ${spell(closestString(name, KNOWN_FLAGS))}`;
}

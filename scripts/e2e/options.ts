/**
 * The command line of `deno task e2e`. Pure.
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";

/** Which cluster: `auto` is kind where Docker and kind are there, else the local one. */
export type Backend = "local" | "kind" | "auto";

/** A run as it is asked for. */
export interface RunOptions {
  readonly kind: "run";
  readonly backend: Backend;
  /** Names of scenarios; none means all. */
  readonly only: readonly string[];
  /** The commit to upgrade from. */
  readonly previous: string;
  readonly apiDownMs: number;
  readonly dryRun: boolean;
}

/** What was asked for. */
export type Options =
  | RunOptions
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "error"; readonly message: string };

const BACKENDS: readonly string[] = ["local", "kind", "auto"] satisfies readonly Backend[];

/** For people. */
export const USAGE = `usage: deno task e2e [flags]

  --backend local|kind|auto   which cluster: a control plane, nodes and pods of this machine's own, without containers
                              (local); one of containers, made for the run (kind); auto: kind where docker and kind are
                              there, else local (default: auto)
  --only NAME                 run this scenario; may be repeated, or several names with commas (default: all)
  --previous COMMIT           from which version the scenario "upgrade" begins (default: HEAD~)
  --api-down SECONDS          how long the API server stays away in the scenario "api-down" (default: 60, with CI=true 15)
  --dry-run                   with --backend kind: print the commands, run none
`;

/** Reads it. @param names of the scenarios */
export function parseOptions(args: readonly string[], names: readonly string[], isCI = false): Options {
  let unknown: string | undefined;
  const flags = parseArgs([...args], {
    string: ["backend", "only", "previous", "api-down"],
    boolean: ["help", "dry-run"],
    collect: ["only"],
    default: { "backend": "auto", "previous": "HEAD~", "api-down": isCI ? "15" : "60" },
    unknown: (word: string) => {
      unknown ??= word;
      return false;
    },
  });
  if (flags.help) return { kind: "help", text: `${USAGE}\nscenarios: ${names.join(", ")}` };
  const wrong = (message: string): Options => ({ kind: "error", message });
  if (unknown !== undefined) return wrong(`${unknown} is not known`);
  if (!BACKENDS.includes(flags.backend)) return wrong(`--backend is one of ${BACKENDS.join(", ")}`);
  const only = (flags.only as readonly string[]).flatMap((words) => words.split(","));
  const other = only.find((name) => !names.includes(name));
  if (other !== undefined) return wrong(`there is no scenario ${other}, but ${names.join(", ")}`);
  const seconds = Number(flags["api-down"]);
  if (!(seconds > 0 && seconds <= 180)) return wrong("--api-down is a number of seconds, 180 at most");
  if (flags["dry-run"] && flags.backend !== "kind") return wrong("--dry-run is for --backend kind");
  return {
    kind: "run",
    backend: flags.backend as Backend,
    only,
    previous: flags.previous,
    apiDownMs: seconds * 1_000,
    dryRun: flags["dry-run"],
  };
}

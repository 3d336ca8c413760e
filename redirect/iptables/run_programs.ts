/**
 * Runs `iptables-restore`, `iptables-save`, their twins for IPv6, and `ipset`, once for each call.
 *
 * In: texts on standard input. Out: nothing, or what they print. Faults become `RedirectError`s with a kind and a sentence.
 * Source of the messages: iptables 1.8.4 to 1.8.11 (both variants), ipset 7.
 * @module
 */

import { basename } from "@std/path/basename";
import { dirname } from "@std/path/dirname";
import type { FamilySuffix } from "../containers.ts";
import { RedirectError, type RedirectErrorKind } from "../redirect_error.ts";
import { type ChildResult, runChild } from "../run_child.ts";
import type { Programs } from "./programs.ts";

/** What `createPrograms` needs. */
export interface ProgramOptions {
  /** The iptables program, whose companions (`…-restore`, `ip6…`) stand beside it. */
  readonly iptablesPath: string;
  /** @default "ipset" */
  readonly ipsetPath?: string;
  /** Arguments in front of a program, e.g. to enter a network namespace. @default [] */
  readonly argvPrefix?: readonly string[];
  /** A call that takes longer is killed. 10,000 Services are loaded in 3 s. @default 60_000 */
  readonly timeoutMs?: number;
}

/** Seconds that iptables-legacy waits for others to let go of its lock. */
const LOCK_SECONDS = 5;

/** First match decides. Order: what makes any attempt futile before what a new attempt may mend. */
const KIND_BY_MESSAGE: readonly (readonly [RegExp, RedirectErrorKind])[] = [
  [/Operation not permitted|Permission denied|must be root|Can't open socket to ipset/, "permission"],
  [
    /missing kernel module|Couldn't (load|find) (match|target)|can't initialize|unable to initialize|do you need to insmod|not supported|unknown option|Cannot open session/i,
    "unsupported",
  ],
  [/holding the xtables lock|Resource temporarily unavailable|Device or resource busy/, "busy"],
  [/does not exist|No chain\/target\/match|No such file or directory/, "not-found"],
];

/** A family's program, by what stands behind its name: `ip6tables-legacy-restore` beside `iptables-legacy`. */
function programOf(iptablesPath: string, family: FamilySuffix): string {
  const name = basename(iptablesPath);
  const twin = family === "6" ? name.replace(/^iptables/, "ip6tables") : name;
  return `${iptablesPath.includes("/") ? `${dirname(iptablesPath)}/` : ""}${twin}`;
}

function companion(iptablesPath: string, family: FamilySuffix, action: "restore" | "save"): string {
  return `${programOf(iptablesPath, family)}-${action}`;
}

function refusal(program: string, { code, stderr }: ChildResult, stdin: string): RedirectError {
  const said = stderr.trim();
  const kind = KIND_BY_MESSAGE.find(([pattern]) => pattern.test(said))?.[1] ?? "other";
  const lineNumber = /(?:in line|at line:?|^line|: line) (\d+)/m.exec(said)?.[1];
  const line = lineNumber === undefined ? undefined : stdin.split("\n")[Number(lineNumber) - 1];
  const first =
    said.split("\n").find((text) => !/^# Warning|^iptables\S* v[\d.]+ \(nf_tables\): ?$/.test(text)) ??
      `exit code ${code}`;
  const sentence = kind === "permission"
    ? "Cannot program iptables: permission denied; run as root or with the capabilities CAP_NET_ADMIN and CAP_NET_RAW"
    : kind === "unsupported"
    ? `Cannot program iptables: the kernel or ${program} lacks something that is needed, or the capability CAP_NET_RAW is missing: ${first}`
    : `${program} refused: ${first}`;
  return new RedirectError(sentence, { kind, stderr: said, ...(line === undefined ? {} : { line }) });
}

/** Programs that are run. */
export function createPrograms(options: ProgramOptions): Programs {
  const { iptablesPath, ipsetPath = "ipset", argvPrefix = [], timeoutMs = 60_000 } = options;

  async function run(program: string, args: readonly string[], stdin: string): Promise<string> {
    const isIpset = program === ipsetPath;
    const missing = isIpset
      ? `Cannot program iptables: no program "${program}"; install ipset, or name it with --ipset-bin`
      : `Cannot program iptables: no program "${program}"; install iptables, or name it with --iptables-bin`;
    const [first = program, ...rest] = [...argvPrefix, program, ...args];
    const name = basename(program);
    const result = await runChild({ argv: [first, ...rest], stdin, timeoutMs, name, missing });
    if (result.code !== 0) throw refusal(name, result, stdin);
    return result.stdout;
  }

  return {
    name: basename(iptablesPath),
    saveTables: (family) => run(companion(iptablesPath, family, "save"), [], ""),
    async restoreTables(family, text): Promise<void> {
      await run(companion(iptablesPath, family, "restore"), ["--noflush", "-w", String(LOCK_SECONDS)], text);
    },
    async checkTables(family, text): Promise<void> {
      await run(companion(iptablesPath, family, "restore"), [
        "--noflush",
        "--test",
        "-w",
        String(LOCK_SECONDS),
      ], text);
    },
    showChain: (family, table, chain) =>
      run(programOf(iptablesPath, family), ["-w", String(LOCK_SECONDS), "-t", table, "-S", chain], ""),
    saveSets: () => run(ipsetPath, ["save"], ""),
    async restoreSets(text): Promise<void> {
      await run(ipsetPath, ["restore", "-exist"], text);
    },
  };
}

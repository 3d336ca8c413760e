/**
 * Runs the `nft` program once for each call. (`interactive_nft.ts` keeps one running; both are behind `Nft`.)
 *
 * In: scripts on standard input. Out: nothing, or decoded JSON. Faults become `RedirectError`s with a kind and a sentence.
 * Invariant: one process per call.
 * Source of the messages: nft 1.0.1 to 1.1.x, strerror(3).
 * @module
 */

import { TABLE } from "./layout.ts";
import type { Nft } from "./nft.ts";
import { RedirectError, type RedirectErrorKind } from "./redirect_error.ts";
import { type ChildResult, runChild } from "./run_child.ts";

/** What `createNft` needs. */
export interface NftOptions {
  /** Program to run. @default "nft" */
  readonly nftPath?: string;
  /** Arguments in front of the program, e.g. to enter a network namespace. @default [] */
  readonly argvPrefix?: readonly string[];
  /** A call that takes longer is killed. 50,000 elements take 0.2 s. @default 30_000 */
  readonly timeoutMs?: number;
}

/** First match decides. Order: what makes any attempt futile before what a new attempt may mend. */
const KIND_BY_MESSAGE: readonly (readonly [RegExp, RedirectErrorKind])[] = [
  [/Operation not permitted|Permission denied/, "permission"],
  [/not supported|Unable to initialize Netlink socket/, "unsupported"],
  [/Message too long/, "too-large"],
  [/Device or resource busy|Resource busy|Interrupted system call/, "busy"],
  [/File exists/, "exists"],
  [/No such file or directory/, "not-found"],
];

/** Longest piece of a script quoted in an error. */
const QUOTED_LENGTH = 200;

/** The kind of fault nft's messages tell of. */
export function nftErrorKind(stderr: string): RedirectErrorKind {
  return KIND_BY_MESSAGE.find(([pattern]) => pattern.test(stderr))?.[1] ?? "other";
}

/** What an operator is told about a refusal. */
export function nftErrorSentence(kind: RedirectErrorKind, nftPath: string, stderr: string): string {
  const first = stderr.trim().split("\n")[0] ?? "";
  switch (kind) {
    case "permission":
      return "Cannot program nftables: permission denied; run as root or with the capability CAP_NET_ADMIN";
    case "unsupported":
      return `Cannot program nftables: the kernel lacks something it needs (Linux 5.13 or newer with nf_tables, ` +
        `nft_nat, nft_redir and nft_reject_inet is wanted): ${first}`;
    case "missing-binary":
      return `Cannot program nftables: no program "${nftPath}"; install nftables 1.0.1 or newer, or name it with --nft-bin`;
    case "not-found":
    case "exists":
    case "busy":
    case "too-large":
    case "timeout":
    case "unknown":
    case "unreadable":
    case "other":
      return `nft refused: ${first}`;
    default: {
      const unknown: never = kind;
      throw new TypeError(`Unknown kind of nft error "${unknown}"`);
    }
  }
}

/** The script's line that nft's first message points at (`/dev/stdin:LINE:COLUMN-COLUMN: …`). */
function blamedLine(stderr: string, script: string): string | undefined {
  const place = /^[^:\n]*:(\d+):(\d+)-(\d+): /m.exec(stderr);
  const line = place === null ? undefined : script.split("\n")[Number(place[1]) - 1];
  return line === undefined || place === null ? undefined : quoteLine(line, Number(place[2]));
}

/** A script's line, cut to a readable length around a column. */
export function quoteLine(line: string, column: number): string {
  if (line.length <= QUOTED_LENGTH) return line;
  const start = Math.max(0, column - QUOTED_LENGTH / 2);
  return `…${line.slice(start, start + QUOTED_LENGTH)}…`;
}

/** An `Nft` that runs the program. */
export function createNft(options: NftOptions = {}): Nft {
  const nftPath = options.nftPath ?? "nft";
  const timeoutMs = options.timeoutMs ?? 30_000;
  const [program = nftPath, ...prefixed] = [...(options.argvPrefix ?? []), nftPath];

  function run(args: readonly string[], stdin: string): Promise<ChildResult> {
    const missing = nftErrorSentence("missing-binary", program, "");
    return runChild({ argv: [program, ...prefixed, ...args], stdin, timeoutMs, name: "nft", missing });
  }

  function failure({ stderr, code }: ChildResult, script: string): RedirectError {
    const kind = nftErrorKind(stderr);
    const line = blamedLine(stderr, script);
    return new RedirectError(nftErrorSentence(kind, nftPath, stderr || `exit code ${code}`), {
      kind,
      stderr,
      ...(line === undefined ? {} : { line }),
    });
  }

  async function perform(args: readonly string[], script: string): Promise<void> {
    const result = await run(args, script);
    if (result.code !== 0) throw failure(result, script);
  }

  return {
    apply: (script) => perform(["-f", "-"], script),
    check: (script) => perform(["-c", "-f", "-"], script),
    async list(): Promise<unknown | undefined> {
      const result = await run(["-j", "list", "table", ...TABLE.split(" ")], "");
      if (result.code !== 0) {
        const error = failure(result, "");
        if (error.kind === "not-found") return undefined;
        throw error;
      }
      try {
        return JSON.parse(result.stdout);
      } catch (cause) {
        throw new RedirectError("nft -j printed no JSON; was nft built without it?", {
          kind: "unreadable",
          cause,
        });
      }
    },
  };
}

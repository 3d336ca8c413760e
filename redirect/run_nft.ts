/**
 * Runs the `nft` program once for each call. (`interactive_nft.ts` keeps one running; both are behind `Nft`.)
 *
 * In: scripts on standard input. Out: nothing, or decoded JSON. Faults become `RedirectError`s with a kind and a sentence.
 * Invariants: one process per call, none outlives its timeout; output is read in the C locale, so that messages are
 * recognised whatever the node's language.
 * Source of the messages: nft 1.0.1 to 1.1.x, strerror(3).
 * @module
 */

import { killChild } from "./child_process.ts";
import { TABLE } from "./layout.ts";
import type { Nft } from "./nft.ts";
import { RedirectError, type RedirectErrorKind } from "./redirect_error.ts";

/** What `createNft` needs. */
export interface NftOptions {
  /** Program to run. @default "nft" */
  readonly nftPath?: string;
  /** Arguments in front of the program, e.g. to enter a network namespace. @default [] */
  readonly argvPrefix?: readonly string[];
  /** A call that takes longer is killed. 50,000 elements take 0.2 s. @default 30_000 */
  readonly timeoutMs?: number;
}

interface RunResult {
  readonly code: number;
  /** Ended by SIGKILL, which only we send. */
  readonly killed: boolean;
  readonly stdout: string;
  readonly stderr: string;
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

/** How long the end of a killed nft is waited for. */
const KILL_GRACE_MS = 1_000;

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

  async function run(args: readonly string[], stdin: string): Promise<RunResult> {
    const tooLate = Promise.withResolvers<never>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      const child = new Deno.Command(program, {
        args: [...prefixed, ...args],
        // LC_ALL wins over LANG and the LC_* of the node.
        env: { LC_ALL: "C", LANG: "C" },
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const ended = exchange(child, stdin);
      timer = setTimeout(() => {
        killChild(child);
        // Not even SIGKILL ends a process that waits in the kernel: its end is not waited for much longer.
        timer = setTimeout(() => tooLate.reject(timeout()), KILL_GRACE_MS);
      }, timeoutMs);
      const result = await Promise.race([ended, tooLate.promise]);
      if (result.killed) throw timeout();
      return result;
    } catch (cause) {
      if (cause instanceof RedirectError) throw cause;
      if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.PermissionDenied) {
        throw new RedirectError(nftErrorSentence("missing-binary", program, ""), {
          kind: "missing-binary",
          cause,
        });
      }
      throw new RedirectError(`nft could not be run: ${String(cause)}`, { kind: "other", cause });
    } finally {
      clearTimeout(timer);
    }
  }

  function timeout(): RedirectError {
    return new RedirectError(`nft did not end within ${timeoutMs} ms`, { kind: "timeout" });
  }

  function failure({ stderr, code }: RunResult, script: string): RedirectError {
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

/** Feeds a process and reads it to its end. */
async function exchange(child: Deno.ChildProcess, stdin: string): Promise<RunResult> {
  const output = child.output();
  try {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(stdin));
    await writer.close();
  } catch (error) {
    // A program that ends without reading tells why by its exit code.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
  const { code, signal, stdout, stderr } = await output;
  const decoder = new TextDecoder();
  return {
    code,
    killed: signal === "SIGKILL",
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

/**
 * Runs the `conntrack` program, once for each call.
 *
 * In: what to read or delete. Out: flows, one by one as they are printed; how many were deleted. Faults become
 * `ConntrackError`s with a kind and a sentence.
 * Invariants: no more than a piece of the output is kept; no process outlives its timeout or its caller's signal.
 * Source: conntrack(8); messages of conntrack-tools 1.4.6 to 1.4.8.
 * @module
 */

import type { IPFamily } from "../agent/model/mod.ts";
import { killChild } from "./child_process.ts";
import { type Conntrack, ConntrackError, type ConntrackErrorKind } from "./conntrack.ts";
import { isTranslated, parseUdpFlows, type UdpFlow } from "./udp_flow.ts";

/** What `createConntrack` needs. */
export interface ConntrackOptions {
  /** Program to run. @default "conntrack" */
  readonly conntrackPath?: string;
  /** Arguments in front of the program, e.g. to enter a network namespace. @default [] */
  readonly argvPrefix?: readonly string[];
  /** A call that takes longer is killed. 60,000 flows take 0.3 s. @default 30_000 */
  readonly timeoutMs?: number;
}

/** A call of the program. */
interface Call {
  readonly args: readonly string[];
  /** Takes what is printed; undefined: nobody wants it. */
  readonly onLine?: (line: string) => void;
  readonly signal: AbortSignal;
}

interface CallResult {
  readonly code: number;
  readonly stderr: string;
}

/** How long the end of a killed process is waited for. */
const KILL_GRACE_MS = 1_000;

const FAMILY_NAMES: Readonly<Record<IPFamily, string>> = { IPv4: "ipv4", IPv6: "ipv6" };

/** A `Conntrack` that runs the program. */
export function createConntrack(options: ConntrackOptions = {}): Conntrack {
  const conntrackPath = options.conntrackPath ?? "conntrack";
  const timeoutMs = options.timeoutMs ?? 30_000;
  const [program = conntrackPath, ...prefixed] = [...(options.argvPrefix ?? []), conntrackPath];

  async function run(call: Call): Promise<CallResult> {
    if (call.signal.aborted) throw stopped("aborted", timeoutMs);
    const tooLate = Promise.withResolvers<never>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let stoppedBy: "timeout" | "aborted" | undefined;
    const child = start(call);
    const stop = (kind: "timeout" | "aborted"): void => {
      stoppedBy = kind;
      clearTimeout(timer);
      killChild(child);
      // Not even SIGKILL ends a process that waits in the kernel: its end is not waited for much longer.
      timer = setTimeout(() => tooLate.reject(stopped(kind, timeoutMs)), KILL_GRACE_MS);
    };
    const onAbort = (): void => stop("aborted");
    call.signal.addEventListener("abort", onAbort);
    timer = setTimeout(() => stop("timeout"), timeoutMs);
    try {
      const result = await Promise.race([resultOf(child, call.onLine), tooLate.promise]);
      if (stoppedBy !== undefined) throw stopped(stoppedBy, timeoutMs);
      return result;
    } finally {
      clearTimeout(timer);
      call.signal.removeEventListener("abort", onAbort);
    }
  }

  function start({ args, onLine }: Call): Deno.ChildProcess {
    try {
      return new Deno.Command(program, {
        args: [...prefixed, ...args],
        env: { LC_ALL: "C", LANG: "C" },
        stdin: "null",
        stdout: onLine === undefined ? "null" : "piped",
        stderr: "piped",
      }).spawn();
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.PermissionDenied) {
        throw new ConntrackError(
          `no program "${program}"; install the package conntrack (Fedora: conntrack-tools), or name it with ` +
            "--conntrack-bin",
          { kind: "missing-binary", cause },
        );
      }
      throw new ConntrackError(`conntrack could not be run: ${String(cause)}`, { kind: "other", cause });
    }
  }

  return {
    async readUdpFlows({ family, onFlow, signal }): Promise<void> {
      let read = 0;
      let unreadable: string | undefined;
      const onLine = (line: string): void => {
        const flows = parseUdpFlows(line);
        if (flows.length === 0) return void (unreadable ??= line);
        read++;
        flows.forEach(onFlow);
      };
      const result = await run({ args: ["-L", "-p", "udp", "-f", FAMILY_NAMES[family]], onLine, signal });
      if (result.code !== 0) throw failure(result);
      // A line now and then that is strange is nobody's flow. If all are, this is a tool we do not understand.
      if (read === 0 && unreadable !== undefined) {
        throw new ConntrackError(`conntrack printed what cannot be read: ${unreadable.slice(0, 200)}`, {
          kind: "unreadable",
        });
      }
    },
    async deleteUdpFlows(like, signal): Promise<number> {
      const result = await run({ args: ["-D", "-p", "udp", ...selecting(like)], signal });
      const deleted = /(\d+) flow entries have been deleted/.exec(result.stderr)?.[1];
      // None at all is code 1: they have ended by themselves.
      if (result.code !== 0 && deleted !== "0") throw failure(result);
      return Number(deleted ?? 0);
    },
  };
}

/** The arguments that choose all flows like this one. */
function selecting(flow: UdpFlow): string[] {
  const { family, destination, answeredBy, isReversed } = flow;
  const [to, by] = isReversed ? ["src", "dst"] : ["dst", "src"];
  return [
    ...["-f", FAMILY_NAMES[family]],
    ...[`--orig-${to}`, destination.address, `--orig-port-${to}`, String(destination.port)],
    ...[`--reply-${by}`, answeredBy.address, `--reply-port-${by}`, String(answeredBy.port)],
    // A translated one may be in whatever zone.
    ...(isTranslated(flow) ? [] : ["--zone", "0"]),
  ];
}

async function resultOf(
  child: Deno.ChildProcess,
  onLine: ((line: string) => void) | undefined,
): Promise<CallResult> {
  const [{ code }, stderr] = await Promise.all([
    child.status,
    new Response(child.stderr).text(),
    onLine && readLines(child.stdout, onLine),
  ]);
  return { code, stderr };
}

async function readLines(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  }
  if (rest !== "") onLine(rest);
}

function stopped(kind: "timeout" | "aborted", timeoutMs: number): ConntrackError {
  const how = kind === "timeout" ? `did not end within ${timeoutMs} ms` : "was told to end";
  return new ConntrackError(`conntrack ${how}`, { kind });
}

function failure({ code, stderr }: CallResult): ConntrackError {
  const said = stderr.trim().split("\n")[0]?.replace(/^conntrack v\S+ \(conntrack-tools\): /, "") ?? "";
  const kind: ConntrackErrorKind = /CAP_NET_ADMIN|not permitted|Permission denied/.test(said)
    ? "permission"
    : "other";
  const sentence = kind === "permission"
    ? "permission denied; run as root or with the capability CAP_NET_ADMIN"
    : `conntrack refused: ${said || `exit code ${code}`}`;
  return new ConntrackError(sentence, { kind });
}

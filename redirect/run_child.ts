/**
 * Runs a program that programs the kernel, once: feeds it a text and reads what it prints.
 *
 * In: the program, its arguments, a text. Out: its exit code and output. A program that is not there or does not end in time
 * is a `RedirectError`.
 * Invariants: none outlives its timeout; output is read in the C locale, so that messages are recognised whatever the
 * node's language.
 * @module
 */

import { killChild } from "./child_process.ts";
import { RedirectError } from "./redirect_error.ts";

/** A call of a program. */
export interface ChildCall {
  /** Program and arguments. */
  readonly argv: readonly [string, ...string[]];
  readonly stdin: string;
  /** After so long it is killed. */
  readonly timeoutMs: number;
  /** Which program it is, for people: `nft`. */
  readonly name: string;
  /** What an operator is told when there is no such program. */
  readonly missing: string;
}

/** How a program ended. */
export interface ChildResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface Ended extends ChildResult {
  /** By SIGKILL, which only we send. */
  readonly killed: boolean;
}

/** How long the end of a killed program is waited for. */
const KILL_GRACE_MS = 1_000;

/** Runs it to its end. @throws {RedirectError} of kind `timeout`, `missing-binary` or `other` */
export async function runChild({ argv, stdin, timeoutMs, name, missing }: ChildCall): Promise<ChildResult> {
  const timeout = (): RedirectError =>
    new RedirectError(`${name} did not end within ${timeoutMs} ms`, { kind: "timeout" });
  const tooLate = Promise.withResolvers<never>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    const [program, ...args] = argv;
    const child = new Deno.Command(program, {
      args,
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
      throw new RedirectError(missing, { kind: "missing-binary", cause });
    }
    throw new RedirectError(`${name} could not be run: ${String(cause)}`, { kind: "other", cause });
  } finally {
    clearTimeout(timer);
  }
}

/** Feeds a process and reads it to its end. */
async function exchange(child: Deno.ChildProcess, stdin: string): Promise<Ended> {
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

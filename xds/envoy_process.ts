/**
 * Runs Envoy as a child of the agent, for as long as the agent lives and not longer.
 *
 * In: a binary, the bootstrap, a folder. Out: an Envoy that is started again whenever it ends; its log lines in the
 * agent's log; its state by callback. Its stdout is the agent's: Envoy writes nothing there but the access log, which passes
 * the agent by.
 * Invariants: at most one Envoy per folder. The bootstrap is a file only its owner can read or write. On abort Envoy gets
 * SIGTERM, after a grace SIGKILL, and the promise resolves when it is gone. Envoy does not outlive an agent that is
 * killed: the kernel ends it then where `setpriv` can ask for that (util-linux 2.33), and the next agent in the same
 * folder ends what is left otherwise.
 * @module
 */

import { delay } from "@std/async/delay";
import { join } from "@std/path/join";
import type { Logger } from "../agent/log.ts";
import { ACCESS_LOG_ARGUMENTS } from "./access_log.ts";
import { ENVOY_LOG_ARGUMENTS, parseEnvoyLogLine } from "./envoy_log_line.ts";
import { endOrphan, forgetProcess, rememberProcess } from "./envoy_orphan.ts";
import { readLines } from "./read_lines.ts";

/** What has become of Envoy. */
export type EnvoyState =
  /** About to be started. */
  | { readonly kind: "starting" }
  /** The process exists; whether it is fed, the ADS server knows. */
  | { readonly kind: "running"; readonly pid: number }
  /** Ended without being asked to; will be started again. */
  | {
    readonly kind: "exited";
    /** `exit code 1` or `signal SIGSEGV`. */
    readonly how: string;
    /** The last error in its log; empty when there was none. */
    readonly lastError: string;
    readonly restartInMs: number;
  }
  /** Ended because the signal was aborted. Final. */
  | { readonly kind: "stopped" };

/** What {@linkcode runEnvoy} needs. */
export interface RunEnvoyOptions {
  /** As found by `findEnvoy`. */
  readonly binary: string;
  /** The configuration, as JSON. */
  readonly bootstrap: string;
  /** Holds the bootstrap and the note of the process; created with mode 0700 when missing. */
  readonly runDir: string;
  /** Worker threads; 0: one per processor. */
  readonly concurrency: number;
  /** As Envoy's `--log-level`. */
  readonly logLevel: string;
  readonly logger: Logger;
  readonly onState?: (state: EnvoyState) => void;
  /** Between SIGTERM and SIGKILL. @default 5_000 */
  readonly graceMs?: number;
  /** Before the first restart; doubles up to `longestBackoffMs`. @default 100 */
  readonly shortestBackoffMs?: number;
  /** @default 5_000 */
  readonly longestBackoffMs?: number;
}

/** After this long the backoff starts anew: what ends then has another cause than what ended at once. */
const SETTLED_MS = 30_000;

/**
 * Runs Envoy until the signal aborts.
 * @throws {EnvoyOrphanError} when another agent runs an Envoy out of the same folder
 * @throws {Deno.errors.NotFound | Deno.errors.PermissionDenied} when folder or binary cannot be used
 */
export async function runEnvoy(options: RunEnvoyOptions, signal: AbortSignal): Promise<void> {
  const { runDir, logger } = options;
  const onState = options.onState ?? (() => {});
  const shortest = options.shortestBackoffMs ?? 100;
  const longest = options.longestBackoffMs ?? 5_000;
  await Deno.mkdir(runDir, { recursive: true, mode: 0o700 });
  const bootstrapPath = join(runDir, "envoy-bootstrap.json");
  const notePath = join(runDir, "envoy.pid");
  const graceMs = options.graceMs ?? 5_000;
  await endOrphan({ notePath, bootstrapPath, graceMs, logger });
  await writePrivately(bootstrapPath, options.bootstrap);
  const command = [...await orphanGuard(logger), options.binary, ...envoyArguments(options, bootstrapPath)];

  let backoffMs = shortest;
  while (!signal.aborted) {
    onState({ kind: "starting" });
    const startedMs = performance.now();
    const end = await runOnce(command, { ...options, graceMs, notePath, onState }, signal);
    if (signal.aborted) break;
    if (performance.now() - startedMs >= SETTLED_MS) backoffMs = shortest;
    const restartInMs = Math.round(backoffMs * (0.75 + Math.random() / 2));
    backoffMs = Math.min(2 * backoffMs, longest);
    logger.error("Envoy ended by itself", {
      how: end.how,
      lastError: end.lastError || undefined,
      restartInMs,
    });
    onState({ kind: "exited", ...end, restartInMs });
    try {
      await delay(restartInMs, { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
  onState({ kind: "stopped" });
}

/** Envoy's command line. Hot restart is off: it needs shared memory of one name per host, and the agent restarts Envoy. */
function envoyArguments(options: RunEnvoyOptions, bootstrapPath: string): string[] {
  return [
    "--config-path",
    bootstrapPath,
    "--disable-hot-restart",
    "--log-level",
    options.logLevel,
    ...ENVOY_LOG_ARGUMENTS,
    ...ACCESS_LOG_ARGUMENTS,
    ...(options.concurrency > 0 ? ["--concurrency", String(options.concurrency)] : []),
  ];
}

interface RunOnceOptions {
  readonly notePath: string;
  readonly graceMs: number;
  readonly logger: Logger;
  readonly onState: (state: EnvoyState) => void;
}

/** Starts Envoy and returns when it has ended and its last lines are logged. */
async function runOnce(
  [program = "", ...args]: readonly string[],
  options: RunOnceOptions,
  signal: AbortSignal,
): Promise<{ readonly how: string; readonly lastError: string }> {
  const { logger, graceMs } = options;
  const child = new Deno.Command(program, { args, stdin: "null", stdout: "inherit", stderr: "piped" })
    .spawn();
  const ended = new AbortController();
  const stop = (): void => {
    terminate(child, "SIGTERM");
    const kill = setTimeout(() => {
      logger.warn("Envoy does not end on SIGTERM and is killed", { pid: child.pid, graceMs });
      terminate(child, "SIGKILL");
    }, graceMs);
    ended.signal.addEventListener("abort", () => clearTimeout(kill));
  };
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  let lastError = "";
  const logged = readLines(child.stderr, (line) => {
    const { level, component, message } = parseEnvoyLogLine(line);
    // The last of them repeats the reason and adds the whole configuration's name, over two lines.
    if (level === "error") lastError = message.replace(/ initializing config '[^']*'$/, "");
    logger[level](message, { from: "envoy", component: component || undefined });
  }, ended.signal);
  async function finish(): Promise<{ readonly how: string; readonly lastError: string }> {
    const status = await child.status;
    signal.removeEventListener("abort", stop);
    ended.abort();
    await logged;
    await forgetProcess(options.notePath);
    logger.debug("Envoy ended", { pid: child.pid, code: status.code, signal: status.signal ?? undefined });
    const how = status.signal === null ? `exit code ${status.code}` : `signal ${status.signal}`;
    return { how, lastError: lastError.slice(0, 500) };
  }
  try {
    await rememberProcess(options.notePath, child.pid);
    logger.info("Envoy started", { pid: child.pid });
    options.onState({ kind: "running", pid: child.pid });
  } catch (error) {
    stop();
    await finish();
    throw error;
  }
  return await finish();
}

function terminate(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    // It ended in the meantime, which is what was wanted.
    if (!(error instanceof Deno.errors.NotFound || error instanceof TypeError)) throw error;
  }
}

/** A file that nobody else could have opened before it was complete. */
async function writePrivately(path: string, content: string): Promise<void> {
  const draft = `${path}.${crypto.randomUUID()}`;
  await Deno.writeTextFile(draft, content, { mode: 0o600, createNew: true });
  await Deno.rename(draft, path);
}

/** The words in front of a command that make the kernel kill it when the agent dies; empty where that is not possible. */
async function orphanGuard(logger: Logger): Promise<readonly string[]> {
  const guard = ["setpriv", "--pdeathsig", "KILL", "--"];
  try {
    const [program = "", ...args] = guard;
    const { success } = await new Deno.Command(program, { args: [...args, "true"], stdin: "null" }).output();
    if (success) return guard;
  } catch {
    // Not installed: said below.
  }
  logger.debug(
    "setpriv cannot bind Envoy's life to the agent's; the next agent ends what is left of a killed one",
  );
  return [];
}

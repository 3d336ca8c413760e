/**
 * Ends an Envoy that a killed agent left behind, and keeps two agents from running two Envoys out of one folder.
 *
 * In: the note an agent leaves of the Envoy it runs. Out: nothing runs any more with that folder's bootstrap; or an
 * error when its agent is alive.
 * Invariant: a process is ended only when its command line names the bootstrap of this folder and it has lost the agent
 * that started it, so a process id that was used again by somebody else is left alone.
 * @module
 */

import { delay } from "@std/async/delay";
import type { Logger } from "../agent/log.ts";
import { readSystemFile } from "../agent/system_files.ts";

/** Another agent is alive and runs an Envoy out of this folder. The message is one sentence for the operator. */
export class EnvoyOrphanError extends Error {
  override readonly name = "EnvoyOrphanError";
}

/** What {@linkcode endOrphan} needs. */
export interface EndOrphanOptions {
  readonly notePath: string;
  /** The bootstrap every Envoy of this folder is started with. */
  readonly bootstrapPath: string;
  /** Between SIGTERM and SIGKILL. */
  readonly graceMs: number;
  readonly logger: Logger;
}

/** Notes the Envoy this agent has started. */
export async function rememberProcess(notePath: string, pid: number): Promise<void> {
  await Deno.writeTextFile(notePath, JSON.stringify({ envoy: pid, agent: Deno.pid }) + "\n", { mode: 0o600 });
}

/** Removes the note of an Envoy that has ended. */
export async function forgetProcess(notePath: string): Promise<void> {
  try {
    await Deno.remove(notePath);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * Ends the Envoy of the note, if it is one that was left behind.
 * @throws {EnvoyOrphanError} when the agent that runs it is alive
 */
export async function endOrphan(options: EndOrphanOptions): Promise<void> {
  const note = await readNote(options.notePath);
  if (note === undefined || !await isEnvoyOf(options.bootstrapPath, note.envoy)) return;
  if (parentOf(note.envoy) === note.agent) {
    throw new EnvoyOrphanError(
      `another agent (process ${note.agent}) already runs an Envoy with "${options.bootstrapPath}": ` +
        "end it, or give this one a --run-dir of its own",
    );
  }
  options.logger.warn("ending the Envoy of an agent that was killed", { pid: note.envoy });
  const deadlineMs = performance.now() + options.graceMs;
  signalProcess(note.envoy, "SIGTERM");
  while (await isEnvoyOf(options.bootstrapPath, note.envoy)) {
    if (performance.now() >= deadlineMs) signalProcess(note.envoy, "SIGKILL");
    await delay(20);
  }
  await forgetProcess(options.notePath);
}

async function readNote(
  path: string,
): Promise<{ readonly envoy: number; readonly agent: number } | undefined> {
  const text = await readIfThere(path);
  const [, envoy, agent] = /^\{"envoy":(\d+),"agent":(\d+)\}\s*$/.exec(text ?? "") ?? [];
  return envoy === undefined || agent === undefined
    ? undefined
    : { envoy: Number(envoy), agent: Number(agent) };
}

/** A process that executes another program (execve(2)) has no command line for an instant. */
const EXECUTING_LOOKS = 20;

/** Whether the process runs with this bootstrap. A zombie has no command line, and a kernel thread never has one. */
async function isEnvoyOf(bootstrapPath: string, pid: number): Promise<boolean> {
  let commandLine = readSystemFile(`/proc/${pid}/cmdline`);
  for (let look = 1; commandLine === "" && look < EXECUTING_LOOKS && isAlive(pid); look++) {
    await delay(5);
    commandLine = readSystemFile(`/proc/${pid}/cmdline`);
  }
  return commandLine?.split("\0").includes(bootstrapPath) ?? false;
}

function isAlive(pid: number): boolean {
  const status = readSystemFile(`/proc/${pid}/status`);
  return status !== undefined && !/^State:\s+Z/m.test(status);
}

function parentOf(pid: number): number | undefined {
  const parent = /^PPid:\s+(\d+)$/m.exec(readSystemFile(`/proc/${pid}/status`) ?? "")?.[1];
  return parent === undefined ? undefined : Number(parent);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function signalProcess(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    // It ended in the meantime, which is what was wanted.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

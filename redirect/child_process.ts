/**
 * The end of a child process.
 * @module
 */

/** How long an end is waited for before it is forced, and then before it is given up. */
const GRACE_MS = 1_000;

/** Kills a process, if it has not ended. */
export function killChild(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    // It has ended this very moment, which is what is wanted.
    if (!(error instanceof TypeError) && !(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * Waits for the end of a process and forces it when it does not come. Not even SIGKILL ends one that waits in the kernel:
 * its end is not waited for much longer. Returns whether it came.
 */
export async function endOfChild(child: Deno.ChildProcess): Promise<boolean> {
  if (await endsWithin(child, GRACE_MS)) return true;
  killChild(child);
  if (await endsWithin(child, GRACE_MS)) return true;
  child.unref();
  return false;
}

async function endsWithin(child: Deno.ChildProcess, ms: number): Promise<boolean> {
  const late = Promise.withResolvers<false>();
  const timer = setTimeout(() => late.resolve(false), ms);
  try {
    return await Promise.race([child.status.then(() => true as const), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

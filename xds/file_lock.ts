/**
 * Runs one holder at a time across processes: an advisory lock on a file, which the kernel releases when its holder
 * ends, however it ends. The file itself stays.
 * @module
 */

import { delay } from "@std/async/delay";

const POLL_MS = 200;

/** What `withFileLock` tells and obeys. */
export interface FileLockOptions {
  /** Called once when the lock is found taken, before waiting for it. */
  readonly onWait?: () => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Takes the lock `path`, runs `action`, releases the lock; waits while somebody else holds it.
 * @throws the signal's reason when aborted while waiting, `Deno.errors` when the file cannot be made, and what `action` throws
 */
export async function withFileLock<T>(
  path: string,
  action: () => Promise<T>,
  options: FileLockOptions = {},
): Promise<T> {
  using file = await Deno.open(path, { create: true, write: true });
  // Polled rather than `lock()`: a blocked lock cannot be aborted.
  let waited = false;
  while (!(await file.tryLock(true))) {
    if (!waited) options.onWait?.();
    waited = true;
    await delay(POLL_MS, options.signal === undefined ? {} : { signal: options.signal });
  }
  options.signal?.throwIfAborted();
  return await action();
}

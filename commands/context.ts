/**
 * What every command gets, and how one says that it cannot do its work.
 * @module
 */
import type { Config } from "../agent/config.ts";
import type { Logger } from "../agent/log.ts";

/** What a command was to write cannot be written. The message is one sentence for the operator. */
export class OutputError extends Error {
  override readonly name = "OutputError";

  constructor(where: string, cause: unknown) {
    super(`cannot write to ${where}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** A command's surroundings. */
export interface CommandContext {
  readonly config: Config;
  readonly logger: Logger;
  /** Aborts on SIGTERM and SIGINT. */
  readonly signal: AbortSignal;
  /** Writes a text to standard output. @throws {OutputError} */
  print(text: string): Promise<void>;
}

/**
 * A signal that aborts some time after another has: when `work` is done, and at the latest after `longestMs`. For what must
 * still be said while everything else runs.
 */
export function abortAfter(
  signal: AbortSignal,
  work: () => Promise<void>,
  { longestMs, logger }: { readonly longestMs: number; readonly logger: Logger },
): AbortSignal {
  const later = new AbortController();
  async function workThenAbort(): Promise<void> {
    const limit = Promise.withResolvers<void>();
    const timer = setTimeout(limit.resolve, longestMs);
    try {
      await Promise.race([work(), limit.promise]);
    } catch (error) {
      logger.warn("something was left undone at the end", { error: String(error) });
    } finally {
      clearTimeout(timer);
      later.abort(signal.reason);
    }
  }
  if (signal.aborted) void workThenAbort();
  else signal.addEventListener("abort", () => void workThenAbort(), { once: true });
  return later.signal;
}

/**
 * Runs loops until the signal aborts. The first that fails ends the others, and its error is thrown when all have ended,
 * so that nothing still runs when the caller goes on.
 */
export async function runTogether(
  loops: readonly ((signal: AbortSignal) => Promise<void>)[],
  { signal, logger }: Pick<CommandContext, "signal" | "logger">,
): Promise<void> {
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  await Promise.all(loops.map(async (loop) => {
    try {
      await loop(either);
    } catch (error) {
      // What a loop throws because it was ended is no fault; and only the first fault is thrown.
      if (either.aborted) {
        logger.debug("ended with an error after it was told to end", { error: String(error) });
      } else failed.abort(error);
    }
  }));
  if (failed.signal.aborted && !signal.aborted) throw failed.signal.reason;
}

/**
 * Tells whoever wrote a Service, by Events, what of it could not be served as written.
 *
 * In: Problems as they appear; those without a Service are nobody's to mend there, and are passed over. Out: Events.
 * Invariants: nothing waits for this and nothing fails by it. At most one request a second; what waits is bounded. All agents
 * see a problem at the same moment, so each takes its time before it speaks. An Event that cannot be written is tried again
 * twice, and then left. A right that is missing is said once. Each Event is counted once, by what became of it.
 * @module
 */
import { delay } from "@std/async/delay";
import type { Logger } from "../log.ts";
import type { Problem } from "../model/mod.ts";
import type { EventClient } from "./client.ts";
import { problemEvent, type ToldProblem } from "./event.ts";
import { KubeApiError } from "./kube_api_error.ts";

/** What became of an Event. */
export type EventResult =
  | "written"
  /** It is there: another node's agent, or this one before its restart, has written it. */
  | "present"
  /** The API server does not take it; above all, a right is missing. */
  | "refused"
  /** There was no answer, or none of use, in three attempts. */
  | "failed"
  /** Too many waited. */
  | "dropped";

/** What {@linkcode createEventReporter} needs. */
export interface EventReporterOptions {
  readonly client: EventClient;
  readonly nodeName: string;
  readonly logger: Logger;
  /** Told what became of each Event. */
  readonly onSettled?: (result: EventResult) => void;
  /** Up to how long an agent waits before it speaks, so that a thousand nodes do not at once. @default 5000 */
  readonly spreadMs?: number;
  /** Between two requests. @default 1000 */
  readonly pauseMs?: number;
  /** Before the second attempt at an Event; twice as long before the third. @default 5000 */
  readonly retryMs?: number;
  /** How many may wait. @default 100 */
  readonly maxWaiting?: number;
}

/** Writes Events. */
export interface EventReporter {
  /** Takes note of problems that appeared. Returns at once. */
  report(batch: { readonly problemsAppeared: readonly Problem[] }): void;
  /** Writes what was reported until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

const ATTEMPTS = 3;

/** Creates a reporter that has nothing to tell. */
export function createEventReporter(options: EventReporterOptions): EventReporter {
  const { client, nodeName, logger, onSettled = () => {} } = options;
  const { spreadMs = 5_000, pauseMs = 1_000, retryMs = 5_000, maxWaiting = 100 } = options;
  const waiting: ToldProblem[] = [];
  let wake = Promise.withResolvers<void>();
  let mayWrite = true;

  /** Tries once. Returns after how many milliseconds to try again; 0: it is settled, well or not. */
  async function attemptToWrite(problem: ToldProblem, attempt: number, signal: AbortSignal): Promise<number> {
    const event = problemEvent(problem, { nodeName, nowMs: Date.now() });
    const { name, namespace } = event.metadata;
    try {
      const isNew = await client.createEvent(event, signal);
      mayWrite = true;
      onSettled(isNew ? "written" : "present");
      logger.debug(isNew ? "Event written" : "Event is there already", { event: `${namespace}/${name}` });
      return 0;
    } catch (error) {
      if (signal.aborted) return 0;
      const reason = error instanceof Error ? error.message : String(error);
      if (error instanceof KubeApiError && isFinal(error)) {
        onSettled("refused");
        if (error.status !== 403) {
          logger.warn("an Event could not be written", { event: `${namespace}/${name}`, reason });
        } else {
          logger[mayWrite ? "warn" : "debug"]("problems are not told by Events, which is not permitted", {
            reason,
          });
          mayWrite = false;
        }
        return 0;
      }
      if (attempt === ATTEMPTS) {
        onSettled("failed");
        logger.warn("an Event could not be written", { event: `${namespace}/${name}`, reason });
        return 0;
      }
      const asked = error instanceof KubeApiError ? error.retryAfterMs : 0;
      return Math.max(asked, retryMs * attempt);
    }
  }

  return {
    report: ({ problemsAppeared }) => {
      let dropped = 0;
      for (const { service, kind, message } of problemsAppeared) {
        if (service === undefined) continue;
        if (waiting.length >= maxWaiting) {
          dropped++;
          onSettled("dropped");
        } else waiting.push({ service, kind, message });
      }
      if (dropped > 0) logger.warn("too many problems to tell all of them by Events", { more: dropped });
      if (waiting.length > 0) wake.resolve();
    },
    run: async (signal) => {
      const aborted = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => aborted.resolve(), { once: true });
      if (signal.aborted) return;
      for (;;) {
        await Promise.race([wake.promise, aborted.promise]);
        wake = Promise.withResolvers();
        if (!await isSlept(Math.random() * spreadMs, signal)) return;
        for (let problem = waiting.shift(); problem !== undefined; problem = waiting.shift()) {
          for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
            const againMs = await attemptToWrite(problem, attempt, signal);
            if (againMs === 0) break;
            if (!await isSlept(againMs, signal)) return;
          }
          if (!await isSlept(pauseMs, signal)) return;
        }
      }
    },
  };
}

/** What trying again would not mend: the request itself is refused. */
function isFinal({ status }: KubeApiError): boolean {
  return status >= 400 && status < 500 && status !== 401 && status !== 408 && status !== 429;
}

/** Waits; false when the signal aborted. */
async function isSlept(ms: number, signal: AbortSignal): Promise<boolean> {
  // delay() rejects for nothing but its signal.
  return await delay(ms, { signal }).then(() => true, () => false);
}

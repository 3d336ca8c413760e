/**
 * Tells people about what could not be served as written: once when it appears, once when it is resolved.
 *
 * In: Problems that appeared and that were resolved, in batches. Out: log lines and counts.
 * Invariants: every problem is counted; the log gets at most a fixed number of lines per batch and kind, then one line
 * that says how many more there are, so that a cluster with a thousand bad Services does not flood it at the start.
 * A problem reported again while it stands is not news; one that never appeared cannot be resolved.
 * @module
 */

import type { LogFields, Logger } from "./log.ts";
import type { AnnotationFaultKind, Problem, ProblemKind } from "./model/mod.ts";

/** Log lines per batch and kind. */
export const DEFAULT_MAX_LINES = 10;

/** What {@linkcode createProblemReporter} needs. */
export interface ProblemReporterOptions {
  readonly logger: Logger;
  /** Told of each problem, beyond what is logged. */
  readonly counter: {
    problemAppeared(kind: ProblemKind, fault?: AnnotationFaultKind): void;
    problemResolved(kind: ProblemKind): void;
  };
  /** @default DEFAULT_MAX_LINES */
  readonly maxLines?: number;
}

/** What came and went in one batch; a ModelDelta is one. */
export interface ProblemBatch {
  readonly problemsAppeared: readonly Problem[];
  readonly problemsResolved: readonly Problem[];
}

/** Reports problems. */
export interface ProblemReporter {
  /** Cost: that of the batch. */
  report(batch: ProblemBatch): void;
  /** How many stand now. */
  readonly standing: number;
}

type TellMore = (fields: LogFields) => void;

/** Creates a reporter to which no problem is known. */
export function createProblemReporter(options: ProblemReporterOptions): ProblemReporter {
  const { logger, counter } = options;
  const maxLines = options.maxLines ?? DEFAULT_MAX_LINES;
  const standing = new Set<string>();

  function log(problems: readonly Problem[], tell: (problem: Problem) => void, more: TellMore): void {
    const lines = new Map<ProblemKind, number>();
    for (const problem of problems) {
      const line = (lines.get(problem.kind) ?? 0) + 1;
      lines.set(problem.kind, line);
      if (line <= maxLines) tell(problem);
    }
    for (const [kind, count] of lines) {
      if (count > maxLines) more({ kind, more: count - maxLines, total: count });
    }
  }

  return {
    report: ({ problemsAppeared, problemsResolved }) => {
      const resolved = problemsResolved.filter((problem) => standing.delete(keyOf(problem)));
      const appeared = problemsAppeared.filter((problem) => {
        const key = keyOf(problem);
        return standing.has(key) ? false : standing.add(key);
      });
      for (const { kind } of resolved) counter.problemResolved(kind);
      for (const { kind, fault } of appeared) counter.problemAppeared(kind, fault);
      log(
        resolved,
        ({ object, kind, message }) => logger.info("resolved", { object, kind, was: message }),
        (fields) => logger.info("more problems of this kind are resolved", fields),
      );
      log(
        appeared,
        ({ object, kind, message }) => logger.warn(message, { object, kind }),
        (fields) => logger.warn("more problems of this kind", fields),
      );
    },
    get standing(): number {
      return standing.size;
    },
  };
}

function keyOf({ object, kind, message }: Problem): string {
  return JSON.stringify([object, kind, message]);
}

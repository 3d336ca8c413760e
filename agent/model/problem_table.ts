/**
 * Which problems stand, and which came or went in a batch.
 *
 * In: the complete list of problems of an object, whenever it was judged. Out: per batch what appeared and what was
 * resolved, so that each problem is reported once and not at every event of its object.
 * @module
 */
import type { Problem } from "./types.ts";

const NONE: readonly Problem[] = [];

/** The standing problems, by object. */
export class ProblemTable {
  readonly #standing = new Map<string, readonly Problem[]>();
  /** What stood when the batch began, for the objects set since. */
  readonly #before = new Map<string, readonly Problem[]>();

  /** Replaces all problems of an object. */
  set(object: string, problems: readonly Problem[]): void {
    if (problems.length === 0 && this.#standing.size === 0) return;
    const before = this.#standing.get(object) ?? NONE;
    if (before.length === 0 && problems.length === 0) return;
    if (!this.#before.has(object)) this.#before.set(object, before);
    if (problems.length === 0) this.#standing.delete(object);
    else this.#standing.set(object, problems);
  }

  /** Every problem that stands. */
  *all(): Generator<Problem> {
    for (const problems of this.#standing.values()) yield* problems;
  }

  /** Those of one object. */
  of(object: string): readonly Problem[] {
    return this.#standing.get(object) ?? NONE;
  }

  /** What came and went since the last call; something that came and went in between is in neither list. */
  takeDelta(): {
    readonly problemsAppeared: readonly Problem[];
    readonly problemsResolved: readonly Problem[];
  } {
    const problemsAppeared: Problem[] = [];
    const problemsResolved: Problem[] = [];
    for (const [object, before] of this.#before) {
      const now = this.#standing.get(object) ?? NONE;
      problemsAppeared.push(...without(now, before));
      problemsResolved.push(...without(before, now));
    }
    this.#before.clear();
    return { problemsAppeared, problemsResolved };
  }
}

/** The problems of `all` whose message is not in `known`; each message once. */
function without(all: readonly Problem[], known: readonly Problem[]): readonly Problem[] {
  const messages = new Set(known.map(({ message }) => message));
  return all.filter(({ message }) => !messages.has(message) && messages.add(message));
}

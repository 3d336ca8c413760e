/**
 * What a world's API server offers to the benchmark, whether it is a real one or not.
 *
 * Also holds how often each Service was changed, so that both kinds of server walk through the same states.
 * @module
 */
import { type ChangeKind, type Generation, UNCHANGED } from "./world.ts";

/** One write: of the EndpointSlice (`endpoints`) or of the Service (`port`). */
export interface Change {
  readonly index: number;
  readonly kind: ChangeKind;
}

/** An API server that holds a world. */
export interface WorldHost extends AsyncDisposable {
  /** Path of a kubeconfig for the agent. */
  readonly kubeconfig: string;
  /** Works out what is to be written; the function returned writes all of it, as fast as the server takes it. */
  stage(changes: readonly Change[]): () => Promise<void>;
}

/** Counts the changes of each Service. */
export class Generations {
  readonly #changed = new Map<number, Generation>();

  of(index: number): Generation {
    return this.#changed.get(index) ?? UNCHANGED;
  }

  /** Counts a change and returns what came of it. */
  advance({ index, kind }: Change): Generation {
    const before = this.of(index);
    const after = { ...before, [kind]: before[kind] + 1 };
    this.#changed.set(index, after);
    return after;
  }
}

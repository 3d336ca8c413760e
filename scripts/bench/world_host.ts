/**
 * What a world's API server offers to the benchmark, whether it is a real one or not.
 *
 * Also holds how often each Service was changed and what is to be written for it, so that both kinds of server walk
 * through the same states.
 * @module
 */
import type { ApiAccess } from "../lab/service_account.ts";
import {
  type ChangeKind,
  type Generation,
  objectsOf,
  type RawObject,
  UNCHANGED,
  type WorldShape,
} from "./world.ts";

/** One change of one Service. */
export interface Change {
  readonly index: number;
  readonly kind: ChangeKind;
}

/** An API server that holds a world. */
export interface WorldHost extends AsyncDisposable {
  /** Where it is, and as whom the agent speaks to it. */
  readonly access: ApiAccess;
  /** Works out what is to be written; the function returned writes all of it, as fast as the server takes it. */
  stage(changes: readonly Change[]): () => Promise<void>;
}

/** One write to an API server. */
export interface ObjectWrite {
  readonly verb: "create" | "update" | "delete";
  /** What is deleted, as it was last. */
  readonly object: RawObject;
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

  /** Counts a change and returns what it makes of the Service's objects. */
  write(shape: WorldShape, change: Change): ObjectWrite[] {
    const before = objectsOf(shape, change.index, this.of(change.index));
    return writesBetween(before, objectsOf(shape, change.index, this.advance(change)));
  }
}

/**
 * What leads from some objects to others: made before changed, changed before deleted, as controllers do it, so that an
 * endpoint that moves between slices is in one of them at any time.
 */
export function writesBetween(before: readonly RawObject[], after: readonly RawObject[]): ObjectWrite[] {
  const old = new Map(before.map((object) => [keyOf(object), object]));
  const kept = new Set(after.map(keyOf));
  const created = after.filter((object) => !old.has(keyOf(object)));
  const updated = after.filter((object) => {
    const was = old.get(keyOf(object));
    return was !== undefined && JSON.stringify(was) !== JSON.stringify(object);
  });
  const deleted = before.filter((object) => !kept.has(keyOf(object)));
  return [
    ...created.map((object) => ({ verb: "create", object }) as const),
    ...updated.map((object) => ({ verb: "update", object }) as const),
    ...deleted.map((object) => ({ verb: "delete", object }) as const),
  ];
}

/** Identifies an object among all. */
export function keyOf({ kind, metadata }: RawObject): string {
  return `${kind} ${metadata.namespace}/${metadata.name}`;
}

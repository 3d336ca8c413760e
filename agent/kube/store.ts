/**
 * What is known of one kind of object: turns store events into exactly the changes.
 *
 * In: `StoreEvent`s of the step machine. Out: `ObjectEvent`s.
 * Invariants: an object that is already known in this version yields nothing. `InitDone` yields a deletion for each
 * object that was known and that the list has not shown, whichever attempt brought it. Objects are not kept (the model
 * does that), only their names and versions, which are compared for equality.
 *
 * Nobody serves from the first list before it is complete, so its objects pass at once. In a later list only objects
 * known already do; new names wait until the deletions are known, because an address that moved from a deleted object
 * to a new one must not look claimed twice. So what is held is what is new, not what is there.
 * @module
 */
import type { KubeObject, NamespacedName, ObjectEvent } from "./objects.ts";
import type { StoreEvent } from "./watch_protocol.ts";

/** A resourceVersion: a number where that says the same, because it is smaller; else the text. */
type Version = number | string;

/** One kind's store. */
export class ObjectStore {
  readonly #kind: KubeObject["kind"];
  readonly #versions = new Map<NamespacedName, Version>();
  /** What is known and has not been seen in the list that is under way. */
  #unseen: Set<NamespacedName> = new Set();
  /** Objects of the list under way that were not known before it. */
  #newcomers: KubeObject[] = [];
  #synced = false;

  constructor(kind: KubeObject["kind"]) {
    this.#kind = kind;
  }

  /** True from the first `InitDone` on. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Number of objects known. */
  get size(): number {
    return this.#versions.size;
  }

  /** Takes events in order and returns what changed. Cost: that of the events; for `Init` that of all objects. */
  apply(events: readonly StoreEvent[]): ObjectEvent[] {
    const changes: ObjectEvent[] = [];
    for (const event of events) {
      switch (event.type) {
        case "Init":
          this.#unseen = new Set(this.#versions.keys());
          this.#newcomers = [];
          break;
        case "InitApply":
          for (const object of event.objects) this.#list(object, changes);
          break;
        case "InitDone":
          this.#finishList(changes);
          break;
        case "Apply":
          this.#put(event.object, changes);
          break;
        case "Delete":
          this.#delete(event.namespacedName, changes);
          break;
        default: {
          const unreachable: never = event;
          throw new TypeError(`Unexpected ${JSON.stringify(unreachable)}`);
        }
      }
    }
    return changes;
  }

  #list(object: KubeObject, changes: ObjectEvent[]): void {
    this.#unseen.delete(object.namespacedName);
    if (this.#synced && !this.#versions.has(object.namespacedName)) this.#newcomers.push(object);
    else this.#put(object, changes);
  }

  #finishList(changes: ObjectEvent[]): void {
    for (const name of this.#unseen) this.#delete(name, changes);
    for (const object of this.#newcomers) this.#put(object, changes);
    this.#unseen = new Set();
    this.#newcomers = [];
    this.#synced = true;
  }

  #put(object: KubeObject, changes: ObjectEvent[]): void {
    const { namespacedName } = object;
    const version = compactVersion(object.resourceVersion);
    if (version !== "" && this.#versions.get(namespacedName) === version) return;
    this.#versions.set(namespacedName, version);
    changes.push({ type: "apply", object });
  }

  #delete(namespacedName: NamespacedName, changes: ObjectEvent[]): void {
    if (this.#versions.delete(namespacedName)) {
      changes.push({ type: "delete", kind: this.#kind, namespacedName });
    }
  }
}

/** Two texts have the same compact version only if they are equal: `007` and whatever a double rounds stay texts. */
function compactVersion(text: string): Version {
  const number = Number(text);
  const isCanonical = number > 0 && number <= Number.MAX_SAFE_INTEGER && /^[1-9][0-9]*$/.test(text);
  return isCanonical ? number : text;
}

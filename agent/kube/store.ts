/**
 * What is known of one kind of object: turns store events into exactly the changes.
 *
 * In: `StoreEvent`s of the step machine. Out: `ObjectEvent`s.
 * Invariants: between `Init` and `InitDone` nothing comes out; `InitDone` yields the difference between the complete
 * list and what was known, missed deletions included, and an `Init` in between starts the list afresh. Objects
 * themselves are not kept (the model does that), only their resourceVersions, which are compared for equality.
 * @module
 */
import type { KubeObject, NamespacedName, ObjectEvent } from "./objects.ts";
import type { StoreEvent } from "./watch_protocol.ts";

/** One kind's store. */
export class ObjectStore {
  readonly #kind: KubeObject["kind"];
  #versions: Map<NamespacedName, string> = new Map();
  #list: Map<NamespacedName, KubeObject> | undefined;
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

  /** Takes events in order and returns what changed. Cost: proportional to the events; for `InitDone` to all objects. */
  apply(events: readonly StoreEvent[]): ObjectEvent[] {
    const changes: ObjectEvent[] = [];
    for (const event of events) {
      switch (event.type) {
        case "Init":
          this.#list = new Map();
          break;
        case "InitApply":
          this.#list?.set(keyOf(event.object), event.object);
          break;
        case "InitDone":
          this.#swap(changes);
          break;
        case "Apply":
          this.#put(event.object, changes);
          break;
        case "Delete":
          if (this.#versions.delete(keyOf(event.object))) changes.push(deletion(event.object));
          break;
        default: {
          const unreachable: never = event;
          throw new TypeError(`Unexpected ${JSON.stringify(unreachable)}`);
        }
      }
    }
    return changes;
  }

  #swap(changes: ObjectEvent[]): void {
    const list = this.#list ?? new Map<NamespacedName, KubeObject>();
    this.#list = undefined;
    this.#synced = true;
    // Deletions first: an address that moved from a deleted object to a new one must not look claimed twice.
    for (const key of this.#versions.keys()) {
      if (list.has(key)) continue;
      const [namespace, name] = splitKey(key);
      this.#versions.delete(key);
      changes.push({ type: "delete", kind: this.#kind, namespace, name });
    }
    for (const object of list.values()) this.#put(object, changes);
  }

  #put(object: KubeObject, changes: ObjectEvent[]): void {
    const key = keyOf(object);
    if (object.resourceVersion !== "" && this.#versions.get(key) === object.resourceVersion) return;
    this.#versions.set(key, object.resourceVersion);
    changes.push({ type: "apply", object });
  }
}

function keyOf(object: KubeObject): NamespacedName {
  return `${object.namespace}/${object.name}`;
}

function splitKey(key: NamespacedName): [namespace: string, name: string] {
  const slash = key.indexOf("/");
  return [key.slice(0, slash), key.slice(slash + 1)];
}

function deletion(object: KubeObject): ObjectEvent {
  return { type: "delete", kind: object.kind, namespace: object.namespace, name: object.name };
}

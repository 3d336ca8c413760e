/**
 * A sink that keeps what it is told and holds the source to its contract.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import type { KubeObject, NamespacedName, ObjectEvent, ObjectSink } from "../objects.ts";

/** Takes what one source says. */
export class RecordingSink implements ObjectSink {
  /** What came before `synced`, in the order in which it came; one list per `take`. */
  readonly parts: (readonly ObjectEvent[])[] = [];
  /** First the complete state, as one batch, once it is; then each batch as it came. */
  readonly batches: (readonly ObjectEvent[])[] = [];
  /** The resourceVersions of all objects, as a consumer of the batches knows them. */
  readonly view: Record<KubeObject["kind"], Map<NamespacedName, string>> = {
    Service: new Map(),
    EndpointSlice: new Map(),
  };
  readonly #onCall: () => void;
  #isSynced = false;

  /** @param onCall Called after each call. */
  constructor(onCall: () => void) {
    this.#onCall = onCall;
  }

  /** Whether the state is complete. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  take(events: readonly ObjectEvent[]): void {
    assert(events.length > 0, "a batch is never empty");
    (this.#isSynced ? this.batches : this.parts).push(events);
    for (const event of events) this.#apply(event);
    this.#onCall();
  }

  synced(): void {
    assertEquals(this.#isSynced, false, "synced is told once");
    this.#isSynced = true;
    this.batches.push(this.parts.flat());
    this.#onCall();
  }

  #apply(event: ObjectEvent): void {
    if (event.type === "apply") {
      const { kind, namespace, name, namespacedName, resourceVersion } = event.object;
      assertEquals(namespacedName, `${namespace}/${name}`);
      this.view[kind].set(namespacedName, resourceVersion);
    } else {
      const isKnown = this.view[event.kind].delete(event.namespacedName);
      assert(isKnown, `deletion of ${event.namespacedName}, which was never applied`);
    }
  }
}

/**
 * A running API source and what came out of it, for tests.
 * @module
 */
import { assert } from "@std/assert/assert";
import { type ApiSourceOptions, createApiSource } from "../api_source.ts";
import { createKubeClient, type KubeClient, type KubeClientOptions } from "../client.ts";
import { silentLogger } from "../../log.ts";
import type { KubeObject, NamespacedName, ObjectEvent } from "../objects.ts";
import { Awaiter } from "./awaiter.ts";
import type { WatchFailure } from "../watch_protocol.ts";

/** Quick enough for tests that wait for retries. */
export const QUICK = { minBackoffMs: 1, maxBackoffMs: 4 };

/** What differs from the defaults. */
export interface RunningApiSourceOptions extends Partial<Omit<ApiSourceOptions, "client">> {
  readonly http?: KubeClientOptions;
}

/** Runs the source until disposal. */
export class RunningApiSource implements AsyncDisposable {
  readonly batches: (readonly ObjectEvent[])[] = [];
  readonly relists: string[] = [];
  readonly failures: WatchFailure[] = [];
  readonly unreadable: string[] = [];
  silences = 0;
  /** Events of watch streams, bookmarks included. */
  bookmarksAndEvents = 0;
  /** What a consumer of the batches knows. */
  readonly view: Record<KubeObject["kind"], Map<NamespacedName, string>> = {
    Service: new Map(),
    EndpointSlice: new Map(),
  };
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;
  readonly #awaiter = new Awaiter();

  /** Starts a source. */
  static async start(kubeconfig: string, options: RunningApiSourceOptions = {}): Promise<RunningApiSource> {
    return new RunningApiSource(await createKubeClient({ ...options.http, kubeconfig }), options);
  }

  private constructor(client: KubeClient, options: RunningApiSourceOptions) {
    const wake = (): void => this.#awaiter.notify();
    const source = createApiSource({
      logger: silentLogger,
      settings: QUICK,
      ...options,
      client,
      observer: {
        onRelist: (_kind, reason) => (this.relists.push(reason), wake()),
        onWatchError: (_kind, failure) => (this.failures.push(failure), wake()),
        onSilent: () => (this.silences++, wake()),
        onUnreadable: (_kind, reason) => (this.unreadable.push(reason), wake()),
        onEvents: (_kind, events) => (this.bookmarksAndEvents += events, wake()),
      },
    });
    this.#done = source.run((events) => {
      this.batches.push(events);
      for (const event of events) this.#apply(event);
      wake();
    }, this.#abort.signal);
    this.#done.then(
      () => this.#awaiter.fail(new Error("the source has ended")),
      (error) => this.#awaiter.fail(error),
    );
  }

  /** Resolves when `condition` holds; it is looked at whenever something came out. */
  until(condition: () => boolean): Promise<void> {
    return this.#awaiter.until(condition);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }

  #apply(event: ObjectEvent): void {
    if (event.type === "apply") {
      const { kind, namespace, name, resourceVersion } = event.object;
      this.view[kind].set(`${namespace}/${name}`, resourceVersion);
    } else {
      const known = this.view[event.kind].delete(`${event.namespace}/${event.name}`);
      assert(known, `deletion of ${event.name}, which was never applied`);
    }
  }
}

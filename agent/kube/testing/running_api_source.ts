/**
 * A running API source and what came out of it, for tests.
 * @module
 */
import { type ApiSourceOptions, createApiSource } from "../api_source.ts";
import { createKubeClient, type KubeClient, type KubeClientOptions } from "../client.ts";
import { silentLogger } from "../../log.ts";
import type { WatchFailure } from "../watch_protocol.ts";
import { Awaiter } from "./awaiter.ts";
import { RecordingSink } from "./recording_sink.ts";

/** Quick enough for tests that wait for retries. */
export const QUICK = { minBackoffMs: 1, maxBackoffMs: 4 };

/** What differs from the defaults. */
export interface RunningApiSourceOptions extends Partial<Omit<ApiSourceOptions, "client">> {
  readonly http?: KubeClientOptions;
}

/** Runs the source until disposal. */
export class RunningApiSource implements AsyncDisposable {
  readonly relists: string[] = [];
  readonly failures: WatchFailure[] = [];
  readonly unreadable: string[] = [];
  silences = 0;
  /** Events of watch streams, bookmarks included. */
  bookmarksAndEvents = 0;
  readonly #sink = new RecordingSink(() => this.#awaiter.notify());
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
    this.#done = source.run(this.#sink, this.#abort.signal);
    this.#done.then(
      () => this.#awaiter.fail(new Error("the source has ended")),
      (error) => this.#awaiter.fail(error),
    );
  }

  /** As in `RecordingSink`. */
  get parts(): RecordingSink["parts"] {
    return this.#sink.parts;
  }

  /** As in `RecordingSink`. */
  get batches(): RecordingSink["batches"] {
    return this.#sink.batches;
  }

  /** As in `RecordingSink`. */
  get view(): RecordingSink["view"] {
    return this.#sink.view;
  }

  /** Resolves when `condition` holds; it is looked at whenever something came out. */
  until(condition: () => boolean): Promise<void> {
    return this.#awaiter.until(condition);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }
}

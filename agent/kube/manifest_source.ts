/**
 * Folders and files of manifests as a source of objects.
 *
 * In: paths. A folder stands for its *.yaml, *.yml and *.json files, without its subfolders and hidden files.
 * Out: batches of `ObjectEvent`s, as the contract of `ObjectSource` says; one save is one batch.
 * Invariants: changes are seen through file system events within milliseconds; a slow look at everything catches
 * what has no events (network file systems, links to elsewhere). What does not parse or cannot be read is a problem,
 * and the last good state of that file stays. A file that vanishes takes its objects with it, but one that is gone
 * or empty for a moment only (an editor, a plain `>`) does not. Files swapped behind links (a mounted ConfigMap)
 * count as one save.
 * Source: inotify(7) by way of Deno.watchFs; Kubernetes "ConfigMaps", mounted ConfigMaps are updated automatically.
 * @module
 */
import { delay } from "@std/async/delay";
import type { Logger } from "../log.ts";
import { ManifestReader } from "./_manifest_reader.ts";
import { type ManifestFile, type ManifestProblem, renderManifestProblem } from "./manifest_file.ts";
import {
  classifyEventPath,
  foldersToWatch,
  listFiles,
  ManifestPathError,
  type ManifestRoot,
  resolveRoot,
} from "./manifest_paths.ts";
import { ManifestSet } from "./manifest_set.ts";
import type { ObjectEvent, ObjectSink, ObjectSource } from "./objects.ts";

/** What {@linkcode createManifestSource} needs. */
export interface ManifestSourceOptions {
  /** Files and folders. Each must exist at the start. */
  readonly paths: readonly string[];
  readonly logger: Logger;
  /** Told once when a problem appears. */
  readonly onProblem?: (problem: ManifestProblem) => void;
  /** Told once when it is gone. */
  readonly onProblemResolved?: (problem: ManifestProblem) => void;
  /** Quiet time after which a save that is still open counts as finished. @default 20 */
  readonly debounceMs?: number;
  /** How often everything is looked at without an event. @default 10000 */
  readonly rescanMs?: number;
  /** How long a file must stay away or empty until its objects go. @default 100 */
  readonly confirmMs?: number;
}

/** Creates the source, which is to be run once. `run` rejects with `ManifestPathError` when a path does not exist at the start. */
export function createManifestSource(options: ManifestSourceOptions): ObjectSource {
  const set = new ManifestSet();
  return {
    async run(sink, signal): Promise<void> {
      await using follower = new ManifestFollower(set, { ...options, signal });
      await follower.run(sink);
    },
    findService: (name) => Promise.resolve(set.service(name)),
  };
}

/** Once a writer has closed a file, others of the same save follow within this time. */
const CLOSED_SETTLE_MS = 3;
const READS_AT_ONCE = 64;

class ManifestFollower implements AsyncDisposable {
  readonly #options: ManifestSourceOptions;
  readonly #signal: AbortSignal;
  readonly #set: ManifestSet;
  /** Changed files; true when the writer has finished with the file. */
  readonly #dirty = new Map<string, boolean>();
  readonly #reader: ManifestReader;
  #roots: readonly ManifestRoot[] = [];
  #watcher: Deno.FsWatcher | undefined;
  #watching: Promise<void> = Promise.resolve();
  #rescanDue = true;
  #watchLost = false;
  #wake: () => void = () => {};

  constructor(set: ManifestSet, options: ManifestSourceOptions & { readonly signal: AbortSignal }) {
    this.#set = set;
    this.#options = options;
    this.#reader = new ManifestReader(options.confirmMs ?? 100);
    this.#signal = options.signal;
  }

  async run(sink: ObjectSink): Promise<void> {
    if (this.#signal.aborted) return;
    this.#roots = await Promise.all(this.#options.paths.map(resolveRoot));
    // Watching starts before the first look, so that nothing falls between the two.
    await this.#openWatcher();
    const first = await this.#readChanges();
    if (first.length > 0) sink.take(first);
    sink.synced();
    for (;;) {
      await this.#nextChange();
      if (this.#signal.aborted) return;
      const events = await this.#readChanges();
      if (events.length > 0) sink.take(events);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watcher?.close();
    await this.#watching;
  }

  async #openWatcher(): Promise<void> {
    this.#watcher?.close();
    this.#watcher = undefined;
    await this.#watching;
    this.#watchLost = false;
    try {
      const watcher = Deno.watchFs(await foldersToWatch(this.#roots), { recursive: false });
      this.#watcher = watcher;
      this.#watching = this.#follow(watcher).catch((error) => this.#warnNoEvents(error));
    } catch (error) {
      this.#warnNoEvents(error);
    }
  }

  #warnNoEvents(error: unknown): void {
    // inotify's limits are per user and shared with everything else on the node.
    const reason = error instanceof Error ? error.message : String(error);
    this.#options.logger.warn("no file system events: manifests are looked at from time to time only", {
      reason,
    });
  }

  async #follow(watcher: Deno.FsWatcher): Promise<void> {
    for await (const event of watcher) {
      // The kernel's queue ran over.
      if (event.flag === "rescan") this.#requestRescan();
      for (const path of event.paths) this.#note(event.kind, path);
    }
  }

  #requestRescan(): void {
    this.#rescanDue = true;
    this.#wake();
  }

  #note(kind: Deno.FsEvent["kind"], path: string): void {
    const meaning = classifyEventPath(this.#roots, path);
    if (meaning === "nothing") return;
    if (meaning === "rescan") {
      // A folder that is removed takes its watch with it, also when another one is there at once.
      this.#watchLost ||= kind === "remove";
      return this.#requestRescan();
    }
    // `access` is what Deno makes of "closed after writing"; mere reading has no event.
    const isComplete = kind === "access" || kind === "rename" || kind === "remove";
    this.#dirty.set(meaning.file, isComplete);
    this.#wake();
  }

  /** Returns when something has changed and the save seems finished, or it is time for a look at everything. */
  async #nextChange(): Promise<void> {
    if (this.#dirty.size === 0 && !this.#rescanDue) await this.#sleep();
    const { debounceMs = 20 } = this.#options;
    const deadlineMs = performance.now() + 10 * debounceMs;
    // Each event starts the quiet time anew: a shorter one as soon as all writers have finished.
    while (performance.now() < deadlineMs && !this.#signal.aborted) {
      const isComplete = [...this.#dirty.values()].every((isFileComplete) => isFileComplete);
      if (!await this.#isWoken(isComplete ? Math.min(CLOSED_SETTLE_MS, debounceMs) : debounceMs)) return;
    }
  }

  /** Waits for an event, the end of a suspicion, or the next look at everything. */
  async #sleep(): Promise<void> {
    const { rescanMs = 10_000 } = this.#options;
    const confirmMs = this.#reader.nextConfirmationMs();
    if (await this.#isWoken(Math.min(rescanMs, confirmMs))) return;
    if (confirmMs > rescanMs) this.#rescanDue = true;
    for (const file of this.#reader.suspects()) this.#dirty.set(file, true);
  }

  /** Waits; true when an event or the signal ended it early. */
  async #isWoken(ms: number): Promise<boolean> {
    const awake = new AbortController();
    this.#wake = () => awake.abort();
    const signal = AbortSignal.any([this.#signal, awake.signal]);
    // delay() rejects for nothing but its signal.
    const isWoken = await delay(ms, { signal }).then(() => false, () => true);
    this.#wake = () => {};
    return isWoken;
  }

  async #readChanges(): Promise<readonly ObjectEvent[]> {
    if (this.#rescanDue) await this.#rescan();
    const files = [...this.#dirty.keys()].sort();
    this.#dirty.clear();
    const contents = new Map<string, ManifestFile | undefined>();
    for (let from = 0; from < files.length; from += READS_AT_ONCE) {
      const some = files.slice(from, from + READS_AT_ONCE);
      const read = await Promise.all(some.map((file) => this.#reader.read(file)));
      for (const [index, content] of read.entries()) {
        if (content !== "wait") contents.set(some[index]!, content);
      }
    }
    const change = this.#set.update(contents);
    this.#report(change.appeared, change.resolved);
    return change.events;
  }

  /** Finds what has changed without an event. */
  async #rescan(): Promise<void> {
    this.#rescanDue = false;
    let moved = this.#watchLost;
    const roots: ManifestRoot[] = [];
    for (const before of this.#roots) {
      const root = await resolveRoot(before.path).catch((error) => {
        if (!(error instanceof ManifestPathError)) throw error;
        return { ...before, folderIdentity: "" };
      });
      moved ||= root.realFolder !== before.realFolder || root.folderIdentity !== before.folderIdentity;
      roots.push(root);
    }
    this.#roots = roots;
    // Before the look, so that nothing falls between the two.
    if (moved) await this.#openWatcher();
    const missing = new Set(this.#set.files());
    for (const root of roots) {
      // A folder that cannot be listed: reading its files says whether they are gone or only out of reach.
      const files = await listFiles(root).catch((): string[] => []);
      for (const file of files) {
        missing.delete(file);
        if (await this.#reader.hasChanged(file)) this.#dirty.set(file, true);
      }
    }
    for (const file of missing) this.#dirty.set(file, true);
  }

  #report(appeared: readonly ManifestProblem[], resolved: readonly ManifestProblem[]): void {
    for (const problem of appeared) {
      this.#options.logger.warn(`manifest ${renderManifestProblem(problem)}`);
      this.#options.onProblem?.(problem);
    }
    for (const problem of resolved) {
      this.#options.logger.info(`resolved: manifest ${renderManifestProblem(problem)}`);
      this.#options.onProblemResolved?.(problem);
    }
  }
}

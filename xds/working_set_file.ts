/**
 * Keeps the working set in a small file, so that it outlives the agent.
 *
 * In: a folder, and word of what Envoy uses. Out: the names to give to an Envoy that has just started; the file
 * `working-set.json` in that folder, mode 0600.
 *
 * Invariants: the file is always whole (written beside it, then renamed); it is written at most every few seconds and at
 * the end. A file that is missing, broken, foreign or cannot be written never stops the agent: it is said once, and the
 * set is kept in memory, which is enough for an Envoy that restarts alone.
 * @module
 */
import { join } from "@std/path/join";
import type { Logger } from "../agent/log.ts";
import { WorkingSet } from "./working_set.ts";

/** Changes of so long go into one writing: first connections come in crowds. */
const DEFAULT_WRITE_DELAY_MS = 3_000;

const FILE_MODE = 0o600;

/** What {@linkcode openWorkingSet} needs. */
export interface WorkingSetFileOptions {
  /** Created with mode 0700 when missing. Empty: nothing is read or written. */
  readonly directory: string;
  readonly logger: Logger;
  /** Milliseconds since the epoch. @default Date.now */
  readonly now?: () => number;
  /** @default 3_000 */
  readonly writeDelayMs?: number;
}

/** Reads the file; never fails. */
export async function openWorkingSet(options: WorkingSetFileOptions): Promise<WorkingSetFile> {
  return new WorkingSetFile(options, await read(options));
}

/** A working set with its file. Disposing it writes what is not written yet. */
export class WorkingSetFile implements AsyncDisposable {
  readonly #options: WorkingSetFileOptions;
  readonly #set: WorkingSet;
  readonly #now: () => number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #isDirty = false;
  #lastFault = "";

  constructor(options: WorkingSetFileOptions, set: WorkingSet) {
    this.#options = options;
    this.#set = set;
    this.#now = options.now ?? Date.now;
  }

  /** Clusters this node uses, the last used first. */
  names(): string[] {
    return this.#set.names(this.#now());
  }

  /** Envoy asked for these. */
  used(names: readonly string[]): void {
    if (names.length === 0) return;
    this.#set.used(names, this.#now());
    this.#changed();
  }

  /** Of the Clusters this node uses, these still carry traffic. */
  refresh(carriesTraffic: (name: string) => boolean): void {
    // From the longest unused on, so that their order stays.
    this.used(this.names().filter(carriesTraffic).reverse());
  }

  /** An Envoy that connected again holds these. */
  held(names: readonly string[]): void {
    if (this.#set.held(names, this.#now())) this.#changed();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#write();
    await this.#writing;
  }

  #changed(): void {
    if (this.#options.directory === "") return;
    this.#isDirty = true;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#write();
    }, this.#options.writeDelayMs ?? DEFAULT_WRITE_DELAY_MS);
  }

  /** One writing after the other. What changes during one goes into the next. */
  #write(): void {
    this.#writing = this.#writing.then(async () => {
      if (!this.#isDirty) return;
      this.#isDirty = false;
      const fault = await write(this.#options.directory, this.#set.render(this.#now()));
      if (fault === this.#lastFault) return;
      this.#lastFault = fault;
      if (fault === "") return;
      this.#options.logger.warn(
        "the Clusters this node uses cannot be kept: after a restart of the agent, Envoy's next start is a cold one",
        { file: fileIn(this.#options.directory), error: fault },
      );
    });
  }
}

function fileIn(directory: string): string {
  return join(directory, "working-set.json");
}

async function read({ directory, logger, now = Date.now }: WorkingSetFileOptions): Promise<WorkingSet> {
  if (directory === "") return new WorkingSet();
  const file = fileIn(directory);
  try {
    const set = WorkingSet.parse(await Deno.readTextFile(file), now());
    logger.info("Clusters this node used before are known", { clusters: set.names(now()).length, file });
    return set;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      logger.warn("the Clusters this node used before cannot be read: Envoy's next start is a cold one", {
        file,
        error: error instanceof Error ? error.message : String(error),
      });
    }
    return new WorkingSet();
  }
}

/** @returns The reason why it failed; empty when it did not. */
async function write(directory: string, text: string): Promise<string> {
  // The same name each time, so that an agent that is killed leaves one draft at most.
  const draft = join(directory, ".working-set.json.draft");
  try {
    await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
    await Deno.writeTextFile(draft, text, { mode: FILE_MODE });
    {
      // Otherwise a machine that loses its power may have the new name with nothing behind it.
      using file = await Deno.open(draft);
      await file.syncData();
    }
    await Deno.rename(draft, fileIn(directory));
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

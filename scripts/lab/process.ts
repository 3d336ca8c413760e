/**
 * A command that runs inside a namespace: its output by lines, its end, and signals that reach it.
 *
 * In: an argument vector that starts with `nsenter` and enters a PID namespace.
 * Out: a `LabProcess`. Output is always drained, so that a full pipe never stalls the command; its last lines are
 * kept for the error message of whoever waited in vain.
 * Invariant: a signal goes to the command, never to the `nsenter` in front of it: `nsenter --pid` forks, waits, and
 * would leave its child running when it is killed itself.
 * @module
 */

/** How many lines of output are kept. */
const KEPT_LINES = 200;

/** How long the output of an ended command is read on when something else holds it open. */
const ORPHAN_GRACE_MS = 200;

/** What a started command gets. */
export interface SpawnOptions {
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Called with each line of output, without its end. */
  readonly onLine?: (line: string, stream: "stdout" | "stderr") => void;
}

interface LineWaiter {
  readonly pattern: RegExp;
  readonly resolve: (line: string) => void;
}

/** A running command; see the module's comment. */
export class LabProcess {
  /** For messages: the command as given, without what enters the namespace. */
  readonly title: string;
  /** Settles when the command has ended and its output was read. */
  readonly status: Promise<Deno.CommandStatus>;
  /** Settles when, on top of that, everything it started has let go of its output. */
  readonly closed: Promise<void>;
  readonly #child: Deno.ChildProcess;
  readonly #lines: string[] = [];
  readonly #onLine: SpawnOptions["onLine"];
  readonly #waiters = new Set<LineWaiter>();
  #ended = false;

  constructor(child: Deno.ChildProcess, options: { title: string; onLine: SpawnOptions["onLine"] }) {
    this.#child = child;
    this.title = options.title;
    this.#onLine = options.onLine;
    const drained = Promise.all([this.#read(child.stdout, "stdout"), this.#read(child.stderr, "stderr")]);
    this.status = this.#end(drained);
    this.closed = Promise.all([drained, this.status]).then(() => {});
  }

  /** The last lines of standard output and standard error, in the order in which they came. */
  recentOutput(): string {
    return this.#lines.join("\n");
  }

  /**
   * The command's process id as the host sees it.
   * @throws {Error} When the command ended before it could be found.
   */
  async pid(): Promise<number> {
    for (;;) {
      const pid = childOf(this.#child.pid);
      if (pid !== undefined) return pid;
      if (this.#ended) throw new Error(`${this.title} has ended already`);
      // nsenter has not forked yet: that takes it a few milliseconds.
      await sleep(2);
    }
  }

  /** Sends a signal to the command; nothing happens when it has ended. */
  async kill(signal: Deno.Signal): Promise<void> {
    try {
      Deno.kill(await this.pid(), signal);
      // nsenter stops itself when its command stops, and then wakes it only after it was woken itself.
      if (signal === "SIGCONT") Deno.kill(this.#child.pid, signal);
    } catch (error) {
      if (!this.#ended && !(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /**
   * Ends the command with SIGTERM, and with SIGKILL when it has not ended after `graceMs`.
   * @returns How it ended.
   */
  async stop(options: { readonly graceMs?: number } = {}): Promise<Deno.CommandStatus> {
    if (this.#ended) return await this.status;
    await this.kill("SIGTERM");
    let timer: ReturnType<typeof setTimeout> | undefined;
    const grace = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), options.graceMs ?? 5_000);
    });
    const first = await Promise.race([this.status, grace]);
    clearTimeout(timer);
    if (first !== "late") return first;
    await this.kill("SIGKILL");
    return await this.status;
  }

  /**
   * The first line, among those kept and those to come, that matches.
   * @throws {Error} When the command ends or `timeoutMs` pass before; the message holds the recent output.
   */
  async waitForLine(pattern: RegExp, options: { readonly timeoutMs?: number } = {}): Promise<string> {
    const seen = this.#lines.find((line) => pattern.test(line));
    if (seen !== undefined) return seen;
    const timeoutMs = options.timeoutMs ?? 20_000;
    const waiter = Promise.withResolvers<string>();
    const entry: LineWaiter = { pattern, resolve: waiter.resolve };
    this.#waiters.add(entry);
    const timer = setTimeout(
      () => waiter.reject(this.#complaint(`printed no line like ${pattern} within ${timeoutMs} ms`)),
      timeoutMs,
    );
    const ended = this.status.then((status): never => {
      throw this.#complaint(`ended with code ${status.code} before it printed a line like ${pattern}`);
    });
    try {
      return await Promise.race([waiter.promise, ended]);
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(entry);
      // The race may be decided long before the command ends, or by it: neither rejection is left unhandled.
      ended.catch(() => {});
      waiter.promise.catch(() => {});
    }
  }

  #complaint(what: string): Error {
    return new Error(`${this.title} ${what}; its last output:\n${this.recentOutput() || "(none)"}`);
  }

  async #end(drained: Promise<unknown>): Promise<Deno.CommandStatus> {
    const status = await this.#child.status;
    this.#ended = true;
    // An orphan it left behind may hold the output open for as long as the namespace lives: not waited for.
    let timer: ReturnType<typeof setTimeout> | undefined;
    const orphaned = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ORPHAN_GRACE_MS);
    });
    await Promise.race([drained, orphaned]);
    clearTimeout(timer);
    return status;
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>, name: "stdout" | "stderr"): Promise<void> {
    let rest = "";
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + text).split("\n");
      rest = parts.pop() ?? "";
      for (const line of parts) this.#line(line, name);
    }
    if (rest !== "") this.#line(rest, name);
  }

  #line(line: string, stream: "stdout" | "stderr"): void {
    this.#lines.push(line);
    if (this.#lines.length > KEPT_LINES) this.#lines.shift();
    this.#onLine?.(line, stream);
    for (const waiter of this.#waiters) {
      if (waiter.pattern.test(line)) waiter.resolve(line);
    }
  }
}

/**
 * The process id of a child of `parentPid`, or undefined when it has none.
 * Read from `/proc/<pid>/stat` (proc(5)): `/proc/<pid>/task/<tid>/children` is missing from some kernels.
 */
export function childOf(parentPid: number): number | undefined {
  for (const pid of processIds()) {
    let stat: string;
    try {
      stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    } catch {
      continue; // It ended between the listing and the reading.
    }
    // The command's name, in parentheses, may itself hold spaces and parentheses. Then: state, parent.
    const [, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (Number(parent) === parentPid) return pid;
  }
  return undefined;
}

/** All process ids, as the host sees them. */
export function processIds(): number[] {
  return [...Deno.readDirSync("/proc")].map((entry) => Number(entry.name)).filter(Number.isInteger);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

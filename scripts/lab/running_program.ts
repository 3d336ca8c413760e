/**
 * A server that runs on this machine beside the lab: its standard error goes to a file, and it ends with this process.
 *
 * In: the program, its arguments, the file. Out: a handle to kill it and to read the end of what it said.
 * @module
 */

/** See the module's comment. */
export class RunningProgram {
  readonly #child: Deno.ChildProcess;
  readonly #logFile: string;
  readonly #finished: Promise<unknown>;
  ended = false;

  private constructor(child: Deno.ChildProcess, logFile: string, output: Promise<unknown>) {
    this.#child = child;
    this.#logFile = logFile;
    const status = child.status.then(() => {
      this.ended = true;
    });
    this.#finished = Promise.allSettled([status, output]);
  }

  static start(program: string, args: readonly string[], logFile: string): RunningProgram {
    // A test run that is killed must not leave servers behind, hence the parent-death signal.
    const child = new Deno.Command("setpriv", {
      args: ["--pdeathsig", "KILL", program, ...args],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    return new RunningProgram(child, logFile, keep(child.stderr, logFile));
  }

  async kill(): Promise<void> {
    if (!this.ended) this.#child.kill("SIGKILL");
    await this.#finished;
  }

  async logTail(): Promise<string> {
    const text = await Deno.readTextFile(this.#logFile).catch(() => "");
    return text.slice(-4_000);
  }
}

/** Writes each piece at once: whoever reads the file while the program runs is to see all of it. */
async function keep(stream: ReadableStream<Uint8Array<ArrayBuffer>>, path: string): Promise<void> {
  using file = await Deno.open(path, { append: true, create: true });
  for await (const piece of stream) {
    for (let written = 0; written < piece.length;) written += file.writeSync(piece.subarray(written));
  }
}

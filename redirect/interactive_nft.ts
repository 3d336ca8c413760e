/**
 * One running `nft -i`: takes a transaction per line and tells what nft said about each.
 *
 * In: lines. Out: what nft printed for a line, without its echo of the line; empty text when it was accepted.
 * Invariants: a line is sent only to a process that has answered before; a fault tells whether the line had been sent;
 * after a fault the process is gone.
 *
 * nft prints nothing when it accepts, so each line is followed by a marker that is a syntax error: nft echoes it on
 * standard error when it is done with the line before. Standard output cannot serve, since nft buffers it. The error also
 * makes nft drop what it remembers of the ruleset, so that each line is judged by what the kernel holds then.
 * Source: nft 1.0.6, src/cli.c, src/erec.c; libedit.
 * @module
 */

import { endOfChild, killChild } from "./child_process.ts";

/** What starts the process. */
export interface InteractiveNftOptions {
  /** Program and arguments in front of `-i`. */
  readonly argv: readonly [string, ...string[]];
  /** For the first answer, and then for each line. */
  readonly timeoutMs: number;
}

/** Why a process cannot be used any more. */
export class InteractiveNftFault extends Error {
  override readonly name = "InteractiveNftFault";
  /** Whether a transaction may have reached nft: then it may be in the kernel. */
  readonly sent: boolean;
  /** Whether it is that no answer came in time. */
  readonly timedOut: boolean;

  constructor(message: string, options: { readonly sent: boolean; readonly cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.sent = options.sent;
    this.timedOut = options.cause instanceof AnswerTimeout;
  }
}

class AnswerTimeout extends Error {}

/** Output longer than this for one line is not nft's. */
const LONGEST_ANSWER = 4 << 20;
/** The first answer is due sooner: nothing is lost when the process is given up. */
const LONGEST_START_MS = 5_000;

const ENVIRONMENT: Readonly<Record<string, string>> = {
  // LC_ALL wins over LANG and the LC_* of the node.
  LC_ALL: "C",
  LANG: "C",
  TERM: "dumb",
  // nft reads and writes $HOME/.nft.history: nobody's own is to be filled with our lines, nor read at each start.
  HOME: "/dev/null",
  INPUTRC: "/dev/null",
  EDITRC: "/dev/null",
};

interface Question {
  readonly marker: string;
  readonly answer: PromiseWithResolvers<readonly string[]>;
}

/** See the module's comment. */
export class InteractiveNft {
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #stderr: ReadableStreamDefaultReader<Uint8Array>;
  readonly #listening: Promise<void>;
  readonly #timeoutMs: number;
  #printed = "";
  #question: Question | undefined;
  #questions = 0;
  #bytes = 0;
  /** Why it cannot be asked any more. */
  #over: string | undefined;
  #ending: Promise<void> | undefined;

  private constructor({ argv, timeoutMs }: InteractiveNftOptions) {
    const [program, ...args] = argv;
    this.#child = new Deno.Command(program, {
      args: [...args, "-i"],
      env: { ...ENVIRONMENT },
      stdin: "piped",
      // Prompts, and with readline an echo: nobody reads them, so a pipe would fill.
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#timeoutMs = timeoutMs;
    this.#stdin = this.#child.stdin.getWriter();
    this.#stderr = this.#child.stderr.getReader();
    this.#listening = this.#listen();
  }

  /** Starts the process and waits for its first answer. @throws {InteractiveNftFault} never `sent` */
  static async start(options: InteractiveNftOptions): Promise<InteractiveNft> {
    let nft: InteractiveNft;
    try {
      nft = new InteractiveNft(options);
    } catch (cause) {
      throw new InteractiveNftFault(`nft -i cannot be started: ${String(cause)}`, { sent: false, cause });
    }
    // Whatever it says before the first marker is a greeting, e.g. about the terminal it does not have.
    await nft.#ask("", { sent: false, timeoutMs: Math.min(options.timeoutMs, LONGEST_START_MS) });
    return nft;
  }

  /** Bytes of transactions sent so far; nft keeps them all in its history. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Has one line performed as one transaction and returns what nft said, in lines, without its echo of the line; empty when
   * it accepted. `column` is the place of the first fault in the line.
   * @throws {InteractiveNftFault}
   */
  async perform(line: string): Promise<{ readonly said: readonly string[]; readonly column?: number }> {
    if (this.#printed !== "") this.#over ??= `nft -i printed something unasked${this.#lastWords()}`;
    if (this.#over !== undefined) {
      await this.end();
      throw new InteractiveNftFault(this.#over, { sent: false });
    }
    const lines = await this.#ask(`${line}\n`, { sent: true, timeoutMs: this.#timeoutMs });
    const echo = lines.indexOf(line);
    const said = lines.filter((text) => text !== line && !isUnderline(text));
    return echo === -1 ? { said } : { said, column: Math.max(0, (lines[echo + 1] ?? "").search(/[\^~]/)) };
  }

  /** Ends the process: what it was told before is finished, unless it takes too long. */
  end(): Promise<void> {
    this.#over ??= "nft -i was told to end";
    return this.#ending ??= this.#end();
  }

  async #end(): Promise<void> {
    // A failure says that it has ended already.
    const closed = this.#stdin.close().catch(() => {});
    if (!await endOfChild(this.#child)) return;
    await closed;
    // Also where a process that it left behind still holds the pipe.
    await this.#stderr.cancel();
    await this.#listening;
  }

  async #ask(
    text: string,
    { sent, timeoutMs }: { readonly sent: boolean; readonly timeoutMs: number },
  ): Promise<readonly string[]> {
    const marker = `lightpath-marker-${++this.#questions}`;
    const question = { marker, answer: Promise.withResolvers<readonly string[]>() };
    this.#question = question;
    const bytes = new TextEncoder().encode(`${text}${marker}\n`);
    this.#bytes += bytes.length;
    const timer = setTimeout(() => {
      question.answer.reject(new AnswerTimeout(`nft -i did not answer within ${timeoutMs} ms`));
    }, timeoutMs);
    try {
      // It may end in the middle, or stop reading: the answer decides, or that none comes.
      this.#stdin.write(bytes).catch(() => {});
      if (this.#over !== undefined) question.answer.reject(new Error(this.#over));
      return await question.answer.promise;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.#over ??= reason;
      killChild(this.#child);
      await this.end();
      throw new InteractiveNftFault(reason, { sent, cause });
    } finally {
      clearTimeout(timer);
      this.#question = undefined;
    }
  }

  async #listen(): Promise<void> {
    const decoder = new TextDecoder();
    for (;;) {
      const { value, done } = await this.#stderr.read();
      if (done) break;
      this.#printed += decoder.decode(value, { stream: true });
      this.#hear();
    }
    const { code, signal } = await this.#child.status;
    this.#over ??= `nft -i ended by itself (${signal ?? `exit code ${code}`})${this.#lastWords()}`;
    this.#question?.answer.reject(new Error(this.#over));
  }

  #hear(): void {
    const question = this.#question;
    // What comes unasked is kept, and met by the next line.
    if (question === undefined) return;
    if (this.#printed.length > LONGEST_ANSWER) {
      question.answer.reject(new Error("nft -i printed more than any answer is long"));
      return;
    }
    const lines = this.#printed.split("\n");
    const at = lines.indexOf(question.marker);
    // Header, marker, underline, and the nothing behind the last line's end.
    if (at === -1 || lines.length < at + 3) return;
    const complete = lines.length === at + 3 && lines.at(-1) === "" &&
      isUnderline(lines[at + 1] ?? "") && /Error: /.test(lines[at - 1] ?? "");
    if (!complete) {
      question.answer.reject(new Error(`nft -i printed something unexpected${this.#lastWords()}`));
      return;
    }
    this.#printed = "";
    question.answer.resolve(lines.slice(0, at - 1));
  }

  #lastWords(): string {
    const words = this.#printed.trim().split("\n").at(-1) ?? "";
    return words === "" ? "" : `: ${words.slice(0, 200)}`;
  }
}

function isUnderline(line: string): boolean {
  return /^ *[\^~][ \^~]*$/.test(line);
}

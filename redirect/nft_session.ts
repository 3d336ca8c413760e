/**
 * An `Nft` that keeps one `nft -i` running for small transactions, which spares starting and ending a program for each: the
 * end of one that deleted something waits for the kernel's grace period.
 *
 * In: scripts. Out: as `createNft`, to which goes what is long, no plain list of statements, only a check or a listing.
 * Owns the decision whether the running nft can be used.
 * Invariants:
 * - One script is one line is one transaction, and one is performed at a time.
 * - A script that may have reached a running nft that failed is never performed again: its fate is told as `timeout` or
 *   `unknown`. One that certainly has not is performed by an nft of its own.
 * - After a refusal, and after so much text that nft's history of it would matter, a fresh nft takes over.
 * - A running nft that fails again and again is not tried any more, and the reason is logged once.
 * @module
 */

import type { Logger } from "../agent/log.ts";
import { InteractiveNft, InteractiveNftFault } from "./interactive_nft.ts";
import type { Nft } from "./nft.ts";
import { RedirectError } from "./redirect_error.ts";
import { createNft, nftErrorKind, nftErrorSentence, type NftOptions, quoteLine } from "./run_nft.ts";

/** What `createNftSession` needs. */
export interface NftSessionOptions extends NftOptions {
  readonly logger: Logger;
  /**
   * Characters up to which a script goes to the running nft. It reads byte by byte, so that at about twice this length
   * starting another is as fast. @default 8_192
   */
  readonly longestScript?: number;
  /** Bytes after which a fresh nft takes over: it remembers every line, and grows and slows down. @default 262_144 */
  readonly renewAfterBytes?: number;
}

/** An `Nft` that is to be disposed of; afterwards it starts a program for each call. */
export interface NftSession extends Nft, AsyncDisposable {}

/** Faults, without `PROVEN` transactions in between, after which a running nft is not tried any more. */
const MOST_FAULTS = 3;
const PROVEN = 100;

/** An `Nft` that keeps one program running from the first `apply` on. Nothing is started before. */
export function createNftSession(options: NftSessionOptions): NftSession {
  return new RunningNft(options);
}

/**
 * A script as one line of the same length, so that places in one are places in the other; undefined where that would not be
 * the same: a comment would swallow what follows, a backslash or tab is the line editor's, a block may span lines.
 */
export function scriptAsLine(script: string): string | undefined {
  if (!/^(?:(?:add|delete) [ -"$-[\]-~]+(?:\n|$))+$/.test(script)) return undefined;
  return script.trimEnd().replaceAll("\n", ";");
}

class RunningNft implements NftSession {
  readonly #options: NftSessionOptions;
  readonly #each: Nft;
  readonly #nftPath: string;
  readonly #timeoutMs: number;
  #running: InteractiveNft | undefined;
  /** Resolves when the transaction before is done. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Those that were told to end and have not yet. */
  readonly #ending = new Set<Promise<void>>();
  #faults = 0;
  #accepted = 0;
  /** Starts a program for each call. */
  #resigned = false;

  constructor(options: NftSessionOptions) {
    this.#options = options;
    this.#each = createNft(options);
    this.#nftPath = options.nftPath ?? "nft";
    this.#timeoutMs = options.timeoutMs ?? 30_000;
  }

  apply(script: string): Promise<void> {
    const done = this.#turn.then(() => this.#apply(script));
    // Whether it succeeded concerns its caller only.
    this.#turn = done.catch(() => {});
    return done;
  }

  check(script: string): Promise<void> {
    return this.#each.check(script);
  }

  list(): Promise<unknown | undefined> {
    return this.#each.list();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#resigned = true;
    await this.#turn;
    this.#retire();
    await Promise.all(this.#ending);
  }

  async #apply(script: string): Promise<void> {
    const longest = this.#options.longestScript ?? 8_192;
    const line = this.#resigned || script.length > longest ? undefined : scriptAsLine(script);
    if (line === undefined) return await this.#each.apply(script);
    let answer: Awaited<ReturnType<InteractiveNft["perform"]>>;
    try {
      this.#running ??= await this.#start();
      answer = await this.#running.perform(line);
    } catch (fault) {
      if (!(fault instanceof InteractiveNftFault)) throw fault;
      this.#running = undefined;
      if (!fault.sent) await this.#each.apply(script);
      // Not reached where an nft of its own fails as well: then not the keeping is at fault.
      this.#failed(fault.message);
      if (fault.sent) throw unknownFate(fault.message, fault);
      return;
    }
    if (answer.said.length === 0) this.#succeeded();
    else throw this.#refusal(script, answer);
  }

  #start(): Promise<InteractiveNft> {
    const [program = this.#nftPath, ...args] = [...(this.#options.argvPrefix ?? []), this.#nftPath];
    return InteractiveNft.start({ argv: [program, ...args], timeoutMs: this.#timeoutMs });
  }

  #refusal(
    script: string,
    { said, column }: { readonly said: readonly string[]; readonly column?: number },
  ): RedirectError {
    // Nothing of the refused transaction must linger, neither in its cache nor in its socket.
    this.#retire();
    const stderr = said.join("\n");
    if (!/Error: /.test(stderr)) {
      const message = `nft -i printed something unexpected: ${said[0] ?? ""}`;
      this.#failed(message);
      return unknownFate(message, undefined, stderr);
    }
    const kind = nftErrorKind(stderr);
    const start = column === undefined ? 0 : script.lastIndexOf("\n", column - 1) + 1;
    return new RedirectError(nftErrorSentence(kind, this.#nftPath, stderr), {
      kind,
      stderr,
      ...(column === undefined
        ? {}
        : { line: quoteLine(script.slice(start).split("\n", 1)[0] ?? "", column - start) }),
    });
  }

  #succeeded(): void {
    if (++this.#accepted >= PROVEN) this.#faults = 0;
    const renewAfterBytes = this.#options.renewAfterBytes ?? 1 << 18;
    if ((this.#running?.bytes ?? 0) >= renewAfterBytes) this.#retire();
  }

  #failed(reason: string): void {
    this.#accepted = 0;
    if (++this.#faults < MOST_FAULTS || this.#resigned) return;
    this.#resigned = true;
    this.#options.logger.warn("nft is started for each change from now on, which takes longer", { reason });
  }

  /** Lets the running nft end while others go on. */
  #retire(): void {
    const ended = this.#running?.end();
    this.#running = undefined;
    if (ended === undefined) return;
    this.#ending.add(ended);
    ended.finally(() => this.#ending.delete(ended));
  }
}

function unknownFate(message: string, fault: InteractiveNftFault | undefined, stderr = ""): RedirectError {
  const kind = fault?.timedOut ? "timeout" : "unknown";
  return new RedirectError(`${message}; whether the change was made is unknown`, {
    kind,
    stderr,
    cause: fault,
  });
}

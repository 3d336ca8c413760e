/**
 * The real agent as a child process, watched from outside.
 *
 * In: the node's namespace, the agent's flags. Out: when it was ready, how far it is, its process id.
 * All times are of this process's clock, taken when the agent's log line or a probe's word arrives here.
 * @module
 */
import { delay } from "@std/async/delay";
import type { LabProcess, Namespace } from "../lab/mod.ts";
import { type Counts, growth, Progress } from "./progress.ts";

/** Nothing more is taken to come when nothing came for so long: several round trips between agent and Envoy. */
const QUIET_MS = 20;

const POLL_READYZ = `await Deno.stdout.write(new TextEncoder().encode("polling\\n"));
for (;;) {
  const ok = await fetch("http://127.0.0.1:10256/readyz").then(async (response) => {
    await response.body?.cancel();
    return response.ok;
  }, () => false);
  if (ok) break;
  await new Promise((resolve) => setTimeout(resolve, 10));
}
await Deno.stdout.write(new TextEncoder().encode("ready\\n"));
Deno.exit(0);`;

/** What has to come before a change is taken to be through. */
export interface Expectation {
  /** Services and slices in the kernel. */
  readonly programmed: number;
  /** At least so many responses taken by Envoy. */
  readonly taken: number;
  /** At least so many resources sent to Envoy. @default 0 */
  readonly sent?: number;
  readonly timeoutMs?: number;
}

/** How an agent is started. */
export interface AgentOptions {
  /** The command line up to and with `agent`. */
  readonly command: readonly string[];
  readonly flags: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** A running agent. */
export class MeasuredAgent {
  readonly process: LabProcess;
  readonly progress = new Progress();
  readonly startedMs: number = performance.now();
  readonly #changed = new Set<() => void>();

  private constructor(node: Namespace, { command, flags, env }: AgentOptions) {
    this.process = node.spawn([...command, "--log-level=debug", "--log-format=json", ...flags], {
      env,
      onLine: (line, stream) => {
        // Its stdout is Envoy's access log.
        if (stream === "stdout") return;
        this.progress.take(line, performance.now());
        for (const changed of this.#changed) changed();
      },
    });
  }

  /**
   * Starts an agent and waits until /readyz says that it is ready.
   * @returns It, and the time from its start until then.
   * @throws {Error} When it ends or takes longer than `timeoutMs`; the message holds what it logged.
   */
  static async start(
    node: Namespace,
    options: AgentOptions & { readonly timeoutMs?: number },
  ): Promise<{ readonly agent: MeasuredAgent; readonly readyMs: number }> {
    const poller = node.spawn([Deno.execPath(), "eval", "--no-config", POLL_READYZ]);
    await poller.waitForLine(/^polling$/);
    const agent = new MeasuredAgent(node, options);
    const ended = agent.process.status.then(() => {
      throw new Error(`the agent ended before it was ready:\n${agent.process.recentOutput()}`);
    });
    // It does end some day.
    ended.catch(() => {});
    try {
      await Promise.race([
        poller.waitForLine(/^ready$/, { timeoutMs: options.timeoutMs ?? 120_000 }),
        ended,
      ]);
    } catch (error) {
      await Promise.all([poller.stop(), agent.process.stop()]);
      throw new Error(`${error}\n${agent.process.recentOutput()}`, { cause: error });
    }
    return { agent, readyMs: performance.now() - agent.startedMs };
  }

  /**
   * Waits until what is expected has come since `before`, nothing is under way to Envoy, and nothing more comes.
   * @returns When the last of it came, and what came.
   * @throws {Error} When it does not come.
   */
  async settled(
    before: Counts,
    { programmed, taken, sent = 0, timeoutMs = 30_000 }: Expectation,
  ): Promise<{ readonly atMs: number; readonly came: Counts }> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const came = growth(before, this.progress.counts);
      const through = came.programmed >= programmed && came.taken + came.refused >= taken &&
        came.resourcesSent >= sent && this.progress.outstanding === 0;
      const quietMs = performance.now() - this.progress.lastMs;
      if (through && quietMs >= QUIET_MS) return { atMs: this.progress.lastMs, came };
      if (performance.now() > deadlineMs) {
        const state = JSON.stringify({
          expected: { programmed, taken, sent },
          came,
          outstanding: this.progress.outstanding,
        });
        throw new Error(`the agent did not finish: ${state}\n${this.process.recentOutput()}`);
      }
      if (through) await delay(QUIET_MS - quietMs + 1);
      else await this.#nextLine(deadlineMs - performance.now());
    }
  }

  /** Ends it as a kubelet would. @throws {Error} when it does not end well */
  async stop(): Promise<void> {
    const { code } = await this.process.stop({ graceMs: 15_000 });
    if (code !== 0) throw new Error(`the agent ended with code ${code}:\n${this.process.recentOutput()}`);
  }

  async #nextLine(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    this.#changed.add(resolve);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#changed.delete(resolve);
    }
  }
}

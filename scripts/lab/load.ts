/**
 * The lab's programs, started inside a namespace: echo servers and load clients.
 *
 * In: a namespace and what to run. Out: handles that give typed results instead of output lines.
 * @module
 */

import type { LoadOptions } from "./load_client.ts";
import type { LoadReport } from "./load_report.ts";
import type { Namespace } from "./namespace.ts";
import type { LabProcess } from "./process.ts";

/** What is asked of a load client's process, wherever it runs. */
export interface LoadProcess {
  waitForLine(pattern: RegExp, options?: { readonly timeoutMs?: number }): Promise<string>;
  /** Sends it SIGTERM and waits for its end. */
  stop(options?: { readonly graceMs?: number }): Promise<unknown>;
  /** Settles when it has ended. */
  readonly status: Promise<unknown>;
}

/** A running load client. */
export class LoadRun {
  readonly #process: LoadProcess;

  constructor(process: LoadProcess) {
    this.#process = process;
  }

  /**
   * Waits until the first request was answered.
   * @throws {Error} When that does not come within `timeoutMs`.
   */
  async started(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    await this.#process.waitForLine(/^started$/, options);
  }

  /** Tells it to stop, waits for the requests in flight, and returns what it saw. */
  async stop(): Promise<LoadReport> {
    await this.#process.stop({ graceMs: 10_000 });
    return await this.report();
  }

  /** Waits for the end of a run with a number of requests, and returns what it saw. */
  async report(): Promise<LoadReport> {
    const line = await this.#process.waitForLine(/^\{/, { timeoutMs: 120_000 });
    await this.#process.status;
    return JSON.parse(line) as LoadReport;
  }
}

/** Starts a load client in a namespace. */
export function startLoad(namespace: Namespace, options: LoadOptions): LoadRun {
  return new LoadRun(namespace.spawn([...program("load_client.ts"), ...loadFlags(options)]));
}

/** The load client's flags. */
export function loadFlags(options: LoadOptions): string[] {
  const { url, connections = 1, newConnections = false, requests = 0, pauseMs = 0, timeoutMs = 5_000 } =
    options;
  return [
    `--url=${url}`,
    `--connections=${connections}`,
    ...(newConnections ? ["--new-connections"] : []),
    `--requests=${requests}`,
    `--pause-ms=${pauseMs}`,
    `--timeout-ms=${timeoutMs}`,
    ...(options.warmUpUrl === undefined ? [] : [`--warm-up-url=${options.warmUpUrl}`]),
  ];
}

/** Starts an echo server in a namespace and waits until it listens. */
export async function startEchoServerIn(
  namespace: Namespace,
  options: { readonly name: string; readonly httpPort?: number; readonly tcpPort?: number },
): Promise<LabProcess> {
  const process = namespace.spawn([
    ...program("echo_server.ts"),
    `--name=${options.name}`,
    `--http-port=${options.httpPort ?? 8080}`,
    `--tcp-port=${options.tcpPort ?? 9000}`,
  ]);
  await process.waitForLine(/^listening$/);
  return process;
}

/** An answer as `curl -i` would show it. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * One HTTP request from inside a namespace.
 * @throws {Error} When there is no answer.
 */
export async function request(namespace: Namespace, url: string): Promise<Answer> {
  const script = `const response = await fetch(Deno.args[0], { signal: AbortSignal.timeout(10_000) });
const { status, headers } = response;
await Deno.stdout.write(new TextEncoder().encode(
  JSON.stringify({ status, headers: Object.fromEntries(headers), body: await response.text() })));
Deno.exit(0);`;
  return JSON.parse(await namespace.run([Deno.execPath(), "eval", "--no-config", script, url])) as Answer;
}

/** These programs import nothing from outside, so they need neither configuration nor cache. */
function program(file: string): string[] {
  return [Deno.execPath(), "run", "--allow-all", "--no-config", new URL(file, import.meta.url).pathname];
}

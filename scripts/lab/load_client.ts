/**
 * A load client: loops of requests to one URL until it is told to stop; the program that `load.ts` runs in a namespace.
 *
 * In: the URL (`http://10.96.0.10:80/`, `h2c://…`, `tcp://…`) and how to call it.
 * Out: on standard output `started` after the first answered request, and at the end one line of JSON, a `LoadReport`.
 * Ends at SIGTERM or SIGINT, after the requests in flight, or when `--requests` have been made.
 *
 *     deno run -A scripts/lab/load_client.ts --url http://10.96.0.10/ --connections 4 --new-connections
 * @module
 */

import { parseArgs } from "node:util";
import { createCaller } from "./load_callers.ts";
import { type LoadReport, LoadTally } from "./load_report.ts";

/** How to call. */
export interface LoadOptions {
  readonly url: string;
  /** Loops side by side, each with a connection of its own. @default 1 */
  readonly connections?: number;
  /** A new connection for each request. @default false */
  readonly newConnections?: boolean;
  /** Ends after that many requests; 0 means when told to. @default 0 */
  readonly requests?: number;
  /** Between the requests of a loop. @default 0 */
  readonly pauseMs?: number;
  /** A request that takes longer has failed. @default 5000 */
  readonly timeoutMs?: number;
  /** Called a few times beforehand and not counted, so that the client's own start is not in the figures. */
  readonly warmUpUrl?: string;
}

/** Makes requests until `signal` aborts or their number is reached. */
export async function runLoad(
  options: LoadOptions,
  running: { readonly signal: AbortSignal; readonly onFirstAnswer: () => void },
): Promise<LoadReport> {
  const url = new URL(options.url);
  const { connections = 1, newConnections = false, requests = 0, pauseMs = 0, timeoutMs = 5_000 } = options;
  const tally = new LoadTally();
  let begun = 0;
  let answered = false;

  async function loop(): Promise<void> {
    const caller = createCaller({ url, newConnections, onConnect: () => tally.connected() });
    while (!running.signal.aborted && (requests === 0 || begun < requests)) {
      begun++;
      const timeout = new AbortController();
      const timer = setTimeout(() => timeout.abort(), timeoutMs);
      const startMs = performance.now();
      try {
        const backend = await caller.call(timeout.signal);
        tally.answered(backend, performance.now() - startMs);
        if (!answered) running.onFirstAnswer();
        answered = true;
      } catch (error) {
        tally.failed(error instanceof Error ? error.message : String(error), performance.now() - startMs);
      } finally {
        clearTimeout(timer);
      }
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    caller.close();
  }

  if (options.warmUpUrl !== undefined) await warmUp(options.warmUpUrl);
  await Promise.all(Array.from({ length: connections }, loop));
  return tally.report();
}

async function warmUp(url: string): Promise<void> {
  const caller = createCaller({ url: new URL(url), newConnections: true, onConnect: () => {} });
  for (let i = 0; i < 20; i++) await caller.call(AbortSignal.timeout(5_000));
  caller.close();
}

function printLine(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}

if (import.meta.main) {
  // Only what Deno itself brings: this runs where nothing can be fetched.
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      "url": { type: "string" },
      "connections": { type: "string", default: "1" },
      "new-connections": { type: "boolean", default: false },
      "requests": { type: "string", default: "0" },
      "pause-ms": { type: "string", default: "0" },
      "timeout-ms": { type: "string", default: "5000" },
      "warm-up-url": { type: "string" },
    },
  });
  if (values.url === undefined) throw new TypeError("--url is missing");
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, () => stop.abort());
  const report = await runLoad({
    url: values.url,
    connections: Number(values.connections),
    newConnections: values["new-connections"],
    requests: Number(values.requests),
    pauseMs: Number(values["pause-ms"]),
    timeoutMs: Number(values["timeout-ms"]),
    ...(values["warm-up-url"] === undefined ? {} : { warmUpUrl: values["warm-up-url"] }),
  }, { signal: stop.signal, onFirstAnswer: () => printLine("started") });
  printLine(JSON.stringify(report));
  Deno.exit(0);
}

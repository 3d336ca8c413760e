/**
 * Loads a destination with fortio, and counts what a process used meanwhile.
 *
 * In: where from and what to call, how. Out: rates, latencies, CPU time.
 * Source: fortio's README for its flags and its JSON; proc_pid_schedstat in the kernel's "Scheduler statistics".
 * @module
 */
import type { Namespace } from "../lab/mod.ts";
import { onProcessors } from "./processors.ts";

/** How to call. */
export interface Load {
  /** `http://…` or, for datagrams that an echo returns, `udp://…`. */
  readonly url: string;
  readonly connections: number;
  readonly durationMs: number;
  /** Calls a second, all connections together. @default as fast as they are answered */
  readonly rate?: number;
  /** Each call on a connection of its own. @default false */
  readonly newConnections?: boolean;
  /** Bytes that a call sends, to be sent back. @default none, or a few */
  readonly payloadBytes?: number;
}

/** What came of it. */
export interface LoadResult {
  readonly calls: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Programs and where they run. */
export interface LoadGenerator {
  readonly fortio: string;
  readonly from: Namespace;
  /** Where it runs, as taskset spells it. @default anywhere */
  readonly processors?: string | undefined;
}

/** Calls for so long. @throws {Error} when a call fails: figures of failures are none */
export async function runLoad({ fortio, from, processors }: LoadGenerator, load: Load): Promise<LoadResult> {
  const output = await from.run(onProcessors(processors, [
    fortio,
    "load",
    ...["-quiet", "-loglevel", "error", "-json", "-", "-allow-initial-errors"],
    ...["-c", String(load.connections), "-qps", String(load.rate ?? 0), "-t", `${load.durationMs}ms`],
    // Connections call one after the other, not all at once; one that is late does not make up for it.
    ...(load.rate === undefined ? [] : ["-uniform", "-nocatchup"]),
    ...(load.newConnections === true ? ["-keepalive=false"] : []),
    ...(load.payloadBytes === undefined ? [] : ["-payload-size", String(load.payloadBytes)]),
    // Seconds; its default is 1 ms.
    ...["-p", "50,99", "-r", "0.00001"],
    load.url,
  ]));
  return parseFortio(output, load.url);
}

/** Reads fortio's JSON. @throws {Error} when a call failed, or it is no such JSON */
export function parseFortio(text: string, url: string): LoadResult {
  const { RetCodes: codes, ActualQPS: perSecond, DurationHistogram: histogram } = JSON.parse(text) as {
    readonly RetCodes: Readonly<Record<string, number>>;
    readonly ActualQPS: number;
    readonly DurationHistogram: {
      readonly Count: number;
      readonly Percentiles: readonly { readonly Percentile: number; readonly Value: number }[];
    };
  };
  const calls = histogram.Count;
  const wanted = url.startsWith("http:") ? "200" : "OK";
  if (calls === 0 || codes[wanted] !== calls) {
    throw new Error(`${url} did not always answer with ${wanted}: ${JSON.stringify(codes)}`);
  }
  const percentileMs = (percentile: number): number =>
    1_000 * (histogram.Percentiles.find((one) => one.Percentile === percentile)?.Value ?? NaN);
  return { calls, perSecond, p50Ms: percentileMs(50), p99Ms: percentileMs(99) };
}

/**
 * CPU time of a process so far, in microseconds: of its threads that run. `/proc/<pid>/stat` counts in ticks of 10 ms, which is
 * one percent of a second's work.
 * @throws {Deno.errors.NotFound} when the process has ended
 */
export async function cpuMicroseconds(pid: number): Promise<number> {
  let nanoseconds = 0;
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    // Time on a CPU, time in wait for one, how often.
    const schedstat = await Deno.readTextFile(`/proc/${pid}/task/${name}/schedstat`);
    nanoseconds += Number(schedstat.split(" ")[0]);
  }
  return nanoseconds / 1_000;
}

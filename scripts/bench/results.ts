/**
 * Where results are kept, and on what machine they came about.
 * @module
 */
import { fromFileUrl } from "@std/path/from-file-url";
import { join } from "@std/path/join";

/** Git does not look into it. */
export const RESULTS_FOLDER: string = fromFileUrl(new URL("../../.lightpath/bench/", import.meta.url));

/** What a figure depends on beside the program. */
export interface Machine {
  readonly deno: string;
  /** Its number, without what a distribution or a provider adds. */
  readonly kernel: string;
  readonly cpus: number;
  readonly memoryGB: number;
  /** Of the last minute before the benchmark: what else the machine was doing. */
  readonly loadAverage: number;
  readonly startedAt: string;
}

/** Describes this machine now. */
export function describeMachine(): Machine {
  return {
    deno: Deno.version.deno,
    kernel: /^[\d.]+/.exec(Deno.osRelease())?.[0] ?? "unknown",
    cpus: navigator.hardwareConcurrency,
    memoryGB: Math.round(Deno.systemMemoryInfo().total / 1e9),
    loadAverage: Math.round((Deno.loadavg()[0] ?? 0) * 100) / 100,
    startedAt: new Date().toISOString(),
  };
}

/** Writes a result as JSON; an older one of the same name is replaced. @returns the file's path */
export async function writeResult(folder: string, name: string, result: unknown): Promise<string> {
  await Deno.mkdir(folder, { recursive: true });
  const path = join(folder, `${name}.json`);
  await Deno.writeTextFile(path, `${JSON.stringify(result, null, 2)}\n`);
  return path;
}

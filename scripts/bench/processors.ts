/**
 * Gives what is measured a processor of its own, so that whom the scheduler puts beside whom is no part of a figure.
 *
 * In: the processors that this process may use. Out: commands that run on some of them. Source: taskset(1), proc_pid_status(5).
 * @module
 */

/** Lists of processors, as taskset spells them. */
export interface Processors {
  /** One, for what is measured. */
  readonly measured: string;
  /** The others, for everything around it. */
  readonly rest: string;
}

/** Deals them out. @returns undefined where there is only one */
export async function dealProcessors(): Promise<Processors | undefined> {
  const status = await Deno.readTextFile("/proc/self/status");
  const [first, ...rest] = parseCpuList(/^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? "");
  return first === undefined || rest.length === 0
    ? undefined
    : { measured: String(first), rest: rest.join(",") };
}

/** The numbers of a list like `0-2,5`. */
export function parseCpuList(text: string): number[] {
  return text.split(",").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number);
    return first === undefined || last === undefined
      ? []
      : Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

/** A command that runs there, and so does whatever it starts; as it is without a list. */
export function onProcessors(list: string | undefined, command: readonly string[]): string[] {
  return list === undefined ? [...command] : ["taskset", "-c", list, ...command];
}

/**
 * What the machine was busy with over a stretch of time: with the benchmark, or with others.
 *
 * In: `/proc`, before and after. Out: shares of all processors. What is ours is this process and whatever descends from it; threads of
 * the kernel are nobody's, because they move our packets too.
 * Source: proc(5): `/proc/stat`, `/proc/<pid>/stat`.
 * @module
 */
import { processIds } from "../../lab/process.ts";
import { parseCpuSeconds, parseParent } from "../process_figures.ts";

/** Others' share from which on a run is called disturbed, in percent of all processors. */
export const DISTURBED_PCT = 3;

/** A moment. */
export interface MachineMoment {
  readonly atMs: number;
  /** Of all processors since the machine was started, in seconds. */
  readonly busySeconds: number;
  /** What the machine's host gave to other machines. */
  readonly stolenSeconds: number;
  readonly processes: ReadonlyMap<number, { readonly parent: number; readonly cpuSeconds: number }>;
}

/** Shares of all processors, in percent. */
export interface MachineLoad {
  readonly busyPct: number;
  readonly othersPct: number;
}

/** The kernel's first thread, from which all others descend. */
const KTHREADD = 2;
const TICKS_PER_SECOND = 100;

/** Reads it. */
export function readMachine(): MachineMoment {
  const processes = new Map<number, { parent: number; cpuSeconds: number }>();
  for (const pid of processIds()) {
    let stat: string;
    try {
      stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    } catch {
      continue; // It ended between the listing and the reading.
    }
    processes.set(pid, { parent: parseParent(stat), cpuSeconds: parseCpuSeconds(stat) });
  }
  return { atMs: performance.now(), ...parseMachineStat(Deno.readTextFileSync("/proc/stat")), processes };
}

/** Reads the first line of `/proc/stat`. */
export function parseMachineStat(
  text: string,
): { readonly busySeconds: number; readonly stolenSeconds: number } {
  const ticks = /^cpu +(.*)$/m.exec(text)?.[1]?.split(" ").map(Number) ?? [];
  const [user = NaN, nice = NaN, system = NaN, , , irq = NaN, softirq = NaN, steal = 0] = ticks;
  return {
    busySeconds: (user + nice + system + irq + softirq) / TICKS_PER_SECOND,
    stolenSeconds: steal / TICKS_PER_SECOND,
  };
}

/**
 * What was going on between two moments. What a process used that ended meanwhile is in the figures of whoever waited for it; of one that
 * nobody waited for it is lost.
 * @param options `ours` is the process from which all of ours descend
 */
export function machineLoad(
  before: MachineMoment,
  after: MachineMoment,
  { ours, cpus }: { readonly ours: number; readonly cpus: number },
): MachineLoad {
  const capacity = cpus * (after.atMs - before.atMs) / 1_000;
  const busy = after.busySeconds - before.busySeconds;
  const stolen = after.stolenSeconds - before.stolenSeconds;
  const others = Math.max(0, othersSeconds(after, ours) - othersSeconds(before, ours)) + stolen;
  return {
    busyPct: 100 * busy / capacity,
    // Each process is read at a moment of its own: what that adds up to may be a little more than there was.
    othersPct: 100 * Math.min(others, busy + stolen) / capacity,
  };
}

function othersSeconds(moment: MachineMoment, ours: number): number {
  let seconds = 0;
  for (const [pid, { cpuSeconds }] of moment.processes) {
    if (!descends(pid, ours, moment) && !descends(pid, KTHREADD, moment)) seconds += cpuSeconds;
  }
  return seconds;
}

function descends(pid: number, ancestor: number, { processes }: MachineMoment): boolean {
  for (
    let next: number | undefined = pid;
    next !== undefined && next !== 0;
    next = processes.get(next)?.parent
  ) {
    if (next === ancestor) return true;
  }
  return false;
}

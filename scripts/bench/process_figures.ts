/**
 * Memory, CPU time and open files of processes, as the kernel counts them.
 * Source: proc(5).
 * @module
 */
import { processIds } from "../lab/process.ts";

/** USER_HZ is 100 on every architecture Linux has an Envoy for. */
const TICKS_PER_SECOND = 100;

/** Resident memory in megabytes (10^6 bytes). @throws {Deno.errors.NotFound} when the process has ended */
export async function residentMB(pid: number): Promise<number> {
  return parseResidentMB(await Deno.readTextFile(`/proc/${pid}/status`));
}

/** The most memory that was resident at any time so far, in megabytes. @throws as {@linkcode residentMB} */
export async function peakResidentMB(pid: number): Promise<number> {
  return parseResidentMB(await Deno.readTextFile(`/proc/${pid}/status`), "VmHWM");
}

/**
 * CPU time so far, in seconds: of a process and of all it started, those that run (an nft that is kept) and those that ended.
 * @throws {Deno.errors.NotFound} when the process has ended
 */
export async function cpuSeconds(pid: number): Promise<number> {
  let seconds = parseCpuSeconds(await Deno.readTextFile(`/proc/${pid}/stat`));
  for (const stat of await statsOfDescendants(pid)) seconds += parseCpuSeconds(stat.text);
  return seconds;
}

/** Resident memory of all that a process started and that still runs, in megabytes. */
export async function descendantsResidentMB(pid: number): Promise<number> {
  let megabytes = 0;
  for (const descendant of await statsOfDescendants(pid)) megabytes += await residentMB(descendant.pid);
  return megabytes;
}

interface Stat {
  readonly pid: number;
  readonly text: string;
}

async function statsOfDescendants(ancestor: number): Promise<Stat[]> {
  const children = new Map<number, Stat[]>();
  for (const pid of processIds()) {
    // One that ended since the folder was listed is in its parent's figures by now.
    const text = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => undefined);
    if (text === undefined) continue;
    const parent = parseParent(text);
    children.set(parent, [...children.get(parent) ?? [], { pid, text }]);
  }
  const found: Stat[] = [...children.get(ancestor) ?? []];
  // Grows while it is walked.
  for (const { pid } of found) found.push(...children.get(pid) ?? []);
  return found;
}

/** Reads the parent's process id of `/proc/<pid>/stat`. */
export function parseParent(stat: string): number {
  // The name may hold spaces and parentheses. After it: state, parent.
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

/** How many file descriptors are open. @throws {Deno.errors.NotFound} when the process has ended */
export async function openFiles(pid: number): Promise<number> {
  return (await Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`))).length;
}

/** Reads a line of `/proc/<pid>/status`: what is resident now, or was at most. */
export function parseResidentMB(status: string, line: "VmRSS" | "VmHWM" = "VmRSS"): number {
  const kibibytes = new RegExp(`^${line}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
  if (kibibytes === undefined) throw new SyntaxError(`no ${line} in the status of a process`);
  return Number(kibibytes) * 1024 / 1e6;
}

/** Reads utime, stime, cutime and cstime of `/proc/<pid>/stat`: what a program lets others do is its work too. */
export function parseCpuSeconds(stat: string): number {
  // The name may hold spaces and parentheses. After it: state (3rd field) … utime (14th) to cstime (17th).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(11, 15);
  const ticks = fields.length < 4 ? NaN : fields.reduce((sum, field) => sum + Number(field), 0);
  if (Number.isNaN(ticks)) throw new SyntaxError("no CPU times in the stat of a process");
  return ticks / TICKS_PER_SECOND;
}

/** CPU time of some processes over a stretch of time, each in percent of one core. */
export async function cpuPercents(
  pids: readonly number[],
  during: () => Promise<unknown>,
): Promise<number[]> {
  const startMs = performance.now();
  const before = await Promise.all(pids.map(cpuSeconds));
  await during();
  const after = await Promise.all(pids.map(cpuSeconds));
  const seconds = (performance.now() - startMs) / 1000;
  return after.map((total, index) => 100 * (total - before[index]!) / seconds);
}

/** As {@linkcode cpuPercents}, of one process. */
export async function cpuPercent(pid: number, during: () => Promise<unknown>): Promise<number> {
  return (await cpuPercents([pid], during))[0]!;
}

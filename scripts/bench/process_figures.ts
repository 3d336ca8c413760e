/**
 * Memory and CPU time of a process, as the kernel counts them.
 * Source: proc(5).
 * @module
 */

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

/** CPU time of all threads so far and of children that ended, in seconds. @throws {Deno.errors.NotFound} when the process has ended */
export async function cpuSeconds(pid: number): Promise<number> {
  return parseCpuSeconds(await Deno.readTextFile(`/proc/${pid}/stat`));
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

/** Reads utime, stime, cutime and cstime of `/proc/<pid>/stat`: what the agent lets nft do is its work too. */
export function parseCpuSeconds(stat: string): number {
  // The name may hold spaces and parentheses. After it: state (3rd field) … utime (14th) to cstime (17th).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(11, 15);
  const ticks = fields.length < 4 ? NaN : fields.reduce((sum, field) => sum + Number(field), 0);
  if (Number.isNaN(ticks)) throw new SyntaxError("no CPU times in the stat of a process");
  return ticks / TICKS_PER_SECOND;
}

/** CPU time over a stretch of time, in percent of one core. */
export async function cpuPercent(pid: number, during: () => Promise<unknown>): Promise<number> {
  const [startMs, startS] = [performance.now(), await cpuSeconds(pid)];
  await during();
  const usedS = await cpuSeconds(pid) - startS;
  return 100 * usedS / ((performance.now() - startMs) / 1000);
}

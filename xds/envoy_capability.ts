/**
 * Whether an Envoy may ask endpoints in its clients' names: bind to addresses that are not the node's, and mark its packets.
 *
 * In: Envoy's process, or the socket of its admin interface, by which it is found. Out: nothing, or why not.
 * It is looked up and not tried: what Envoy may not do fails at each of its connections, and nowhere before.
 * Source: Envoy 1.40, listener filter `original_src`; capabilities(7), IP_TRANSPARENT in ip(7), SO_MARK in socket(7): it needs
 * CAP_NET_ADMIN, since Linux 5.17 CAP_NET_RAW will do; the first needs either.
 * @module
 */

/** Which Envoy. */
export type EnvoyProcess = { readonly pid: number | "self" } | { readonly adminSocket: string };

/** There is no Envoy to be judged. */
export const ABSENT: unique symbol = Symbol("absent");

const CAP_NET_ADMIN = 1n << 12n;
const CAP_NET_RAW = 1n << 13n;

/**
 * Why this Envoy may not, as the end of a sentence that says what to do; undefined when it may.
 *
 * @param mustBeThere An Envoy is connected. Otherwise one that cannot be seen may be one that does not run yet: `absent`.
 */
export async function whyNotInClientsName(
  envoy: EnvoyProcess,
  { mustBeThere }: { readonly mustBeThere: boolean },
): Promise<string | undefined | typeof ABSENT> {
  const pid = "pid" in envoy ? envoy.pid : await holderOf(envoy.adminSocket);
  if (pid === undefined) {
    if (!mustBeThere) return ABSENT;
    return "Envoy's process cannot be seen from here, and so not what it may do; let the agent run it, or share " +
      "the process namespace of both containers (shareProcessNamespace)";
  }
  const effective = await effectiveCapabilities(pid);
  if (effective === undefined) return "Envoy's process has just ended";
  if ((effective & CAP_NET_ADMIN) !== 0n) return undefined;
  if ((effective & CAP_NET_RAW) !== 0n && isAtLeast(Deno.osRelease(), [5, 17])) return undefined;
  return "Envoy lacks the capability CAP_NET_ADMIN; add it to its container";
}

/** Whether a kernel's release, `6.1.0-18-amd64`, is this one or newer. */
export function isAtLeast(release: string, [major, minor]: readonly [number, number]): boolean {
  const [, foundMajor = "0", foundMinor = "0"] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  return Number(foundMajor) > major || (Number(foundMajor) === major && Number(foundMinor) >= minor);
}

/** `CapEff`; undefined when there is no such process. */
async function effectiveCapabilities(pid: number | "self"): Promise<bigint | undefined> {
  const status = await readIfThere(`/proc/${pid}/status`);
  const [, hex] = /^CapEff:\s*([0-9a-f]+)$/m.exec(status ?? "") ?? [];
  return hex === undefined ? undefined : BigInt(`0x${hex}`);
}

/** The process that listens on a Unix socket, as far as it can be seen from here. */
async function holderOf(socketPath: string): Promise<number | undefined> {
  const inode = inodeOf(await readIfThere("/proc/net/unix") ?? "", socketPath);
  if (inode === undefined) return undefined;
  for await (const { name } of Deno.readDir("/proc")) {
    if (/^\d+$/.test(name) && await holds(name, `socket:[${inode}]`)) return Number(name);
  }
  return undefined;
}

/** The inode of the socket that listens at a path, from the text of /proc/net/unix. */
export function inodeOf(sockets: string, path: string): string | undefined {
  for (const line of sockets.split("\n")) {
    // Num RefCount Protocol Flags Type St Inode Path; the flag says that it listens.
    const [, flags, inode, found] = /^\S+ \S+ \S+ (\S+) \S+ \S+ +(\d+) (.*)$/.exec(line) ?? [];
    if (found === path && flags === "00010000") return inode;
  }
  return undefined;
}

async function holds(pid: string, target: string): Promise<boolean> {
  try {
    for await (const { name } of Deno.readDir(`/proc/${pid}/fd`)) {
      if (await Deno.readLink(`/proc/${pid}/fd/${name}`).catch(() => "") === target) return true;
    }
  } catch (error) {
    // It has ended, or is another user's.
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied)) {
      throw error;
    }
  }
  return false;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || /ESRCH|No such process/.test(String(error))) {
      return undefined;
    }
    throw error;
  }
}

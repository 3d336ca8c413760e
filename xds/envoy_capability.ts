/**
 * Whether an Envoy may ask endpoints in its clients' names: bind to addresses that are not the node's, and mark its packets.
 *
 * In: Envoy's process, or the socket of its admin interface, by which it is found. Out: nothing, or why not.
 * It is looked up and not tried: what Envoy may not do fails at each of its connections, and nowhere before.
 * Source: Envoy 1.40, listener filter `original_src`; capabilities(7), IP_TRANSPARENT in ip(7), SO_MARK in socket(7): it needs
 * CAP_NET_ADMIN, since Linux 5.17 CAP_NET_RAW will do; the first needs either.
 * @module
 */

import { readSystemFile } from "../agent/system_files.ts";
import { listenerProcess } from "./listener_process.ts";

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
export function whyNotInClientsName(
  envoy: EnvoyProcess,
  { mustBeThere }: { readonly mustBeThere: boolean },
): string | undefined | typeof ABSENT {
  const pid = "pid" in envoy ? envoy.pid : listenerProcess(envoy.adminSocket);
  if (pid === undefined) {
    if (!mustBeThere) return ABSENT;
    return "Envoy's process cannot be seen from here, and so not what it may do; let the agent run it, or share " +
      "the process namespace of both containers (shareProcessNamespace)";
  }
  const effective = effectiveCapabilities(pid);
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
function effectiveCapabilities(pid: number | "self"): bigint | undefined {
  const status = readSystemFile(`/proc/${pid}/status`);
  const [, hex] = /^CapEff:\s*([0-9a-f]+)$/m.exec(status ?? "") ?? [];
  return hex === undefined ? undefined : BigInt(`0x${hex}`);
}

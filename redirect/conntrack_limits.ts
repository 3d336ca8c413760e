/**
 * Raises what the kernel's connection tracking may hold, and how long it remembers TCP connections that are silent, as kube-proxy does.
 *
 * In: where sysctls are, the limits wanted, the number of processors. Out: what was raised; why a limit could not be. A limit that is high
 * enough is left alone, and none is ever lowered. The settings stay when the agent ends: connections go on.
 *
 * - A connection through Envoy is two in the table, the client's and Envoy's own. Where the table is full, the kernel drops what is new.
 * - A connection of which one side has said all it has to say is forgotten after a minute's silence, by the kernel's own default. What the other
 *   side says then is not translated any more, and lost.
 *
 * Source: kube-proxy's `cmd/kube-proxy/app/conntrack.go` and `getConntrackMax`, v1.36; nf_conntrack-sysctl. The number of buckets is
 * the same one as that of `/sys/module/nf_conntrack/parameters/hashsize`.
 * @module
 */

import { readSystemFile, writeSystemFile } from "../agent/system_files.ts";

/** Of each 0: it is left as it is. */
export interface ConntrackLimits {
  /** Entries for each processor, but no fewer than `minEntries`. */
  readonly entriesPerCore: number;
  readonly minEntries: number;
  readonly establishedMs: number;
  readonly closeWaitMs: number;
}

/** A kernel setting, by its path below `/proc/sys/net/netfilter`. */
interface Wanted {
  readonly name: string;
  readonly atLeast: number;
}

/** What became of them. */
export interface RaisedLimits {
  /** `net.netfilter.nf_conntrack_max=262144`. */
  readonly raised: readonly string[];
  /** For each that is too low still, a sentence that names the mend. */
  readonly tooLow: readonly string[];
}

/** Entries of the table for each bucket, at most. */
const ENTRIES_PER_BUCKET = 4;

function wantedLimits(limits: ConntrackLimits, cores: number): Wanted[] {
  const { entriesPerCore, minEntries, establishedMs, closeWaitMs } = limits;
  const entries = entriesPerCore === 0 ? 0 : Math.max(minEntries, entriesPerCore * cores);
  return [
    { name: "nf_conntrack_max", atLeast: entries },
    { name: "nf_conntrack_buckets", atLeast: Math.floor(entries / ENTRIES_PER_BUCKET) },
    { name: "nf_conntrack_tcp_timeout_established", atLeast: Math.ceil(establishedMs / 1_000) },
    { name: "nf_conntrack_tcp_timeout_close_wait", atLeast: Math.ceil(closeWaitMs / 1_000) },
  ];
}

/**
 * Raises what is too low. The kernel has these settings once something is tracked.
 * @param root Where the node's sysctls can be written, e.g. `/proc/sys`.
 */
export function raiseConntrackLimits(
  root: string,
  limits: ConntrackLimits,
  cores: number = navigator.hardwareConcurrency,
): RaisedLimits {
  const raised: string[] = [];
  const tooLow: string[] = [];
  for (const { name, atLeast } of wantedLimits(limits, cores)) {
    if (atLeast === 0) continue;
    const path = `${root}/net/netfilter/${name}`;
    const setting = `net.netfilter.${name}`;
    try {
      if (Number(readSystemFile(path) ?? NaN) >= atLeast) continue;
      writeSystemFile(path, String(atLeast));
      raised.push(`${setting}=${atLeast}`);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      tooLow.push(`${setting} is below ${atLeast}, and cannot be set from here (${why}): set it on the node`);
    }
  }
  return { raised, tooLow };
}

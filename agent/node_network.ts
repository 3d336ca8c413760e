/**
 * Reads what this node's network looks like: the addresses of its interfaces, and through which of them it reaches others.
 *
 * In: the kernel's tables under /proc/net, the interfaces. Out: a {@linkcode NodeNetwork}. Parsing is pure; only
 * {@linkcode readNodeNetwork} looks at the machine.
 * Source: `Documentation/networking/proc_net_*` and `fib_trie.c`, `route.c` of the kernel for the columns. The kubelet
 * finds a node's address in the same files (`ChooseHostInterface` of k8s.io/apimachinery).
 * @module
 */

import type { IPFamily } from "./model/mod.ts";
import { readSystemFile } from "./system_files.ts";

/** The fields of `Deno.NetworkInterfaceInfo` that are read. */
export interface NetworkInterface {
  readonly name: string;
  readonly address: string;
}

/** What a node's network looks like. */
export interface NodeNetwork {
  /** One for each address. */
  readonly interfaces: readonly NetworkInterface[];
  /** The interface of the default route, by family; absent: there is no such route. */
  readonly defaultInterfaces: Readonly<Partial<Record<IPFamily, string>>>;
}

/** Looks at this machine. */
export function readNodeNetwork(): NodeNetwork {
  // A kernel without a family has no such file.
  const v4 = defaultInterface("IPv4", readSystemFile("/proc/net/route") ?? "");
  const v6 = defaultInterface("IPv6", readSystemFile("/proc/net/ipv6_route") ?? "");
  return {
    interfaces: Deno.networkInterfaces(),
    defaultInterfaces: {
      ...(v4 === undefined ? {} : { IPv4: v4 }),
      ...(v6 === undefined ? {} : { IPv6: v6 }),
    },
  };
}

/**
 * The interface of the default route with the smallest metric in the text of a routing table; undefined when there is none.
 * Numbers are hexadecimal in it, but for the metric of IPv4.
 */
export function defaultInterface(family: IPFamily, table: string): string | undefined {
  let best: { readonly name: string; readonly metric: number } | undefined;
  for (const line of table.split("\n")) {
    const route = family === "IPv4" ? parseIPv4Route(line) : parseIPv6Route(line);
    if (route !== undefined && (best === undefined || route.metric < best.metric)) best = route;
  }
  return best?.name;
}

interface DefaultRoute {
  readonly name: string;
  readonly metric: number;
}

/** `RTF_REJECT`: it leads nowhere. The kernel gives IPv6 such a default route when there is no other. */
const REJECT = 0x200;

/** Iface Destination Gateway Flags RefCnt Use Metric Mask … */
function parseIPv4Route(line: string): DefaultRoute | undefined {
  const [name = "", destination, , flags = "", , , metric = "", mask] = line.trim().split(/\s+/);
  if (destination !== "00000000" || mask !== "00000000" || (parseInt(flags, 16) & REJECT) !== 0) {
    return undefined;
  }
  return { name, metric: Number(metric) };
}

/** destination length source length gateway metric references use flags interface */
function parseIPv6Route(line: string): DefaultRoute | undefined {
  const [destination, length, , , , metric = "", , , flags = "", name = ""] = line.trim().split(/\s+/);
  if (destination === undefined || !/^0{32}$/.test(destination) || length !== "00") return undefined;
  return (parseInt(flags, 16) & REJECT) !== 0 ? undefined : { name, metric: parseInt(metric, 16) };
}

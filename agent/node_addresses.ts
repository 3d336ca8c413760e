/**
 * Knows on which of this node's addresses NodePorts answer, and notices when they change.
 *
 * In: the network interfaces, the ranges of `--nodeport-addresses`, the families served. Out: canonical addresses per
 * family, in the order of the interfaces, without duplicates.
 * Invariants: never loopback or link-local addresses (no other machine can mean this node by them), never those of
 * kube-proxy's `kube-ipvs0`, which are VIPs. As for kube-proxy, ranges restrict only the families they belong to.
 * Source: Kubernetes `pkg/proxy/util/nodeport_addresses.go`, v1.36.
 * @module
 */

import { delay } from "@std/async/delay";
import ipaddr from "ipaddr.js";
import type { Logger } from "./log.ts";
import { IP_FAMILIES, type IPFamily, type NodeAddresses, parseIPAddress } from "./model/mod.ts";

/** The fields of `Deno.NetworkInterfaceInfo` that are read. */
export interface NetworkInterface {
  readonly name: string;
  readonly address: string;
}

/** What restricts the addresses. */
export interface NodeAddressSelection {
  /** As `--nodeport-addresses`; none of a family means: all of it. */
  readonly cidrs: readonly string[];
  /** Families that are served; the others are empty. */
  readonly families: readonly IPFamily[];
}

/** What {@linkcode watchNodeAddresses} needs. */
export interface WatchNodeAddressesOptions extends NodeAddressSelection {
  /** Called with each state that differs from the one before, and with the first. */
  readonly onChange: (addresses: NodeAddresses) => void;
  readonly logger: Logger;
  /** Between two looks. @default 30_000 */
  readonly intervalMs?: number;
  /** @default Deno.networkInterfaces */
  readonly list?: () => readonly NetworkInterface[];
}

/** Chooses the addresses on which NodePorts answer. */
export function selectNodeAddresses(
  interfaces: readonly NetworkInterface[],
  { cidrs, families }: NodeAddressSelection,
): NodeAddresses {
  const selected: Record<IPFamily, string[]> = { IPv4: [], IPv6: [] };
  for (const { name, address: text } of interfaces) {
    if (name === "kube-ipvs0") continue;
    const parsed = parseIPAddress(text);
    if (parsed === undefined || !families.includes(parsed.family)) continue;
    const { address, family } = parsed;
    const addresses = selected[family];
    if (isForNobodyElse(address) || addresses.includes(address)) continue;
    const ranges = cidrs.filter((cidr) => cidr.includes(":") === (family === "IPv6"));
    if (ranges.length === 0 || ranges.some((range) => contains(range, address))) addresses.push(address);
  }
  return selected;
}

/** The families this machine has: those of any address, loopback too (IPv6 may be switched off in the kernel). */
export function availableFamilies(interfaces: readonly NetworkInterface[]): IPFamily[] {
  const present = new Set(interfaces.map(({ address }) => parseIPAddress(address)?.family));
  return IP_FAMILIES.filter((family) => present.has(family));
}

/**
 * Looks at the interfaces at once and then at intervals, until the signal aborts. The first call of `onChange` happens
 * before this function returns its promise.
 */
export async function watchNodeAddresses(
  options: WatchNodeAddressesOptions,
  signal: AbortSignal,
): Promise<void> {
  const { onChange, logger } = options;
  const list = options.list ?? Deno.networkInterfaces;
  let before: string | undefined;
  while (!signal.aborted) {
    try {
      const addresses = selectNodeAddresses(list(), options);
      const now = JSON.stringify(addresses);
      if (now !== before) {
        logger.info("node addresses", { IPv4: addresses.IPv4.join(","), IPv6: addresses.IPv6.join(",") });
        before = now;
        onChange(addresses);
      }
    } catch (error) {
      // The last known addresses stay in use; the next look may succeed.
      logger.warn("cannot read this node's network interfaces", { reason: String(error) });
    }
    try {
      await delay(options.intervalMs ?? 30_000, { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

function isForNobodyElse(address: string): boolean {
  const range = ipaddr.parse(address).range();
  return range === "loopback" || range === "linkLocal" || range === "unspecified";
}

function contains(cidr: string, address: string): boolean {
  const parsed = ipaddr.parse(address);
  const [network, length] = ipaddr.parseCIDR(cidr);
  return parsed.kind() === network.kind() && parsed.match(network, length);
}

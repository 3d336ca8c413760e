/**
 * Knows on which of this node's addresses NodePorts answer, and notices when they change.
 *
 * In: the node's network, `--nodeport-addresses`, `--node-ip`, the families served. Out: canonical addresses per family, in
 * the order of the interfaces, without duplicates.
 *
 * `primary` (the default, as in kube-proxy's nftables mode) is the address by which the cluster knows the node. kube-proxy reads
 * it from the Node; the agent may not read Nodes, so it is told (`--node-ip`), or finds it as the kubelet does that
 * writes it there: the first address of the interface that has the default route.
 *
 * Invariants: never loopback or link-local addresses (no other machine can mean this node by them), never those of
 * kube-proxy's `kube-ipvs0`, which are VIPs. As for kube-proxy, what is said of one family restricts that family only, and a
 * family of which nothing is known has all its addresses.
 * Source: Kubernetes `pkg/proxy/util/nodeport_addresses.go` and `cmd/kube-proxy/app/server.go`, v1.36.
 * @module
 */

import { delay } from "@std/async/delay";
import ipaddr from "ipaddr.js";
import { IPVS_INTERFACE } from "./ipvs.ts";
import type { Logger } from "./log.ts";
import {
  IP_FAMILIES,
  type IPFamily,
  type NodeAddresses,
  parseIPAddress,
  rangeContains,
} from "./model/mod.ts";
import { type NetworkInterface, type NodeNetwork, readNodeNetwork } from "./node_network.ts";

/** What restricts the addresses. */
export interface NodeAddressSelection {
  /** As `--nodeport-addresses`; no range of a family means: all of it. */
  readonly ranges: readonly string[] | "primary";
  /** As `--node-ip`: canonical addresses. */
  readonly nodeIPs: readonly string[];
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
  /** @default readNodeNetwork */
  readonly read?: () => NodeNetwork;
}

/** Chooses the addresses on which NodePorts answer. */
export function selectNodeAddresses(
  network: NodeNetwork,
  { ranges, nodeIPs, families }: NodeAddressSelection,
): NodeAddresses {
  const select = (family: IPFamily): readonly string[] => {
    if (!families.includes(family)) return [];
    const all = addressesOf(network, family);
    const chosen = ranges === "primary"
      ? primaryOf(network, { family, nodeIPs })
      : ranges.filter((range) => familyOf(range) === family);
    return chosen.length === 0
      ? all
      : all.filter((address) =>
        chosen.some((range) => range.includes("/") ? rangeContains(range, address) : range === address)
      );
  };
  return { IPv4: select("IPv4"), IPv6: select("IPv6") };
}

/** Those other machines can mean this node by. */
function addressesOf({ interfaces }: NodeNetwork, family: IPFamily, name?: string): readonly string[] {
  const addresses = interfaces.flatMap((one) => {
    if (one.name === IPVS_INTERFACE || name !== undefined && one.name !== name) return [];
    const parsed = parseIPAddress(one.address);
    return parsed?.family === family && !isForNobodyElse(parsed.address) ? [parsed.address] : [];
  });
  return [...new Set(addresses)];
}

/** The address by which the cluster knows the node; nothing when that cannot be found out. */
function primaryOf(
  network: NodeNetwork,
  { family, nodeIPs }: { readonly family: IPFamily; readonly nodeIPs: readonly string[] },
): readonly string[] {
  const told = nodeIPs.filter((address) => familyOf(address) === family);
  if (told.length > 0) return told;
  const name = network.defaultInterfaces[family];
  return name === undefined ? [] : addressesOf(network, family, name).slice(0, 1);
}

function familyOf(addressOrRange: string): IPFamily {
  return addressOrRange.includes(":") ? "IPv6" : "IPv4";
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
  const read = options.read ?? readNodeNetwork;
  let before: string | undefined;
  while (!signal.aborted) {
    try {
      const addresses = selectNodeAddresses(read(), options);
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

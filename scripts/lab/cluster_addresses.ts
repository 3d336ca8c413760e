/**
 * Who has which address in a `Cluster`. Pure.
 *
 * Invariant: the cluster is built from these, so that who describes what should happen in it need not ask it.
 * @module
 */
import type { Addresses } from "./pod.ts";

/** The lab's nodes. */
export type NodeName = "node-a" | "node-b";

/** An address or prefix in both families. */
export interface DualStack extends Addresses {
  readonly ipv6: string;
}

/** The addresses of a node. */
export interface NodeAddressPlan {
  /** Its InternalIPs. */
  readonly primary: DualStack;
  /** Its further ones, on its loopback interface. */
  readonly secondary: DualStack;
  /** What its pods know it by. */
  readonly gateway: DualStack;
  /** All addresses of its pods are in these. */
  readonly podPrefix: DualStack;
}

/** The machine beyond the nodes. */
export const OUTSIDE_ADDRESSES: DualStack = { ipv4: "192.168.77.1", ipv6: "fd00:192:168:77::1" };

/** By node. */
export const NODE_ADDRESSES: Readonly<Record<NodeName, NodeAddressPlan>> = {
  "node-a": planOf(1),
  "node-b": planOf(2),
};

/** The addresses of a pod. @param host 2 to 254 */
export function podAddresses(node: NodeName, host: number): DualStack {
  const { podPrefix } = NODE_ADDRESSES[node];
  return {
    ipv4: podPrefix.ipv4.replace(/0\/24$/, String(host)),
    ipv6: podPrefix.ipv6.replace(/\/64$/, host.toString(16)),
  };
}

function planOf(number: 1 | 2): NodeAddressPlan {
  const at = (ipv4: string, ipv6: string, host: number): DualStack => ({
    ipv4: `${ipv4}${host}`,
    ipv6: `${ipv6}${host}`,
  });
  return {
    primary: at("192.168.77.", "fd00:192:168:77::", 1 + number),
    secondary: at("192.168.78.", "fd00:192:168:78::", 1 + number),
    gateway: at(`10.244.${number}.`, `fd00:10:244:${number}::`, 1),
    podPrefix: { ipv4: `10.244.${number}.0/24`, ipv6: `fd00:10:244:${number}::/64` },
  };
}

/**
 * How a pod is wired to its node, as the CNI reference plugin `ptp` does it.
 *
 * In: the node's namespace and the addresses. Out: the pod's namespace, with a veth to the node, addresses of its own (/32,
 * /128) and a default route through the node's end of that veth, which carries the gateway's address (nft's `redirect`
 * needs an address on the interface a packet came in by).
 * Source: CNI plugins documentation, "ptp plugin".
 * @module
 */
import { connect } from "./links.ts";
import type { Namespace } from "./namespace.ts";

/** An address per family; IPv6 is undefined on a kernel without it. */
export interface Addresses {
  readonly ipv4: string;
  readonly ipv6: string | undefined;
}

/** A pod: a network namespace with an address that the whole lab can reach. */
export interface Pod extends Addresses {
  readonly name: string;
  readonly namespace: Namespace;
}

/** Whether this kernel has IPv6. */
export async function hasIPv6(): Promise<boolean> {
  return await Deno.stat("/proc/net/if_inet6").then(() => true, () => false);
}

/** Makes a pod on a node. @param pod `name` is at most 15 characters, and names the node's interface too */
export async function wirePod(
  node: Namespace,
  { name, ipv4, ipv6, gateway }: Addresses & { readonly name: string; readonly gateway: Addresses },
): Promise<Pod> {
  const namespace = await node.child({ name });
  const link = await connect(node, namespace, {
    a: [`${gateway.ipv4}/32`, ...(ipv6 === undefined ? [] : [`${gateway.ipv6}/128`])],
    b: [`${ipv4}/32`, ...(ipv6 === undefined ? [] : [`${ipv6}/128`])],
    interfaceA: name,
    interfaceB: "eth0",
  });
  await node.ip([
    `route add ${ipv4}/32 dev ${link.a}`,
    ...(ipv6 === undefined ? [] : [`route add ${ipv6}/128 dev ${link.a}`]),
  ]);
  await namespace.ip([
    `route add ${gateway.ipv4}/32 dev ${link.b}`,
    `route add default via ${gateway.ipv4}`,
    ...(ipv6 === undefined ? [] : [
      `route add ${gateway.ipv6}/128 dev ${link.b}`,
      `route add ::/0 via ${gateway.ipv6}`,
    ]),
  ]);
  return { name, namespace, ipv4, ipv6 };
}

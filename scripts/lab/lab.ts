/**
 * A node with pods, as a CNI plugin would wire it, in namespaces of its own.
 *
 * Each pod has a veth to the node, an address of its own (/32, /128) and a default route through the node's end of
 * that veth, which carries the gateway's address (as the reference plugin `ptp` does it; nft's `redirect` needs an
 * address on the interface a packet came in by). The node forwards. Its own default route leads to `outside`, a
 * machine beyond the node that knows the way to the pods: that makes VIPs routable for the node's own processes, and
 * is where a NodePort's client, or an intruder, connects from.
 *
 *     pod-1 (10.244.0.11) --- node (10.244.0.1; 192.168.77.2) --- outside (192.168.77.1)
 *     pod-2 (10.244.0.12) --/
 *
 * Invariant: traffic stays inside; `outside` has no way on, and says so at once.
 * Source of the wiring: CNI plugins documentation, "ptp plugin".
 * @module
 */

import { connect } from "./links.ts";
import { Namespace, type Sysctls } from "./namespace.ts";

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

const GATEWAY: Addresses = { ipv4: "10.244.0.1", ipv6: "fd00:10:244::1" };
const OUTSIDE: Addresses = { ipv4: "192.168.77.1", ipv6: "fd00:192:168:77::1" };
const NODE: Addresses = { ipv4: "192.168.77.2", ipv6: "fd00:192:168:77::2" };

/** A node, what is outside of it, and its pods. Disposing it ends everything. */
export class Lab implements AsyncDisposable {
  readonly node: Namespace;
  readonly outside: Namespace;
  /** The node's own addresses, where NodePorts are reached. */
  readonly nodeAddresses: Addresses;
  readonly #hasIPv6: boolean;

  private constructor(options: { node: Namespace; outside: Namespace; hasIPv6: boolean }) {
    this.node = options.node;
    this.outside = options.outside;
    this.#hasIPv6 = options.hasIPv6;
    this.nodeAddresses = { ipv4: NODE.ipv4, ipv6: options.hasIPv6 ? NODE.ipv6 : undefined };
  }

  /**
   * A node without pods.
   * @throws {Error} When the machine allows no namespaces; see `namespacesUnavailable`.
   */
  static async create(): Promise<Lab> {
    const hasIPv6 = await Deno.stat("/proc/net/if_inet6").then(() => true, () => false);
    const node = await Namespace.create({ name: "node" });
    try {
      const outside = await node.child({ name: "outside" });
      await connect(node, outside, {
        a: [`${NODE.ipv4}/24`, ...(hasIPv6 ? [`${NODE.ipv6}/64`] : [])],
        b: [`${OUTSIDE.ipv4}/24`, ...(hasIPv6 ? [`${OUTSIDE.ipv6}/64`] : [])],
        interfaceA: "eth0",
        interfaceB: "eth0",
      });
      await node.ip([
        `route add default via ${OUTSIDE.ipv4}`,
        ...(hasIPv6 ? [`route add ::/0 via ${OUTSIDE.ipv6}`] : []),
      ]);
      await outside.ip([
        `route add 10.244.0.0/24 via ${NODE.ipv4}`,
        ...(hasIPv6 ? [`route add fd00:10:244::/64 via ${NODE.ipv6}`] : []),
      ]);
      const forwarding: Sysctls = {
        "net/ipv4/ip_forward": "1",
        ...(hasIPv6 ? { "net/ipv6/conf/all/forwarding": "1" } : {}),
      };
      await node.sysctl(forwarding);
      // A router without a route answers "unreachable"; a host that does not forward would stay silent.
      await outside.sysctl(forwarding);
      return new Lab({ node, outside, hasIPv6 });
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Adds a pod with the addresses 10.244.0.`host` and fd00:10:244::`host` (in hexadecimal).
   * @param options `name` is at most 15 characters; `host` is 2 to 254, and not yet in use.
   */
  async addPod(options: { readonly name: string; readonly host: number }): Promise<Pod> {
    const { name, host } = options;
    const ipv4 = `10.244.0.${host}`;
    const ipv6 = this.#hasIPv6 ? `fd00:10:244::${host.toString(16)}` : undefined;
    const namespace = await this.node.child({ name });
    const link = await connect(this.node, namespace, {
      a: [`${GATEWAY.ipv4}/32`, ...(ipv6 === undefined ? [] : [`${GATEWAY.ipv6}/128`])],
      b: [`${ipv4}/32`, ...(ipv6 === undefined ? [] : [`${ipv6}/128`])],
      interfaceA: name,
      interfaceB: "eth0",
    });
    await this.node.ip([
      `route add ${ipv4}/32 dev ${link.a}`,
      ...(ipv6 === undefined ? [] : [`route add ${ipv6}/128 dev ${link.a}`]),
    ]);
    await namespace.ip([
      `route add ${GATEWAY.ipv4}/32 dev ${link.b}`,
      `route add default via ${GATEWAY.ipv4}`,
      ...(ipv6 === undefined ? [] : [
        `route add ${GATEWAY.ipv6}/128 dev ${link.b}`,
        `route add ::/0 via ${GATEWAY.ipv6}`,
      ]),
    ]);
    return { name, namespace, ipv4, ipv6 };
  }

  /** Ends everything in the lab and waits for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.node[Symbol.asyncDispose]();
  }
}

/**
 * A node with pods, as a CNI plugin would wire it, in namespaces of its own.
 *
 * Pods are wired as `pod.ts` says. The node forwards. Its own default route leads to `outside`, a machine beyond the node
 * that knows the way to the pods: that makes VIPs routable for the node's own processes, and is where a NodePort's
 * client, or an intruder, connects from.
 *
 *     pod-1 (10.244.0.11) --- node (10.244.0.1; 192.168.77.2) --- outside (192.168.77.1)
 *     pod-2 (10.244.0.12) --/
 *
 * Invariant: traffic stays inside; `outside` has no way on, and says so at once.
 * @module
 */

import { connect } from "./links.ts";
import { Namespace, type Sysctls } from "./namespace.ts";
import { type Addresses, hasIPv6, type Pod, wirePod } from "./pod.ts";

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
    const withIPv6 = await hasIPv6();
    const node = await Namespace.create({ name: "node" });
    try {
      const outside = await node.child({ name: "outside" });
      await connect(node, outside, {
        a: [`${NODE.ipv4}/24`, ...(withIPv6 ? [`${NODE.ipv6}/64`] : [])],
        b: [`${OUTSIDE.ipv4}/24`, ...(withIPv6 ? [`${OUTSIDE.ipv6}/64`] : [])],
        interfaceA: "eth0",
        interfaceB: "eth0",
      });
      await node.ip([
        `route add default via ${OUTSIDE.ipv4}`,
        ...(withIPv6 ? [`route add ::/0 via ${OUTSIDE.ipv6}`] : []),
      ]);
      await outside.ip([
        `route add 10.244.0.0/24 via ${NODE.ipv4}`,
        ...(withIPv6 ? [`route add fd00:10:244::/64 via ${NODE.ipv6}`] : []),
      ]);
      const forwarding: Sysctls = {
        "net/ipv4/ip_forward": "1",
        ...(withIPv6 ? { "net/ipv6/conf/all/forwarding": "1" } : {}),
      };
      await node.sysctl(forwarding);
      // A router without a route answers "unreachable"; a host that does not forward would stay silent.
      await outside.sysctl(forwarding);
      return new Lab({ node, outside, hasIPv6: withIPv6 });
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
    return await wirePod(this.node, { name, ipv4, ipv6, gateway: GATEWAY });
  }

  /** Ends everything in the lab and waits for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.node[Symbol.asyncDispose]();
  }
}

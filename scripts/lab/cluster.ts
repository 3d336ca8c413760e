/**
 * Two nodes with pods on one network, and a machine beyond them, in namespaces of their own.
 *
 *     pod 10.244.1.x --- node-a (192.168.77.2, 192.168.78.2) --\
 *                                                               switch --- outside (192.168.77.1)
 *     pod 10.244.2.x --- node-b (192.168.77.3, 192.168.78.3) --/
 *
 * Pods are wired as `pod.ts` says. Nodes route to each other's pods and nobody masquerades: what a server sees as its
 * client's address is what a proxy made of it. Each node has a second address, on its loopback interface, that everybody can
 * reach. Addresses of Services that lead from outside into the cluster are routed to node-a; the nodes' own default route
 * leads to `outside`.
 *
 * Invariant: traffic stays inside; `outside` has no way on, and says so at once, also of addresses of Services that nobody
 * took on the way. (It does not tell itself: what comes back to it with its own address as the source is dropped.)
 * @module
 */
import {
  type DualStack,
  NODE_ADDRESSES,
  type NodeAddressPlan,
  type NodeName,
  OUTSIDE_ADDRESSES,
  podAddresses,
} from "./cluster_addresses.ts";
import { connect } from "./links.ts";
import { Namespace } from "./namespace.ts";
import { type Pod, wirePod } from "./pod.ts";

/** What a cluster is built with. */
export interface ClusterOptions {
  /** What `outside` sends to node-a, as a router would that a load balancer has told so: `10.96.0.0/16`, `fd00:96::/108`. */
  readonly prefixes: readonly string[];
  /** The nft program. */
  readonly nft: string;
}

/** A node of the cluster. */
export interface ClusterNode {
  readonly name: NodeName;
  readonly namespace: Namespace;
  readonly addresses: NodeAddressPlan;
}

/** Two nodes and the machine beyond; disposing it ends everything. */
export class Cluster implements AsyncDisposable {
  readonly nodes: readonly [ClusterNode, ClusterNode];
  readonly outside: Namespace;

  private constructor(outside: Namespace, nodes: readonly [ClusterNode, ClusterNode]) {
    this.outside = outside;
    this.nodes = nodes;
  }

  /**
   * Two nodes without pods.
   * @throws {Error} When the machine allows no namespaces; see `namespacesUnavailable`.
   */
  static async create({ prefixes, nft }: ClusterOptions): Promise<Cluster> {
    const outside = await Namespace.create({ name: "outside" });
    try {
      await outside.ip([
        "link add switch type bridge",
        "link set switch up",
        ...onNetwork(OUTSIDE_ADDRESSES).map((address) => `addr add ${address} dev switch`),
      ]);
      const nodes = [await joinNode(outside, "node-a"), await joinNode(outside, "node-b")] as const;
      const [a, b] = nodes;
      await a.namespace.ip([...routesTo(b), ...routes(["0.0.0.0/0", "::/0"], OUTSIDE_ADDRESSES)]);
      await b.namespace.ip([...routesTo(a), ...routes(["0.0.0.0/0", "::/0"], OUTSIDE_ADDRESSES)]);
      await outside.ip([...routesTo(a), ...routesTo(b), ...routes(prefixes, a.addresses.primary)]);
      await outside.run([nft, "-f", "-"], { stdin: nowhere(prefixes) });
      for (const { namespace } of [...nodes, { namespace: outside }]) await namespace.sysctl(ROUTER);
      return new Cluster(outside, nodes);
    } catch (error) {
      await outside[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Adds a pod. @param host The last part of its addresses, 2 to 254, not yet in use on that node. */
  async addPod(node: ClusterNode, options: { readonly name: string; readonly host: number }): Promise<Pod> {
    const { name, host } = options;
    const { gateway } = node.addresses;
    return await wirePod(node.namespace, { name, ...podAddresses(node.name, host), gateway });
  }

  /** Ends everything and waits for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.outside[Symbol.asyncDispose]();
  }
}

/** Forwarding; and ICMP errors each time, not only the first few times. */
const ROUTER = {
  "net/ipv4/ip_forward": "1",
  "net/ipv6/conf/all/forwarding": "1",
  // Which messages are limited: none of IPv4, of IPv6 the answers to pings (none cannot be said).
  "net/ipv4/icmp_ratemask": "0",
  "net/ipv6/icmp/ratemask": "129",
};

async function joinNode(outside: Namespace, name: NodeName): Promise<ClusterNode> {
  const namespace = await outside.child({ name });
  const addresses = NODE_ADDRESSES[name];
  await connect(outside, namespace, {
    a: [],
    b: onNetwork(addresses.primary),
    interfaceA: name,
    interfaceB: "eth0",
  });
  await outside.ip([`link set ${name} master switch`]);
  await namespace.ip(alone(addresses.secondary).map((address) => `addr add ${address} dev lo`));
  return { name, namespace, addresses };
}

/** What belongs to a node. */
function routesTo({ addresses: { primary, secondary, podPrefix } }: ClusterNode): string[] {
  return routes([podPrefix.ipv4, podPrefix.ipv6, ...alone(secondary)], primary);
}

function routes(prefixes: readonly string[], { ipv4, ipv6 }: DualStack): string[] {
  return prefixes.map((prefix) => `route add ${prefix} via ${prefix.includes(":") ? ipv6 : ipv4}`);
}

/**
 * What node-a does not take must not go round in circles. (A route or rule that says so would do, but for such the kernel
 * limits the rate of ICMP errors, and only the machine can change that.)
 */
function nowhere(prefixes: readonly string[]): string {
  const rules = prefixes.map((prefix) =>
    `${prefix.includes(":") ? "ip6" : "ip"} daddr ${prefix} reject with icmpx no-route`
  );
  const chain = ["type filter hook forward priority 0", ...rules].join("\n");
  return `table inet nowhere {\nchain forward {\n${chain}\n}\n}\n`;
}

function onNetwork({ ipv4, ipv6 }: DualStack): string[] {
  return [`${ipv4}/24`, `${ipv6}/64`];
}

function alone({ ipv4, ipv6 }: DualStack): string[] {
  return [`${ipv4}/32`, `${ipv6}/128`];
}

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
 * Invariant: traffic stays inside; `outside` has no way on, and says so at once.
 * @module
 */
import { connect } from "./links.ts";
import { Namespace } from "./namespace.ts";
import { type Addresses, type Pod, wirePod } from "./pod.ts";

/** What `outside` sends to node-a, as a router would that the load balancer has told so. */
export interface ServiceRanges {
  /** Prefixes of both families, e.g. `10.96.0.0/16`. */
  readonly prefixes: readonly string[];
}

/** A machine's addresses; this lab needs a kernel with IPv6. */
export interface DualStack extends Addresses {
  readonly ipv6: string;
}

/** A node of the cluster. */
export interface ClusterNode {
  readonly name: "node-a" | "node-b";
  readonly namespace: Namespace;
  /** Its InternalIPs. */
  readonly addresses: DualStack;
  /** Its further addresses. */
  readonly secondary: DualStack;
  /** Its address towards its pods. */
  readonly gateway: DualStack;
  /** All addresses of its pods are in these. */
  readonly podPrefixes: DualStack;
}

/** Two nodes and the machine beyond; disposing it ends everything. */
export class Cluster implements AsyncDisposable {
  readonly nodes: readonly [ClusterNode, ClusterNode];
  readonly outside: Namespace;
  readonly outsideAddresses: DualStack = OUTSIDE;

  private constructor(outside: Namespace, nodes: readonly [ClusterNode, ClusterNode]) {
    this.outside = outside;
    this.nodes = nodes;
  }

  /**
   * Two nodes without pods.
   * @throws {Error} When the machine allows no namespaces; see `namespacesUnavailable`.
   */
  static async create(ranges: ServiceRanges): Promise<Cluster> {
    const outside = await Namespace.create({ name: "outside" });
    try {
      await outside.ip([
        "link add switch type bridge",
        "link set switch up",
        ...addressLines("switch", OUTSIDE),
      ]);
      const nodes = [await joinNode(outside, 1), await joinNode(outside, 2)] as const;
      const [a, b] = nodes;
      for (const [node, other] of [[a, b], [b, a]] as const) {
        await node.namespace.ip([
          ...routes([other.podPrefixes.ipv4, `${other.secondary.ipv4}/32`], other.addresses.ipv4),
          ...routes([other.podPrefixes.ipv6, `${other.secondary.ipv6}/128`], other.addresses.ipv6),
          ...routes(["0.0.0.0/0"], OUTSIDE.ipv4),
          ...routes(["::/0"], OUTSIDE.ipv6),
        ]);
        await outside.ip([
          ...routes([node.podPrefixes.ipv4, `${node.secondary.ipv4}/32`], node.addresses.ipv4),
          ...routes([node.podPrefixes.ipv6, `${node.secondary.ipv6}/128`], node.addresses.ipv6),
        ]);
      }
      await outside.ip(
        ranges.prefixes.flatMap((prefix) =>
          routes([prefix], prefix.includes(":") ? a.addresses.ipv6 : a.addresses.ipv4)
        ),
      );
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
    return await wirePod(node.namespace, {
      name,
      ipv4: node.podPrefixes.ipv4.replace(/0\/24$/, String(host)),
      ipv6: node.podPrefixes.ipv6.replace(/\/64$/, host.toString(16)),
      gateway: node.gateway,
    });
  }

  /** Ends everything and waits for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.outside[Symbol.asyncDispose]();
  }
}

const OUTSIDE: DualStack = { ipv4: "192.168.77.1", ipv6: "fd00:192:168:77::1" };

/** Forwarding; and ICMP errors each time, not only the first few times. */
const ROUTER = {
  "net/ipv4/ip_forward": "1",
  "net/ipv6/conf/all/forwarding": "1",
  "net/ipv4/icmp_ratelimit": "0",
  "net/ipv6/icmp/ratelimit": "0",
};

async function joinNode(outside: Namespace, number: 1 | 2): Promise<ClusterNode> {
  const name = number === 1 ? "node-a" : "node-b";
  const namespace = await outside.child({ name });
  const at = (ipv4: string, ipv6: string, host: number): DualStack => ({
    ipv4: `${ipv4}${host}`,
    ipv6: `${ipv6}${host}`,
  });
  const addresses = at("192.168.77.", "fd00:192:168:77::", 1 + number);
  const secondary = at("192.168.78.", "fd00:192:168:78::", 1 + number);
  await connect(outside, namespace, {
    a: [],
    b: [`${addresses.ipv4}/24`, `${addresses.ipv6}/64`],
    interfaceA: name,
    interfaceB: "eth0",
  });
  await outside.ip([`link set ${name} master switch`]);
  await namespace.ip([
    `addr add ${secondary.ipv4}/32 dev lo`,
    `addr add ${secondary.ipv6}/128 dev lo`,
  ]);
  return {
    ...{ name, namespace, addresses, secondary },
    gateway: at(`10.244.${number}.`, `fd00:10:244:${number}::`, 1),
    podPrefixes: { ipv4: `10.244.${number}.0/24`, ipv6: `fd00:10:244:${number}::/64` },
  };
}

function addressLines(device: string, { ipv4, ipv6 }: DualStack): string[] {
  return [`addr add ${ipv4}/24 dev ${device}`, `addr add ${ipv6}/64 dev ${device}`];
}

function routes(prefixes: readonly string[], via: string): string[] {
  return prefixes.map((prefix) => `route add ${prefix} via ${via}`);
}

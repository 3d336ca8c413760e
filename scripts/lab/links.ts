/**
 * Virtual cables between network namespaces.
 *
 * In: two namespaces and the addresses at each end (`10.0.0.1/24`, `fd00::1/64`; none is fine).
 * Out: a veth pair, both ends up, addresses usable at once (namespaces have duplicate address detection off).
 * Source: veth(4), ip-link(8).
 * @module
 */

import type { Namespace } from "./namespace.ts";

/** What `connect` makes. */
export interface Link {
  /** Interface name in the first namespace. */
  readonly a: string;
  /** Interface name in the second. */
  readonly b: string;
}

/** Addresses and interface names of the two ends. */
export interface ConnectOptions {
  readonly a: readonly string[];
  readonly b: readonly string[];
  /** Default: the name of the other namespace. At most 15 characters (IFNAMSIZ). */
  readonly interfaceA?: string;
  readonly interfaceB?: string;
}

/**
 * Connects two namespaces of the same `Namespace.create`.
 * @throws {Error} With iproute2's message, e.g. when an interface of that name exists.
 */
export async function connect(a: Namespace, b: Namespace, options: ConnectOptions): Promise<Link> {
  const link: Link = {
    a: (options.interfaceA ?? b.name).slice(0, 15),
    b: (options.interfaceB ?? a.name).slice(0, 15),
  };
  await a.ip([
    `link add ${link.a} type veth peer name ${link.b} netns ${b.pid}`,
    ...addressLines(link.a, options.a),
  ]);
  await b.ip(addressLines(link.b, options.b));
  return link;
}

function addressLines(device: string, addresses: readonly string[]): string[] {
  return [
    `link set ${device} up`,
    ...addresses.map((address) => `addr add ${address} dev ${device}`),
  ];
}

/**
 * Writes ranges of addresses as the kernel keeps them.
 * @module
 */

import ipaddr from "ipaddr.js";

/**
 * Ranges of one family without those that lie within others, since the kernel takes no two that overlap; a single address without
 * its length, as nft prints it. In the order they come in.
 * @param cidrs Canonical text, e.g. `10.0.0.0/8`.
 */
export function kernelRanges(cidrs: readonly string[]): readonly string[] {
  const ranges = [...new Set(cidrs)].map((text) => ({ text, cidr: ipaddr.parseCIDR(text) }));
  const outermost = ranges.filter(({ cidr: [address, length] }) =>
    !ranges.some(({ cidr }) => cidr[1] < length && address.kind() === cidr[0].kind() && address.match(cidr))
  );
  return outermost.map(({ text }) => text.replace(text.includes(":") ? /\/128$/ : /\/32$/, ""));
}

/**
 * The one place where the text of an IP address, or of a range of them, is read.
 *
 * In: an address or range as a user or the API wrote it. Out: its canonical text and family; the canonical text is what Envoy
 * and the kernel print (dotted quad; RFC 5952 for IPv6), so it may be compared as text and built into names.
 * An IPv4-mapped IPv6 address is its IPv4 address, as in Go's `net.IP` and so in kube-proxy.
 * @module
 */
import ipaddr from "ipaddr.js";
import { IP_FAMILIES, type IPFamily } from "./types.ts";

/** An address with its text made canonical. */
export interface IPAddress {
  readonly address: string;
  readonly family: IPFamily;
}

/** Dotted quad of decimal numbers without leading zeros (the API refuses other forms since CVE-2021-29923). */
const DOTTED_QUAD = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** Neither 0.0.0.0/8 nor multicast, reserved or broadcast, which begin at 224. */
const UNICAST_IPV4 = /^(?:[1-9]\d?|1\d\d|2[01]\d|22[0-3])\./;

/** Reads an address; undefined when the text is none, or carries a zone (`fe80::1%eth0`). Cost: no more than the text. */
export function parseIPAddress(text: string): IPAddress | undefined {
  if (DOTTED_QUAD.test(text)) return { address: text, family: "IPv4" };
  if (!text.includes(":") || text.includes("%") || !ipaddr.IPv6.isValid(text)) return undefined;
  const parsed = ipaddr.IPv6.parse(text);
  if (parsed.isIPv4MappedAddress()) return { address: parsed.toIPv4Address().toString(), family: "IPv4" };
  return { address: parsed.toRFC5952String(), family: "IPv6" };
}

/** A range of addresses with its text made canonical: host bits cleared. */
export interface IPRange {
  readonly cidr: string;
  readonly family: IPFamily;
}

/** Reads a range; undefined when the text is none. Of an IPv6 range of IPv4-mapped addresses nobody can come; it is none. */
export function parseIPRange(text: string): IPRange | undefined {
  const [host = "", length = ""] = text.split("/");
  const family = parseIPAddress(host)?.family;
  if (family === undefined || (family === "IPv6") !== host.includes(":") || !/^\d{1,3}$/.test(length)) {
    return undefined;
  }
  if (!ipaddr.isValidCIDR(text)) return undefined;
  if (family === "IPv4") {
    return { family, cidr: `${ipaddr.IPv4.networkAddressFromCIDR(text)}/${Number(length)}` };
  }
  const network = ipaddr.IPv6.networkAddressFromCIDR(text).toRFC5952String();
  return { family, cidr: `${network}/${Number(length)}` };
}

/** Whether an address is in a range; never one of the other family. Both canonical. */
export function rangeContains(cidr: string, address: string): boolean {
  if (cidr.includes(":") !== address.includes(":")) return false;
  return ipaddr.parse(address).match(ipaddr.parseCIDR(cidr));
}

/** The ranges of each family, in their order, without duplicates; texts that are no ranges are left out. */
export function rangesByFamily(texts: Iterable<string>): Readonly<Record<IPFamily, readonly string[]>> {
  const ranges = [...texts].flatMap((text) => parseIPRange(text) ?? []);
  const [IPv4, IPv6] = IP_FAMILIES.map((family) => [
    ...new Set(ranges.filter((range) => range.family === family).map(({ cidr }) => cidr)),
  ]);
  return { IPv4: IPv4 ?? [], IPv6: IPv6 ?? [] };
}

/**
 * Says why an address can be neither a VIP nor an endpoint, or undefined when it can. Loopback passes: the API
 * refuses it, but a manifest on a laptop may well name it.
 */
export function unusableAddress({ address, family }: IPAddress): string | undefined {
  // Nearly all addresses there are, at a hundredth of the cost.
  if (family === "IPv4" && UNICAST_IPV4.test(address)) return undefined;
  const range = family === "IPv4" ? ipaddr.IPv4.parse(address).range() : ipaddr.IPv6.parse(address).range();
  switch (range) {
    case "unspecified":
      return "is the unspecified address";
    case "multicast":
    case "broadcast":
      return `is a ${range} address`;
    default:
      return undefined;
  }
}

/**
 * The one place where an IP address's text is read.
 *
 * In: an address as a user or the API wrote it. Out: its canonical text and family; the canonical text is what Envoy
 * and the kernel print (dotted quad; RFC 5952 for IPv6), so it may be compared as text and built into names.
 * An IPv4-mapped IPv6 address is its IPv4 address, as in Go's `net.IP` and so in kube-proxy.
 * @module
 */
import ipaddr from "ipaddr.js";
import type { IPFamily } from "./types.ts";

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

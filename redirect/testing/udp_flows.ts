/**
 * UDP flows for tests.
 * @module
 */

import type { Socket, UdpFlow } from "../udp_flow.ts";

function socket(text: string): Socket {
  const [address = "", port] = text.split(" ");
  return { address, port: Number(port) };
}

/** A flow to a destination, answered by a socket, each `ADDRESS PORT`. */
export function flowTo(destination: string, answeredBy: string, overrides: Partial<UdpFlow> = {}): UdpFlow {
  return {
    family: destination.includes(":") ? "IPv6" : "IPv4",
    destination: socket(destination),
    answeredBy: socket(answeredBy),
    isInZone: false,
    isReversed: false,
    ...overrides,
  };
}

/**
 * The one place where protocols and port numbers are read.
 * @module
 */
import type { Protocol } from "./types.ts";

/** The protocol of that name as the API spells it, or undefined. */
export function parseProtocol(text: string): Protocol | undefined {
  return text === "TCP" || text === "UDP" || text === "SCTP" ? text : undefined;
}

/** Whether a number can stand in a TCP, UDP or SCTP header as a port somebody listens on: an integer in 1 to 65535. */
export function isPortNumber(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65535;
}

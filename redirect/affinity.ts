/**
 * How the kernel remembers which endpoint a client was given: names for endpoints, and the times it is remembered for.
 *
 * In: an endpoint, a timeout. Out: nft text of the data type `classid`. Pure.
 *
 * What is remembered of an endpoint is a hash of its address and port. It says nothing by itself: where the endpoint is not one of
 * the destination's (any more), it is not found, and another one is drawn. So nothing has to be tidied up when an endpoint goes.
 * Two endpoints of one destination share a hash once in 50,000 destinations of 100 endpoints; then the clients of one of them
 * are given the other.
 * @module
 */

import { hashText } from "./hash.ts";

/**
 * The timeouts there are, in seconds. A rule can name constants only, so that others are rounded up to the next of these:
 * a client keeps its endpoint for at least as long as was asked for. 10,800 is Kubernetes' default, 86,400 its maximum.
 */
export const AFFINITY_TIMEOUTS: readonly number[] = [
  5,
  10,
  30,
  60,
  120,
  300,
  600,
  1_800,
  3_600,
  10_800,
  21_600,
  86_400,
];

/** A timeout as the value of an element: the first that is no shorter. */
export function timeoutValue(seconds: number): string {
  const index = AFFINITY_TIMEOUTS.findIndex((timeout) => timeout >= seconds);
  return `4c60:${((index < 0 ? AFFINITY_TIMEOUTS.length - 1 : index) + 1).toString(16)}`;
}

/** An endpoint's name, from its address and port as nft writes them. 28 bits, from 4d00:1 to 5cff:ffff. */
export function endpointId(socket: string): string {
  const hash = hashText(socket);
  return `${(0x4d00 + (hash >>> 20)).toString(16)}:${((hash & 0xffff) || 1).toString(16)}`;
}

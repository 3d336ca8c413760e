/**
 * Finds the endpoints that could serve a port, usable or not: those that a slice of its Service has for it.
 *
 * In: a wanted port, a family, the slices of its Service. Out: each endpoint at the port its slice resolved. An endpoint
 * that stands in two slices is there twice.
 * @module
 */
import type { WantedPort } from "./judge_service.ts";
import type { JudgedSlice } from "./judge_slice.ts";
import type { IPFamily } from "./types.ts";
import type { PortedEndpoint } from "./usable_endpoints.ts";

/** The candidates, in the order of the slices. */
export function candidatesOf(
  { name, protocol }: Pick<WantedPort, "name" | "protocol">,
  family: IPFamily,
  slices: readonly JudgedSlice[],
): readonly PortedEndpoint[] {
  const candidates: PortedEndpoint[] = [];
  for (const slice of slices) {
    if (slice.family !== family) continue;
    // A slice resolves a named targetPort for its own pods, so each slice may have another number for the same name.
    const slicePort = slice.ports.find((port) => port.name === name && port.protocol === protocol);
    if (slicePort === undefined) continue;
    for (const endpoint of slice.endpoints) candidates.push({ endpoint, port: slicePort.port });
  }
  return candidates;
}

/**
 * Counts ServicePorts and endpoints by the path their traffic takes, change by change.
 *
 * In: the changes of a ModelDelta. Out: by how much each count moves. Pure; cost is that of the change.
 * Invariant: the sums of all changes since the start equal a count over the whole model.
 * @module
 */

import { type IPFamily, type Path, pathOf, type ServicePort, type ServicePortChange } from "./model/mod.ts";

/** How far the counts of one path and family move. */
export interface PathCountChange {
  readonly path: Path;
  readonly family: IPFamily;
  readonly servicePorts: number;
  readonly endpoints: number;
}

/** What these changes do to the counts; at most one entry per path and family, those that do not move left out. */
export function countPathChanges(changes: Iterable<ServicePortChange>): PathCountChange[] {
  const sums = new Map<string, { path: Path; family: IPFamily; servicePorts: number; endpoints: number }>();
  function add(servicePort: ServicePort | undefined, sign: 1 | -1): void {
    for (const family of servicePort?.families ?? []) {
      if (servicePort === undefined) return;
      const path = pathOf(servicePort, family, "ClusterIP");
      const key = `${path} ${family}`;
      const sum = sums.get(key) ?? { path, family, servicePorts: 0, endpoints: 0 };
      sum.servicePorts += sign;
      sum.endpoints += sign * servicePort.endpoints[family].length;
      sums.set(key, sum);
    }
  }
  for (const { before, after } of changes) {
    add(before, -1);
    add(after, 1);
  }
  return [...sums.values()].filter((sum) => sum.servicePorts !== 0 || sum.endpoints !== 0);
}

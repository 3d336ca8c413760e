/**
 * Which changes `scale` makes, in which order. Pure.
 * @module
 */
import { usedServices, type WorldShape } from "./world.ts";
import type { Change } from "./world_host.ts";

/** Of changes at a steady rate, every so many concern a Service that is used. */
const USED_EVERY = 10;
/** Of those that do not, every so many change a port. */
const PORT_EVERY = 5;

/**
 * Changes of used Services for measuring one at a time: endpoints and port in turns. A port goes back with the next port
 * change, so after a multiple of four changes every Service is at its first port again.
 */
export function singleChanges(
  shape: WorldShape,
  count: number,
): (Change & { readonly kind: "endpoints" | "port" })[] {
  const used = usedServices(shape);
  return Array.from(
    { length: count },
    (_, number) =>
      number % 2 === 0
        ? { index: (number / 2) % used, kind: "endpoints" }
        : { index: Math.floor(number / 4) % used, kind: "port" },
  );
}

/** What a cluster changes at a steady rate: mostly endpoints, mostly of Services that this node does not use. */
export function steadyChanges(shape: WorldShape, count: number): Change[] {
  const used = usedServices(shape);
  const others = shape.services - used;
  return Array.from({ length: count }, (_, number): Change => {
    if (others === 0 || number % USED_EVERY === 0) return { index: number % used, kind: "endpoints" };
    // A stride without a common divisor spreads them over all.
    const index = used + (number * 7919) % others;
    return { index, kind: number % PORT_EVERY === 1 ? "port" : "endpoints" };
  });
}

/** Endpoint changes of as many Services as there are, the used ones among them. */
export function burstChanges(shape: WorldShape, count: number): Change[] {
  return Array.from(
    { length: count },
    (_, number) => ({ index: number % shape.services, kind: "endpoints" }),
  );
}

/**
 * Where a proxy is to do otherwise than the table says, for a reason, and what it does not do yet. Pure.
 *
 * In: a row, a proxy. Out: the departure, if any. docs/parity.md is written from this.
 * Invariant: a pending row that holds fails the run, so that this list is never longer than it has to be.
 * @module
 */
import type { Expectation, Row } from "./case.ts";
import type { ProxyName } from "./proxies.ts";

/** A departure from the table. */
export type Departure =
  /** It is meant to be so. */
  | { readonly kind: "different"; readonly expect: Expectation; readonly reason: string }
  /** It is not there yet. */
  | { readonly kind: "pending"; readonly reason: string };

/** A departure, and the rows it is about. */
export type DepartureRule = Departure & {
  readonly proxies: readonly ProxyName[];
  /** The scenarios whose rows these are. @default all */
  readonly scenarios?: readonly string[];
  /** Of those the rows for which this holds. @default all */
  readonly matches?: (row: Row) => boolean;
};

/** The first that matches holds. */
export const DEPARTURES: readonly DepartureRule[] = [];

/** What a proxy does otherwise in a row. */
export function departureOf(row: Row, proxy: ProxyName): Departure | undefined {
  return DEPARTURES.find(({ proxies, scenarios, matches }) =>
    proxies.includes(proxy) && (scenarios?.includes(row.scenario) ?? true) && (matches?.(row) ?? true)
  );
}

/**
 * Where a proxy is to do otherwise than the table says, for a reason, and what it does not do yet. Pure.
 *
 * In: a row, a proxy. Out: the departure, if any. docs/parity.md is written from this.
 * Invariant: a pending row that holds as the table says fails the run, so that this list is never longer than it has to be.
 * @module
 */
import type { Expectation, Row } from "./case.ts";
import type { ProxyName } from "./proxies.ts";

/** A departure from the table. */
export interface Departure {
  /** `different` is meant to be so; `pending` is not there yet. */
  readonly kind: "different" | "pending";
  /** What holds instead; of a pending row, undefined says that there is nothing to hold on to. */
  readonly expect: Expectation | undefined;
  readonly reason: string;
}

/** A departure, and the rows it is about. */
export interface DepartureRule {
  readonly kind: Departure["kind"];
  readonly proxies: readonly ProxyName[];
  /** The scenarios whose rows these are. @default all */
  readonly scenarios?: readonly string[];
  /** Of those the rows for which this holds. @default all */
  readonly matches?: (row: Row) => boolean;
  readonly expect?: (row: Row) => Expectation;
  readonly reason: string;
}

/** The first that matches holds. */
export const DEPARTURES: readonly DepartureRule[] = [];

/** What a proxy does otherwise in a row. */
export function departureOf(row: Row, proxy: ProxyName): Departure | undefined {
  const rule = DEPARTURES.find(({ proxies, scenarios, matches }) =>
    proxies.includes(proxy) && (scenarios?.includes(row.scenario) ?? true) && (matches?.(row) ?? true)
  );
  return rule && { kind: rule.kind, expect: rule.expect?.(row), reason: rule.reason };
}

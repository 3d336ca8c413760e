/**
 * Reads results of `scale`, `peers` and `scenarios` back, as far as charts show them. Pure.
 *
 * In: the JSON that was written. Out: values with their spread.
 * @module
 */
import type { PeerFigure } from "./peer_run.ts";
import type { PeerName } from "./peer_names.ts";
import type { Machine } from "./results.ts";
import type { ScaleFigure } from "./scale_figures.ts";
import type { ScenariosResult } from "./scenarios/result.ts";

/** A figure as it was written. */
export interface ChartValue {
  readonly value: number;
  readonly min: number;
  readonly max: number;
}

interface Result {
  readonly services: number;
  readonly repetitions: number;
  readonly machine: Machine;
}

/** A result of `scale`. */
export interface ScaleResult extends Result {
  readonly mode: string;
  readonly source: string;
  readonly figures: Readonly<Partial<Record<ScaleFigure, ChartValue>>>;
}

/** A result of `peers`. */
export interface PeersResult extends Result {
  readonly peers: Readonly<Partial<Record<PeerName, Readonly<Partial<Record<PeerFigure, ChartValue>>>>>>;
}

/** What a folder holds; of `scale` and `peers` by size. */
export interface ChartResults {
  readonly scale: readonly ScaleResult[];
  readonly peers: readonly PeersResult[];
  readonly scenarios: readonly ScenariosResult[];
}

type Json = Readonly<Record<string, unknown>>;

/** Sorts results by what they are; those of other benchmarks are passed over. @throws {TypeError} when one is none */
export function readResults(results: readonly unknown[]): ChartResults {
  const scale: ScaleResult[] = [];
  const peers: PeersResult[] = [];
  const scenarios: ScenariosResult[] = [];
  for (const result of results as readonly Json[]) {
    const { bench, services, repetitions, machine } = result ?? {};
    if (typeof bench !== "string") throw new TypeError("a result does not say of which benchmark it is");
    const common = {
      services: Number(services),
      repetitions: Number(repetitions),
      machine: machine as Machine,
    };
    if (bench === "scale") {
      const { mode, source } = result;
      scale.push({ ...common, mode: String(mode), source: String(source), figures: valuesOf(result) });
    } else if (bench === "peers") {
      const subjects = Object.entries(result["peers"] as Readonly<Record<string, Json>>);
      peers.push({
        ...common,
        peers: Object.fromEntries(subjects.map(([name, figures]) => [name, valuesOf(figures)])),
      });
    } else if (bench === "scenarios") {
      scenarios.push(result as unknown as ScenariosResult);
    }
  }
  const bySize = (a: Result, b: Result): number => a.services - b.services;
  return { scale: scale.sort(bySize), peers: peers.sort(bySize), scenarios };
}

function valuesOf(result: Json): Record<string, ChartValue> {
  const spread = (result["spread"] ?? {}) as Readonly<Record<string, Omit<ChartValue, "value">>>;
  return Object.fromEntries(
    Object.entries(spread).map(([name, range]) => [name, { ...range, value: Number(result[name]) }]),
  );
}

/** Where results came about, in a few words. */
export function describeCircumstances(
  { machine, repetitions }: Pick<Result, "machine" | "repetitions">,
): string {
  const times = repetitions === 1 ? "one repetition" : `median of ${repetitions} repetitions`;
  return `${times}; ${machine.cpus} cores, ${machine.memoryGB} GB, Linux ${machine.kernel}`;
}

/**
 * Plays a scenario: both sides, in an order drawn anew for each repetition.
 *
 * In: a stage, how long. Out: of each repetition what came of each side's load, what the programs used, and what the machine did.
 *
 * Each turn starts proxies and replicas anew, loads for a moment that is not counted, and then measures: which connections happen to
 * meet at which replica is drawn anew in each, which is most of what differs between the turns of kube-proxy.
 * @module
 */
import { cpuSeconds, residentMB } from "../process_figures.ts";
import { type ScenarioName, SCENARIOS, type Side, SIDES } from "./catalog.ts";
import { type LoadOutcome, readOutcome } from "./load.ts";
import { type MachineLoad, machineLoad, readMachine } from "./machine_load.ts";
import { type Play, type PlayedLoad, scaledArgs, sideOf } from "./manifests.ts";
import type { ProgramName, RunningProxy } from "./proxies.ts";
import type { ScenarioStage } from "./stage.ts";

/** How much to measure. */
export interface ScenarioEffort {
  readonly repetitions: number;
  /** Of each load. */
  readonly durationMs: number;
  /** Of a load that is not counted, before. */
  readonly warmUpMs: number;
  /** Factor of the manifests' requests a second. */
  readonly qpsScale: number;
  /** By this the replicas are slower, and requests fewer on top of that. */
  readonly slowMotion: number;
}

/** What a program used during a load, both nodes together. */
export interface ProgramUse {
  /** Of one processor. */
  readonly cpuPct: number;
  readonly residentMB: number;
}

/** What came of one side in one repetition. */
export interface Turn {
  readonly side: Side;
  readonly load: LoadOutcome;
  readonly programs: Readonly<Partial<Record<ProgramName, ProgramUse>>>;
  readonly machine: MachineLoad;
}

/** Where the result of each load is kept as fortio wrote it. */
export type KeepRun = (name: string, result: string) => Promise<void>;

/** Runs all repetitions. @throws {Error} when something does not start, with its last words */
export async function runScenario(
  name: ScenarioName,
  { stage, play, effort, keep }: {
    readonly stage: ScenarioStage;
    readonly play: Play;
    readonly effort: ScenarioEffort;
    readonly keep: KeepRun;
  },
): Promise<Turn[][]> {
  const isParallel = SCENARIOS[name].isParallel === true;
  const repetitions: Turn[][] = [];
  for (let repetition = 1; repetition <= effort.repetitions; repetition++) {
    const turns: Turn[] = [];
    for (const sides of isParallel ? [SIDES] : shuffled(SIDES).map((side) => [side])) {
      const running = await stage.start(sides);
      try {
        const loads = play.loads.map((load) => ({
          load,
          side: isParallel ? sideOf(load, play.services) : sides[0]!,
        }));
        turns.push(
          ...await measure(stage, running.proxies, loads, {
            effort,
            keep: (side, result) => keep(`${name}-${repetition}-${side}`, result),
            labelOf: (side) => `${name} ${side} ${repetition}`,
          }),
        );
      } finally {
        await running.stop();
      }
    }
    repetitions.push(turns);
  }
  return repetitions;
}

async function measure(
  stage: ScenarioStage,
  proxies: readonly RunningProxy[],
  loads: readonly { readonly load: PlayedLoad; readonly side: Side }[],
  { effort: { durationMs, warmUpMs, qpsScale, slowMotion }, keep, labelOf }: {
    readonly effort: ScenarioEffort;
    readonly keep: (side: Side, result: string) => Promise<void>;
    readonly labelOf: (side: Side) => string;
  },
): Promise<Turn[]> {
  const run = async (side: Side, load: PlayedLoad, ms: number): Promise<string> => {
    const [command = "", ...args] = scaledArgs(load.args, {
      qpsScale: qpsScale / slowMotion,
      durationMs: ms,
    });
    return await stage.load(load, [command, "-labels", labelOf(side), ...args]);
  };
  await Promise.all(loads.map(({ side, load }) => run(side, load, warmUpMs)));
  const programs = proxies.flatMap(({ pids }) => Object.entries(pids) as [ProgramName, readonly number[]][]);
  const [before, usedBefore] = [readMachine(), await readUse(programs)];
  const disturbed = loads.some(({ load: { during } }) => during === "rolling-restart")
    // Over before the load is.
    ? stage.replicas.restart(0.8 * durationMs)
    : Promise.resolve();
  const [results] = await Promise.all([
    Promise.all(loads.map(async ({ side, load }) => ({ side, result: await run(side, load, durationMs) }))),
    disturbed,
  ]);
  const [after, usedAfter] = [readMachine(), await readUse(programs)];
  const seconds = (after.atMs - before.atMs) / 1_000;
  const uses = Object.fromEntries(programs.map(([name]) => {
    const cpuPct = 100 * (usedAfter[name]!.cpuSeconds - usedBefore[name]!.cpuSeconds) / seconds;
    return [name, { cpuPct, residentMB: usedAfter[name]!.residentMB }];
  }));
  const machine = machineLoad(before, after, { ours: Deno.pid, cpus: navigator.hardwareConcurrency });
  for (const { side, result } of results) await keep(side, result);
  return results.map(({ side, result }) => ({
    side,
    load: readOutcome(result),
    programs: Object.fromEntries(
      Object.entries(uses).filter(([name]) => (name === "kube-proxy") === (side === "kube-proxy")),
    ),
    machine,
  }));
}

type Use = { readonly cpuSeconds: number; readonly residentMB: number };

async function readUse(
  programs: readonly (readonly [ProgramName, readonly number[]])[],
): Promise<Partial<Record<ProgramName, Use>>> {
  const found: Partial<Record<ProgramName, Use>> = {};
  for (const [name, pids] of programs) {
    const cpu = await Promise.all(pids.map(cpuSeconds));
    const resident = await Promise.all(pids.map(residentMB));
    found[name] = { cpuSeconds: sum(cpu), residentMB: sum(resident) };
  }
  // An agent's figures hold those of what it started, its Envoy's among them.
  if (found.agent !== undefined && found.envoy !== undefined) {
    found.agent = { ...found.agent, cpuSeconds: found.agent.cpuSeconds - found.envoy.cpuSeconds };
  }
  return found;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function shuffled<T>(values: readonly T[]): T[] {
  return values.map((value) => ({ value, order: Math.random() })).toSorted((a, b) => a.order - b.order)
    .map(({ value }) => value);
}

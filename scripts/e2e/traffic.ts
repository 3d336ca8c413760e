/**
 * Traffic that goes on while a scenario does something: several kinds of clients, each request counted.
 *
 * In: the stage. Out: how many requests there were and which failed. Nothing is tried again by the clients.
 * @module
 */
import { loadFlags, type LoadReport, LoadRun } from "../lab/mod.ts";
import type { LoadOptions } from "../lab/load_client.ts";
import type { Place } from "./cluster.ts";
import { NODE_PORTS, type Stage } from "./stage.ts";

/** Between the requests of a client, so that the machine has time for what happens. */
const PAUSE_MS = 15;

const CLIENT = ["deno", "run", "--allow-all", "--no-config", "/lab/load_client.ts"];

/** A kind of client. */
export interface TrafficKind extends Pick<LoadOptions, "url" | "newConnections"> {
  readonly from: Place;
}

/** All reports together. */
export interface TrafficReport extends Pick<LoadReport, "requests" | "failed" | "errors" | "byBackend"> {
  /** The longest of all answered requests. */
  readonly maxMs: number;
}

/** Running clients. */
export class Traffic implements AsyncDisposable {
  readonly #runs: readonly LoadRun[];
  #stopped: Promise<readonly LoadReport[]> | undefined;

  private constructor(runs: readonly LoadRun[]) {
    this.#runs = runs;
  }

  /** Starts them and waits until each was answered. */
  static async start({ cluster }: Stage, kinds: readonly TrafficKind[]): Promise<Traffic> {
    const runs = kinds.map(({ from, ...options }) =>
      new LoadRun(cluster.spawn(from, [...CLIENT, ...loadFlags({ pauseMs: PAUSE_MS, ...options })]))
    );
    const traffic = new Traffic(runs);
    try {
      await Promise.all(runs.map((run) => run.started()));
    } catch (error) {
      await traffic[Symbol.asyncDispose]();
      throw error;
    }
    return traffic;
  }

  /** Ends them after the requests under way. */
  async stop(): Promise<TrafficReport> {
    const reports = await this.#stop();
    return {
      requests: sum(reports.map(({ requests }) => requests)),
      failed: sum(reports.map(({ failed }) => failed)),
      errors: merged(reports.map(({ errors }) => errors)),
      byBackend: merged(reports.map(({ byBackend }) => byBackend)),
      maxMs: Math.max(...reports.map(({ latencyMs }) => latencyMs.max)),
    };
  }

  /** Ends them and expects that nothing failed. @returns that in words */
  async stopWithoutFailure(): Promise<string> {
    const { requests, failed, errors, maxMs } = await this.stop();
    if (failed > 0) throw new Error(`${failed} of ${requests} requests failed: ${JSON.stringify(errors)}`);
    return `0 of ${requests} requests failed, the longest took ${Math.round(maxMs)} ms`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop().catch(() => {});
  }

  #stop(): Promise<readonly LoadReport[]> {
    return this.#stopped ??= Promise.all(this.#runs.map((run) => run.stop()));
  }
}

/** Clients of the Service `echo`: HTTP on kept and on new connections, TCP, and by a NodePort from outside. */
export function echoTraffic({ vip, pods: [a, b], cluster: { nodes } }: Stage): TrafficKind[] {
  return [
    { from: a, url: `http://${vip}/` },
    { from: b, url: `http://${vip}/`, newConnections: true },
    { from: a, url: `tcp://${vip}:9000`, newConnections: true },
    { from: "outside", url: `http://${nodes[1].ipv4}:${NODE_PORTS.http}/`, newConnections: true },
  ];
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

function merged(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const all: Record<string, number> = {};
  for (const [key, count] of counts.flatMap((one) => Object.entries(one))) all[key] = (all[key] ?? 0) + count;
  return all;
}

/**
 * A container's life as its kubelet keeps it: started again when it ends, probed, ended with its grace.
 *
 * In: the container's spec, what starts its process, what makes a connection to it. Out: whether it runs, has started, is ready.
 * Invariants: one process at a time; a probe that cannot be made has failed.
 * What a real kubelet does otherwise: it waits for a probe's whole period before the first look too, and longer from restart to
 * restart.
 * Source: Kubernetes "Pod Lifecycle", "Configure Liveness, Readiness and Startup Probes".
 * @module
 */
import { delay } from "@std/async/delay";
import type { LabProcess } from "../../lab/mod.ts";
import type { ContainerSpec, Probe } from "./pod_spec.ts";

/** Between a container's end and its next start. */
const RESTART_PAUSE_MS = 500;

/** Between looks at what has not answered yet. */
const IMPATIENCE_MS = 200;

/** What a container is given. */
export interface LocalContainerOptions {
  readonly spec: ContainerSpec;
  start(): LabProcess;
  probe(probe: Probe): Promise<boolean>;
  /** What is written to its log beside its own words. */
  say(line: string): void;
}

/** See the module's comment. */
export class LocalContainer {
  readonly spec: ContainerSpec;
  readonly #options: LocalContainerOptions;
  readonly #stopping = new AbortController();
  readonly #lives: Promise<void>;
  #process: LabProcess | undefined;
  #started = false;
  #ready = false;
  #restarts = 0;

  constructor(options: LocalContainerOptions) {
    this.spec = options.spec;
    this.#options = options;
    this.#lives = this.#run();
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  /** Whether its startup probe, if it has one, has succeeded in this life. */
  get hasStarted(): boolean {
    return this.#started;
  }

  get isReady(): boolean {
    return this.#ready && this.#process !== undefined;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** Kills the process; another one is started. */
  async kill(): Promise<void> {
    await this.#process?.kill("SIGKILL");
  }

  /** SIGTERM, SIGKILL after `graceMs`, and nothing after that. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    await this.#process?.stop({ graceMs });
    await this.#lives;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const process = this.#options.start();
      this.#process = process;
      const life = new AbortController();
      const probing = this.#look(AbortSignal.any([life.signal, signal]));
      const { code, signal: killedBy } = await process.status;
      this.#process = undefined;
      this.#started = this.#ready = false;
      life.abort();
      await probing;
      if (signal.aborted) return;
      this.#options.say(
        `--- ended with code ${code}${killedBy === null ? "" : ` (${killedBy})`}, starting again`,
      );
      this.#restarts++;
      await pause(RESTART_PAUSE_MS, signal);
    }
  }

  /** Probes it for one life. */
  async #look(signal: AbortSignal): Promise<void> {
    const { startupProbe, readinessProbe, livenessProbe } = this.spec;
    while (startupProbe !== undefined && !signal.aborted && !await this.#ask(startupProbe)) {
      await pause(IMPATIENCE_MS, signal);
    }
    if (signal.aborted) return;
    this.#started = true;
    await Promise.all([this.#watchReadiness(readinessProbe, signal), this.#watchLife(livenessProbe, signal)]);
  }

  async #watchReadiness(probe: Probe | undefined, signal: AbortSignal): Promise<void> {
    if (probe === undefined) this.#ready = true;
    while (probe !== undefined && !signal.aborted) {
      const answer = await this.#ask(probe);
      if (!signal.aborted) this.#ready = answer;
      await pause(answer ? periodMs(probe) : IMPATIENCE_MS, signal);
    }
  }

  async #watchLife(probe: Probe | undefined, signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (probe !== undefined && !signal.aborted) {
      failures = await this.#ask(probe) ? 0 : failures + 1;
      if (failures >= (probe.failureThreshold ?? 3) && !signal.aborted) {
        this.#options.say("--- killed: its liveness probe fails");
        await this.kill();
        return;
      }
      await pause(periodMs(probe), signal);
    }
  }

  async #ask(probe: Probe): Promise<boolean> {
    return await this.#options.probe(probe).catch(() => false);
  }
}

function periodMs({ periodSeconds = 10 }: Probe): number {
  return periodSeconds * 1_000;
}

/** Ends early, and without a complaint, with the signal. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, { signal }).catch(() => {});
}

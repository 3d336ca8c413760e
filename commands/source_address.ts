/**
 * Decides whose address endpoints see where a connection goes through Envoy: the client's, or this node's.
 *
 * In: what is wanted (`--source-address`), what the kernel and Envoy can do. Out: a SourceAddress, when it changes.
 *
 * The decision is the agent's alone, and both who act upon it are told by it: Envoy by the listener filter that it takes over ADS
 * (xds/translate/source_filter.ts), which the bootstrap only names; so an Envoy that was started by somebody else, before
 * the agent or with another setting in mind, does what the agent decides, and an agent that is started again with another
 * setting changes it for new connections. The kernel's part (answer chains, policy routes) does nothing where Envoy marks no
 * packets; so it is made before the first, and stays for the last: until `lightpath cleanup`.
 *
 * The client's address takes policy routes and an Envoy that may use it. Where one lacks, it is the node's: connections that
 * work come first. That is said once for each reason.
 * @module
 */
import type { Logger } from "../agent/log.ts";
import { Pause, systemTimers, type Timers } from "../redirect/mod.ts";
import { ABSENT, type SourceAddress } from "../xds/mod.ts";

/** What a SourceAddressChoice needs. */
export interface SourceAddressOptions {
  /** `--source-address`, and SO_MARK of what Envoy sends in a client's name. */
  readonly wanted: SourceAddress;
  /** Why the kernel cannot bear connections in clients' names; undefined when it can. */
  readonly whyNotKernel: () => string | undefined;
  /** Makes the policy routes, or looks whether they are there. Rejects with the reason when they cannot be had. */
  readonly ensureRoutes: () => Promise<unknown>;
  /** Why Envoy may not use clients' addresses; undefined when it may, `ABSENT` when there is none yet. */
  readonly whyNotEnvoy: () => string | undefined | typeof ABSENT;
  /** Called when it changes. `because`: what lacks for what is wanted; undefined: nothing. */
  readonly onChange: (source: SourceAddress, because: string | undefined) => void;
  readonly logger: Logger;
  /** Between two looks that nobody asked for. */
  readonly intervalMs: number;
  /** @default the system's */
  readonly timers?: Timers;
}

/** See the module's comment. */
export class SourceAddressChoice {
  readonly #options: SourceAddressOptions;
  #source: SourceAddress = { kind: "node" };
  #lacking: string | undefined;
  #isKnown = false;
  /** Looks are made one after the other: the last one's outcome holds. */
  #looking: Promise<void> = Promise.resolve();

  constructor(options: SourceAddressOptions) {
    this.#options = options;
  }

  /** What lacks for what is wanted, as the end of a sentence; undefined: nothing. */
  get lacking(): string | undefined {
    return this.#lacking;
  }

  /** Finds out what is possible, and decides. Called before the first Envoy, for each that comes, and now and then. */
  look(): Promise<void> {
    return this.#looking = this.#looking.then(() => this.#look());
  }

  /** Looks again and again until the signal aborts: somebody else may have removed what was there. */
  async run(signal: AbortSignal): Promise<void> {
    const { wanted, intervalMs, timers = systemTimers } = this.#options;
    if (wanted.kind === "node") return;
    const pause = new Pause(timers);
    while (!signal.aborted) {
      await pause.sleep(intervalMs, signal);
      if (!signal.aborted) await this.look();
    }
  }

  async #look(): Promise<void> {
    const { wanted } = this.#options;
    if (wanted.kind === "node") return this.#decide(wanted, undefined);
    const lacking = await this.#whyNot();
    // The one that comes will be looked at.
    if (lacking === ABSENT) return;
    this.#decide(lacking === undefined ? wanted : { kind: "node" }, lacking);
  }

  async #whyNot(): Promise<string | undefined | typeof ABSENT> {
    const { whyNotKernel, ensureRoutes, whyNotEnvoy } = this.#options;
    try {
      const kernel = whyNotKernel();
      if (kernel !== undefined) return kernel;
      await ensureRoutes();
      return whyNotEnvoy();
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  #decide(source: SourceAddress, lacking: string | undefined): void {
    if (this.#isKnown && source.kind === this.#source.kind && lacking === this.#lacking) return;
    const { logger, onChange } = this.#options;
    if (lacking !== undefined) {
      logger.warn(
        "endpoints see this node's address instead of their clients' where connections go through Envoy",
        { because: lacking, setting: "--source-address=preserve" },
      );
    } else if (this.#lacking !== undefined) {
      logger.info("endpoints see their clients' addresses now, also through Envoy");
    }
    this.#isKnown = true;
    this.#source = source;
    this.#lacking = lacking;
    onChange(source, lacking);
  }
}

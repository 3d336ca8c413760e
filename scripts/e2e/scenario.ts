/**
 * What a scenario of the suite is.
 *
 * In: a context, which it shares with the others: one cluster, in which only what it needs is changed, and put back.
 * Out: a few words of what was seen. It fails by throwing.
 * Invariant: a scenario knows the cluster by `E2eCluster` alone, and waits for conditions, never for the clock.
 * @module
 */
import type { E2eCluster } from "./cluster.ts";
import type { Installation } from "./installation.ts";
import type { Stage } from "./stage.ts";

/** What the command line says of how scenarios are run. */
export interface SuiteOptions {
  /** How long the API server stays away. */
  readonly apiDownMs: number;
}

/** See the module's comment. */
export interface ScenarioContext {
  readonly cluster: E2eCluster;
  readonly stage: Stage;
  readonly options: SuiteOptions;
  /** Makes another installation of the one that is there, and waits until it serves. */
  install(installation: Installation): Promise<void>;
}

/** One line of the suite. */
export interface Scenario {
  /** For `--only`. */
  readonly name: string;
  readonly title: string;
  /** What has to be installed when it begins. */
  readonly installation: Installation;
  run(context: ScenarioContext): Promise<string>;
}

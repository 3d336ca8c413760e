/**
 * Runs scenarios one after the other on one cluster, and says of each how it went.
 *
 * In: a cluster, scenarios. Out: what failed; a line for each while it goes on.
 * Invariants: a scenario ends within {@linkcode SCENARIO_TIMEOUT_MS}, beside the API server's absence; the next one is run all the same, unless it hangs, when
 * nobody knows any more what the cluster is like. After a failure the logs of everything are kept.
 * @module
 */
import { join } from "@std/path/join";
import type { E2eCluster } from "./cluster.ts";
import { install, type Installation } from "./installation.ts";
import type { Scenario, SuiteOptions } from "./scenario.ts";
import { Stage } from "./stage.ts";

/** The longest takes half a minute on two quiet cores. */
const SCENARIO_TIMEOUT_MS = 240_000;

/** Of the message of a failure. */
const MESSAGE_LINES = 12;

/** How a scenario failed. */
export interface Failure {
  readonly scenario: string;
  readonly message: string;
}

/** What the suite is run with. */
export interface SuiteRunOptions extends SuiteOptions {
  /** Logs go to folders in it, which is made when there is something. */
  readonly logs: string;
  /** Of each scenario. @default {@linkcode SCENARIO_TIMEOUT_MS} and the API server's absence */
  readonly timeoutMs?: number;
  say(line: string): void;
}

/** How a cluster is made ready for scenarios. */
export interface Preparation {
  install(cluster: E2eCluster, installation: Installation): Promise<void>;
  createStage(cluster: E2eCluster): Promise<Stage>;
}

const PREPARATION: Preparation = { install, createStage: (cluster) => Stage.create(cluster) };

/** @returns what failed */
export async function runSuite(
  cluster: E2eCluster,
  scenarios: readonly Scenario[],
  options: SuiteRunOptions,
  preparation: Preparation = PREPARATION,
): Promise<readonly Failure[]> {
  const failures: Failure[] = [];
  let stage: Stage | undefined;
  let installed: Installation | undefined;
  const make = async (wanted: Installation): Promise<void> => {
    if (installed?.mode === wanted.mode && installed.version === wanted.version) return;
    const startMs = performance.now();
    installed = undefined;
    await preparation.install(cluster, wanted);
    installed = wanted;
    options.say(`     ${seconds(startMs)}  installed: ${wanted.mode}, ${wanted.version} version`);
  };
  for (const { name, title, installation, run } of scenarios) {
    const startMs = performance.now();
    let seen: string;
    try {
      seen = await within(async () => {
        await make(installation);
        stage ??= await preparation.createStage(cluster);
        return await run({ cluster, stage, options, install: make });
      }, options.timeoutMs ?? SCENARIO_TIMEOUT_MS + options.apiDownMs);
      options.say(`ok   ${seconds(startMs)}  ${name}: ${title} (${seen})`);
    } catch (error) {
      const message = brief(error instanceof Error ? error.message : String(error));
      options.say(`FAIL ${seconds(startMs)}  ${name}: ${title}\n     ${message}`);
      failures.push({ scenario: name, message });
      const folder = join(options.logs, name);
      await cluster.keepLogs(folder);
      options.say(`     logs: ${folder}`);
      if (error instanceof HangError) break;
    }
  }
  return failures;
}

/** A message may hold all that a program has said; the logs have the rest. */
function brief(message: string): string {
  const lines = message.split("\n");
  return lines.length <= MESSAGE_LINES ? message : `${lines.slice(0, MESSAGE_LINES).join("\n")}\n…`;
}

/** A scenario that did not end. */
class HangError extends Error {
  override readonly name = "HangError";
}

async function within(work: () => Promise<string>, timeoutMs: number): Promise<string> {
  const { promise, reject } = Promise.withResolvers<never>();
  const message = `did not end within ${timeoutMs / 1_000} s; what comes after it is not run`;
  const timer = setTimeout(() => reject(new HangError(message)), timeoutMs);
  try {
    return await Promise.race([work(), promise]);
  } finally {
    clearTimeout(timer);
  }
}

function seconds(sinceMs: number): string {
  return `${((performance.now() - sinceMs) / 1_000).toFixed(1)} s`.padStart(7);
}

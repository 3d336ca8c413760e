/**
 * `deno task e2e`: the end-to-end suite, on a cluster of containers (kind) or on a control plane of this machine's own.
 *
 * Out: a line for each scenario, a summary. Exit codes: 0 all passed, 1 something failed or there was no cluster, 2 asked for
 * wrongly.
 * @module
 */
import { join } from "@std/path/join";
import { dryRun, kindUnavailable, startKindCluster } from "./kind/kind_cluster.ts";
import { startLocalCluster } from "./local/local_cluster.ts";
import { parseOptions, type RunOptions, USAGE } from "./options.ts";
import { runSuite } from "./run_suite.ts";
import { SCENARIOS } from "./scenarios/mod.ts";

async function main(args: readonly string[]): Promise<number> {
  const names = SCENARIOS.map(({ name }) => name);
  const options = parseOptions(args, names, Deno.env.get("CI") === "true");
  switch (options.kind) {
    case "help":
      say(options.text);
      return 0;
    case "error":
      say(`${options.message}\n\n${USAGE}`);
      return 2;
    case "run":
      return await run(options);
    default:
      return options satisfies never;
  }
}

async function run({ backend, only, previous, apiDownMs, dryRun: isDry }: RunOptions): Promise<number> {
  if (isDry) {
    for (const line of dryRun()) say(line);
    return 0;
  }
  const startMs = performance.now();
  const scenarios = SCENARIOS.filter(({ name }) => only.length === 0 || only.includes(name));
  const noKind = await kindUnavailable();
  const onKind = backend === "kind" || (backend === "auto" && noKind === undefined);
  if (!onKind) say(`skipped: the suite on kind: ${noKind ?? "another backend was asked for"}`);
  if (onKind && noKind !== undefined) {
    say(`no cluster: ${noKind}`);
    return 1;
  }
  await using cluster = await (onKind ? startKindCluster : startLocalCluster)({ previous, say });
  say(`${elapsed(startMs)}  the cluster is there (${onKind ? "kind" : "local"})`);
  if (cluster.note !== undefined) say(`note: ${cluster.note}`);
  for (const what of cluster.skipped) say(`skipped: ${what}`);
  const logs = join(Deno.env.get("TMPDIR") ?? "/tmp", `lightpath-e2e-logs-${Deno.pid}`);
  const failures = await runSuite(cluster, scenarios, { apiDownMs, logs, say });
  say(`${scenarios.length - failures.length} of ${scenarios.length} scenarios passed in ${elapsed(startMs)}`);
  for (const { scenario, message } of failures) say(`failed: ${scenario}: ${message.split("\n")[0]}`);
  return failures.length > 0 ? 1 : 0;
}

function elapsed(sinceMs: number): string {
  return `${((performance.now() - sinceMs) / 1_000).toFixed(1)} s`;
}

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

if (import.meta.main) {
  // What was started ends with this process; temporary folders are removed on its way out.
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => Deno.exit(130));
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    Deno.exit(1);
  }
}

import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import type { E2eCluster } from "./cluster.ts";
import type { Installation } from "./installation.ts";
import { runSuite } from "./run_suite.ts";
import type { Scenario } from "./scenario.ts";
import type { Stage } from "./stage.ts";

const OLD: Installation = { mode: "instead of kube-proxy", version: "previous" };
const NEW: Installation = { mode: "instead of kube-proxy", version: "current" };

/** Runs scenarios on a cluster that only writes down what it is asked for. */
async function run(
  scenarios: readonly (Pick<Scenario, "name" | "run"> & Partial<Scenario>)[],
  timeoutMs = 10_000,
): Promise<
  { readonly failed: readonly string[]; readonly lines: readonly string[]; readonly done: readonly string[] }
> {
  const lines: string[] = [];
  const done: string[] = [];
  const cluster = {
    keepLogs: (folder: string) => Promise.resolve(void done.push(`logs ${folder}`)),
  } as Partial<E2eCluster> as E2eCluster;
  const failures = await runSuite(
    cluster,
    scenarios.map((one) => ({ title: "title", installation: NEW, ...one })),
    { apiDownMs: 1, logs: "/logs", timeoutMs, say: (line) => lines.push(line) },
    {
      install: (_cluster, { version }) => Promise.resolve(void done.push(`install ${version}`)),
      createStage: () => {
        done.push("stage");
        return Promise.resolve({} as Stage);
      },
    },
  );
  return { failed: failures.map(({ scenario, message }) => `${scenario}: ${message}`), lines, done };
}

Deno.test("runSuite() installs what a scenario needs where it is not there yet, and makes one stage", async () => {
  const { failed, done, lines } = await run([
    { name: "a", run: () => Promise.resolve("seen") },
    { name: "b", installation: OLD, run: async ({ install }) => (await install(NEW), "seen") },
    { name: "c", run: () => Promise.resolve("seen") },
  ]);
  assertEquals(failed, []);
  assertEquals(done, ["install current", "stage", "install previous", "install current"]);
  assertEquals(lines.filter((line) => line.startsWith("ok")).length, 3);
});

Deno.test("runSuite() goes on after a failure, says how it was and keeps the logs", async () => {
  const { failed, done, lines } = await run([
    { name: "a", run: () => Promise.reject(new Error("1 of 9 requests failed")) },
    { name: "b", run: () => Promise.resolve("seen") },
  ]);
  assertEquals(failed, ["a: 1 of 9 requests failed"]);
  assertEquals(done, ["install current", "stage", "logs /logs/a"]);
  assertMatch(
    lines.join("\n"),
    /FAIL .* a: title\n {5}1 of 9 requests failed\n {5}logs: \/logs\/a\nok .* b: title/,
  );
});

Deno.test("runSuite() ends with a scenario that does not", async () => {
  const hanging = Promise.withResolvers<string>();
  const { failed, done } = await run([
    { name: "a", run: () => hanging.promise },
    { name: "b", run: () => Promise.resolve("seen") },
  ], 20);
  hanging.resolve("late");
  assertEquals(failed, ["a: did not end within 0.02 s; what comes after it is not run"]);
  assertEquals(done.at(-1), "logs /logs/a");
});

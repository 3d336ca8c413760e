/**
 * `deno task test`: all tests, with everything they need.
 *
 * In: what `deno test` takes (files, folders, `--filter`); nothing means the whole tree.
 * Out: the tests' own output, then the skipped ones with their reasons, and at the very end one line alone:
 * `12 passed, 0 failed, 1 skipped`. The exit code is that of the tests; with CI=true a skipped test counts as a
 * failure too, because there everything has to be there.
 * Fetches once into the user's cache what the machine lacks (nft, Envoy, etcd, kube-apiserver …), and says so.
 * @module
 */

import { fromFileUrl } from "@std/path/from-file-url";
import { parseJunit, renderSummary } from "./junit_summary.ts";
import { progress, withTools } from "./tool_path.ts";
import type { ToolName } from "./tools/mod.ts";

/** All that tests ask for. */
const TOOLS: readonly ToolName[] = [
  "ip",
  "unshare",
  "nsenter",
  "nft",
  "nft-trixie",
  "envoy",
  "etcd",
  "kube-apiserver",
  "kustomize",
  "redis-server",
  "redis-cli",
  "fortio",
];

const ROOT = fromFileUrl(new URL("..", import.meta.url));

async function main(args: readonly string[]): Promise<number> {
  const tools = await withTools(TOOLS);
  for (const reason of tools.unavailable) {
    progress(`not available, tests that need it are skipped: ${reason}`);
  }
  // Tests start the agent in namespaces, where nothing can be fetched any more.
  if (!(await deno(["cache", "--quiet", "mod.ts"], tools.env))) return 1;

  const report = await Deno.makeTempFile({ prefix: "lightpath-test-", suffix: ".xml" });
  try {
    const ok = await deno(["test", "--allow-all", `--junit-path=${report}`, ...args], tools.env);
    return conclude(await Deno.readTextFile(report), ok);
  } finally {
    await Deno.remove(report);
  }
}

function conclude(report: string, ok: boolean): number {
  const parsed = parseJunit(report);
  // A file that does not compile, or fails outside of a test, has no test case of its own.
  const summary = ok || parsed.failed.length > 0 ? parsed : { ...parsed, failed: ["outside of a test"] };
  for (const name of summary.skipped) print(`skipped: ${name}`);
  const strict = Deno.env.get("CI") === "true";
  if (strict && summary.skipped.length > 0) print("CI=true: skipped tests fail the run");
  print(renderSummary(summary));
  return summary.failed.length > 0 || (strict && summary.skipped.length > 0) ? 1 : 0;
}

async function deno(args: readonly string[], env: Readonly<Record<string, string>>): Promise<boolean> {
  const command = new Deno.Command(Deno.execPath(), { args: [...args], env: { ...env }, cwd: ROOT });
  return (await command.spawn().status).success;
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

if (import.meta.main) Deno.exit(await main(Deno.args));

/**
 * `deno task bundle`: makes the program one file of JavaScript, and beside it a script that runs it with Deno, with exactly the
 * permissions and settings of the compiled one.
 *
 * Exit codes: 0 done, 1 it could not be made, 2 asked for wrongly.
 * @module
 */
import { basename } from "@std/path/basename";
import { dirname } from "@std/path/dirname";
import { resolve } from "node:path";
import { BUNDLED_ENVIRONMENT, bundledFlags, bundleIntoFile } from "../lightpath_command.ts";
import { measureProgram, renderMeasured } from "./measure.ts";
import { type BuildOptions, runBuild } from "./options.ts";
import { permissionFlags } from "./permissions.ts";

const USAGE = `deno task bundle [--output PATH] [--folder PATH] [--program NAME]

  --output PATH   the script that runs the program, with the program beside it as PATH.js (default dist/lightpath)
  --folder PATH   a folder that it may read and write, besides those it uses in a pod; may be repeated
  --program NAME  a program that it may run, besides those by which it programs the kernel; may be repeated
`;

/** Makes both files. */
export async function makeBundle({ output, ...more }: Omit<BuildOptions, "target">): Promise<void> {
  await Deno.mkdir(dirname(resolve(output)), { recursive: true });
  await bundleIntoFile(`${output}.js`);
  const script = renderRunner(`${basename(output)}.js`, permissionFlags(more));
  await Deno.writeTextFile(output, script);
  await Deno.chmod(output, 0o755);
}

/** A script that runs the program beside it. `DENO` may name a Deno that is not on the PATH. */
export function renderRunner(program: string, permissions: readonly string[]): string {
  const settings = Object.entries(BUNDLED_ENVIRONMENT).map(([name, value]) =>
    `export ${name}="\${${name}-${value}}"\n`
  );
  const flags = bundledFlags(permissions).map((flag) => `  '${flag.replaceAll("'", `'\\''`)}' \\\n`);
  return `#!/bin/sh
# Lightpath, with the permissions that it needs.
${settings.join("")}exec "\${DENO:-deno}" run \\
${flags.join("")}  "$(dirname "$0")/${program}" "$@"
`;
}

async function main({ output, target: _, ...more }: BuildOptions): Promise<void> {
  await makeBundle({ output, ...more });
  const measured = await measureProgram([resolve(output)], { env: { DENO: Deno.execPath() } });
  const { size } = await Deno.stat(`${output}.js`);
  renderMeasured(`${output}.js`, size, measured);
}

if (import.meta.main) Deno.exit(await runBuild(USAGE, { hasTarget: false }, main));

/**
 * `deno task compile`: makes the program one executable, with exactly the permissions and settings that it needs.
 *
 * In: a target. Out: the executable; its size, and how long it takes to start where it is one for this machine.
 * What is compiled is the bundle: of modules that are only read as source the agent would keep 12 MB.
 *
 * An executable begins with denort, Deno's run time without its tools. Deno fetches it from dl.deno.land, unless DENORT_BIN names one (or it
 * was fetched before). Deno takes whatever file that is: a `deno` in its place gives an executable that is just Deno. So what was made is
 * asked for its version, if this machine can run it.
 * Source: Deno 2.9, cli/standalone/binary.rs.
 * @module
 */
import { dirname } from "@std/path/dirname";
import { join } from "@std/path/join";
import { resolve } from "node:path";
import { VERSION } from "../../agent/version.ts";
import { bundleLightpath, NO_CODE_CACHE, V8_FLAGS } from "../lightpath_command.ts";
import { DENO_VERSION } from "../tools/versions.ts";
import { measureProgram, renderMeasured } from "./measure.ts";
import { BuildError, type BuildOptions, print, runBuild, TARGETS } from "./options.ts";
import { permissionFlags } from "./permissions.ts";

const USAGE = `deno task compile [--target TARGET] [--output PATH] [--folder PATH] [--program NAME]

  --target TARGET ${Object.values(TARGETS).join(" or ")} (default this machine's)
  --output PATH   (default dist/lightpath)
  --folder PATH   a folder that it may read and write, besides those it uses in a pod; may be repeated
  --program NAME  a program that it may run, besides those by which it programs the kernel; may be repeated

DENORT_BIN names the base of the executable, denort, where it cannot be fetched from dl.deno.land.
`;

/** @param output where to; Deno refuses a file that is there and that it did not compile. @throws {BuildError} */
async function compileInto(output: string, { target, ...more }: BuildOptions): Promise<void> {
  const base = Deno.env.get("DENORT_BIN");
  if (base !== undefined && !await isFile(base)) {
    throw new BuildError(`DENORT_BIN names ${base}, which is no file`);
  }
  const folder = await Deno.makeTempDir({ prefix: "lightpath-compile-" });
  try {
    const program = await bundleLightpath(join(folder, "bundle"), { minify: false });
    const flags = [V8_FLAGS, NO_CODE_CACHE, "--no-check", "--no-config", "--no-lock", "--cached-only"];
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["compile", "--quiet", ...flags, ...permissionFlags(more)],
        ...[`--target=${target}`, `--output=${output}`, program],
      ],
    }).output();
    if (!success) throw notCompiled(new TextDecoder().decode(stderr), target);
    await assertIsFor(target, output);
    if (isForHere(target)) await assertIsLightpath(output);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Makes it beside where it is to be, and puts it there once it is known to be right: what was there stays until then. */
async function compileLightpath(options: BuildOptions): Promise<void> {
  const output = resolve(options.output);
  await Deno.mkdir(dirname(output), { recursive: true });
  const folder = await Deno.makeTempDir({ dir: dirname(output), prefix: ".lightpath-" });
  try {
    const made = join(folder, "lightpath");
    await compileInto(made, options);
    await Deno.rename(made, output);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function isForHere(target: string): boolean {
  return target === TARGETS[Deno.build.arch];
}

/** Why Deno made none, by its own words, and the mend where it is known. */
export function notCompiled(words: string, target: string): BuildError {
  // deno-lint-ignore no-control-regex
  const plain = words.replaceAll(/\x1b\[[0-9;]*m/g, "").split("\n\nStack backtrace")[0]?.trim() ?? "";
  if (!plain.includes("dl.deno.land")) return new BuildError(`Deno could not compile it: ${plain}`);
  const reason = plain.split("\n").at(-1)?.replace(/^\s*\d+: /, "");
  const archive = `https://dl.deno.land/release/v${Deno.version.deno}/denort-${target}.zip`;
  return new BuildError(
    `The base of the executable cannot be fetched (${reason}). Fetch ${archive} where that is possible, unpack it, and name the ` +
      "file by DENORT_BIN; or run the program with Deno: deno task bundle",
  );
}

/** Whether the base was a denort. @throws {BuildError} */
async function assertIsLightpath(output: string): Promise<void> {
  const { stdout } = await new Deno.Command(output, { args: ["version"], stderr: "null" }).output();
  if (new TextDecoder().decode(stdout).startsWith(`lightpath ${VERSION}\n`)) return;
  throw new BuildError(
    `DENORT_BIN names ${
      Deno.env.get("DENORT_BIN")
    }, which is no denort ${DENO_VERSION}: what was made of it does not run Lightpath. ` +
      "(A deno is none: it does not look for a program in its own file.)",
  );
}

/** `e_machine` of elf(5). */
const MACHINES: Readonly<Record<string, number>> = {
  [TARGETS.x86_64]: 62,
  [TARGETS.aarch64]: 183,
};

/** Whether the base was one for the target. @throws {BuildError} */
async function assertIsFor(target: string, output: string): Promise<void> {
  using file = await Deno.open(output);
  const header = new Uint8Array(20);
  await file.read(header);
  if (new DataView(header.buffer).getUint16(18, true) === MACHINES[target]) return;
  throw new BuildError(`DENORT_BIN names ${Deno.env.get("DENORT_BIN")}, which is not for ${target}`);
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function main(options: BuildOptions): Promise<void> {
  await compileLightpath(options);
  const output = await Deno.realPath(options.output);
  const { size } = await Deno.stat(output);
  if (!isForHere(options.target)) {
    print(
      Deno.stdout,
      `${output}: ${(size / 1e6).toFixed(1)} MB, for ${options.target}; it cannot be run on this machine\n`,
    );
    return;
  }
  renderMeasured(output, size, await measureProgram([output]));
}

if (import.meta.main) Deno.exit(await runBuild(USAGE, { hasTarget: true }, main));

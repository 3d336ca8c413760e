/**
 * How the program is made and started: from a checkout by the demo and the tests, with the flags of the task `lightpath`; bundled by
 * the benchmarks and for `deno task bundle`; compiled for the image.
 * @module
 */
import { fromFileUrl } from "@std/path/from-file-url";
import { join } from "@std/path/join";

/**
 * Keeps V8's heap small. By default the young generation grows to 16 MB and more per half while the first lists are read,
 * and the old one to twice what lives in it, and both stay. At 10,000 Services 110 MB instead of 155, at 50,000 175 instead
 * of 245; it costs 0.2 s of CPU at the start, at 50,000 2.5 s.
 */
export const V8_FLAGS = "--v8-flags=--max-semi-space-size=2,--optimize-for-size";

/**
 * V8's code cache would be built by the first run, which then keeps 70 MB for as long as it runs, and would have to be on a disk that
 * outlives it to save the later ones 0.1 s: in a pod every start is a first one.
 */
export const NO_CODE_CACHE = "--no-code-cache";

/** Flags of the bundled program. */
const BUNDLED_FLAGS: readonly string[] = [
  // No words of Deno's own, e.g. which programs that are permitted are not there.
  "--quiet",
  V8_FLAGS,
  NO_CODE_CACHE,
  "--cached-only",
  "--no-check",
  "--no-config",
];

/**
 * The environment of the bundled program: how glibc's malloc gives memory back (mallopt(3)). Each read from a connection
 * gets a buffer of 64 KB, freed when V8 next collects. By default the size from which freed memory is given back grows with
 * what was freed, and each thread has an arena of its own: 20 MB at 10,000 Services, 150 MB at 50,000, needed while the
 * lists were read.
 */
export const BUNDLED_ENVIRONMENT: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: "1",
  MALLOC_TRIM_THRESHOLD_: "131072",
};

const CHECKOUT = fromFileUrl(new URL("..", import.meta.url));

/** The command line up to the command's name. Nothing is fetched: it must work in a namespace without network. */
export function lightpathCommand(...denoFlags: readonly string[]): string[] {
  const program = fromFileUrl(new URL("../mod.ts", import.meta.url));
  return [Deno.execPath(), "run", "--allow-all", V8_FLAGS, "--cached-only", ...denoFlags, program];
}

/**
 * Makes one program of it, with what is rarely needed (kubeconfigs, admission) in files of their own. Modules that are only read as source
 * cost memory too: the agent is 12 MB smaller without them.
 * @param folder An empty one.
 * @param options `checkout` is the folder of the sources, this one unless another version is wanted
 * @returns its path
 * @throws {Error} with Deno's words
 */
export async function bundleLightpath(
  folder: string,
  { minify, checkout = CHECKOUT }: { readonly minify: boolean; readonly checkout?: string },
): Promise<string> {
  await bundle(["--code-splitting", `--outdir=${folder}`, ...(minify ? ["--minify"] : [])], checkout);
  return join(folder, "mod.js");
}

/** The same as one file. @throws {Error} with Deno's words */
export async function bundleIntoFile(file: string): Promise<void> {
  await bundle([`--output=${file}`]);
}

async function bundle(flags: readonly string[], checkout: string = CHECKOUT): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform=deno", ...flags, join(checkout, "mod.ts")],
    // Which packages the names mean is said by the configuration that is found from here.
    cwd: checkout,
  }).output();
  if (!success) throw new Error(`Lightpath cannot be bundled: ${new TextDecoder().decode(stderr)}`);
}

/** The flags of `deno run` for a bundled program. */
export function bundledFlags(permissions: readonly string[]): string[] {
  return [...BUNDLED_FLAGS, ...permissions];
}

/** The command line of a bundled program that may do everything, up to the command's name. */
export function bundledCommand(program: string, denoFlags: readonly string[] = []): string[] {
  return [Deno.execPath(), "run", ...bundledFlags(["--allow-all"]), ...denoFlags, program];
}

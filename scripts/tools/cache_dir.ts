/**
 * Where fetched and built programs are kept between runs.
 * Source: XDG Base Directory Specification.
 * @module
 */

import { join } from "@std/path/join";

/**
 * The cache directory of Lightpath's scripts. Not created.
 * @throws {Error} when neither XDG_CACHE_HOME nor HOME is set
 */
export function cacheDir(environment: ReadonlyMap<string, string> = currentEnvironment()): string {
  // The specification wants relative paths ignored.
  const xdg = environment.get("XDG_CACHE_HOME");
  if (xdg?.startsWith("/")) return join(xdg, "lightpath");
  const home = environment.get("HOME");
  if (!home) throw new Error("no place for the cache: set XDG_CACHE_HOME or HOME");
  return join(home, ".cache", "lightpath");
}

function currentEnvironment(): ReadonlyMap<string, string> {
  return new Map(Object.entries(Deno.env.toObject()));
}

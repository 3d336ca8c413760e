/**
 * Finds programs that are on the machine.
 * @module
 */

import { join } from "@std/path/join";

/** Where root's programs are: not in the PATH of ordinary users on Debian. */
const SYSTEM_DIRECTORIES: readonly string[] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/**
 * The path of the first executable of this name in PATH, then in the directories of system programs.
 * @param searchPath as in the environment variable PATH
 */
export async function findProgram(
  name: string,
  searchPath: string = Deno.env.get("PATH") ?? "",
): Promise<string | undefined> {
  for (const directory of [...searchPath.split(":"), ...SYSTEM_DIRECTORIES]) {
    // An empty element means the working directory to a shell; nothing is to be found by accident of it.
    if (directory === "") continue;
    const path = join(directory, name);
    if (await isExecutable(path)) return path;
  }
  return undefined;
}

/** Whether `path` is a file with an execute permission. What cannot be looked at is not. */
export async function isExecutable(path: string): Promise<boolean> {
  try {
    const { isFile, mode } = await Deno.stat(path);
    return isFile && ((mode ?? 0) & 0o111) !== 0;
  } catch {
    return false;
  }
}

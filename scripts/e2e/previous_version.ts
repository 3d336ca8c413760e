/**
 * The sources of the commit before this one, from which the suite upgrades.
 *
 * In: this checkout and a commit. Out: a folder with its files, or why they cannot be had.
 * @module
 */
import { fromFileUrl } from "@std/path/from-file-url";
import { join } from "@std/path/join";
import { ProgramError, runProgram } from "../tools/run_program.ts";

/** This checkout. */
export const CHECKOUT: string = fromFileUrl(new URL("../..", import.meta.url));

/** A version of the sources. */
export interface PreviousVersion {
  readonly checkout: string;
  /** What it is, for people. */
  readonly title: string;
  /** A sentence, where it is not the version that was asked for. */
  readonly skipped: readonly string[];
}

/** Writes the files of a commit into an empty folder. Where it cannot be had, this checkout stands for it, and `skipped` says so. */
export async function previousVersion(commit: string, folder: string): Promise<PreviousVersion> {
  try {
    const title = (await runProgram("git", ["-C", CHECKOUT, "log", "-1", "--format=%h %s", commit, "--"]))
      .trim();
    const archive = join(folder, "previous.tar");
    await runProgram("git", ["-C", CHECKOUT, "archive", `--output=${archive}`, commit]);
    const checkout = join(folder, "previous");
    await Deno.mkdir(checkout);
    await runProgram("tar", ["-xf", archive, "-C", checkout]);
    return { checkout, title, skipped: [] };
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    const skipped = `an upgrade from another version: this checkout has no commit ${commit} ` +
      `(a shallow clone?), so the agent is replaced by one of the same version`;
    return { checkout: CHECKOUT, title: "this version", skipped: [skipped] };
  }
}

/**
 * What the command lines of `deno task bundle` and `deno task compile` have in common.
 *
 * Exit codes: 0 done, 1 it could not be made, 2 asked for wrongly.
 * @module
 */
import { parseArgs } from "node:util";
import type { MorePermissions } from "./permissions.ts";

/** What is to be built. */
export interface BuildOptions extends MorePermissions {
  /** Where to. */
  readonly output: string;
  /** For which machine, as Rust spells it; of executables only. */
  readonly target: string;
}

/** The build cannot be made; the message is for people. */
export class BuildError extends Error {
  override readonly name = "BuildError";
}

/** What an executable can be made for, by the name of the machine that Deno tells. */
export const TARGETS: Readonly<Record<typeof Deno.build.arch, string>> = {
  x86_64: "x86_64-unknown-linux-gnu",
  aarch64: "aarch64-unknown-linux-gnu",
};

/** Reads the command line, and builds. @returns the exit code */
export async function runBuild(
  usage: string,
  { hasTarget }: { readonly hasTarget: boolean },
  build: (options: BuildOptions) => Promise<void>,
): Promise<number> {
  let options: BuildOptions;
  try {
    const { values } = parseArgs({
      args: Deno.args,
      options: {
        output: { type: "string", default: "dist/lightpath" },
        ...(hasTarget ? { target: { type: "string", default: TARGETS[Deno.build.arch] } } : {}),
        folder: { type: "string", multiple: true, default: [] },
        program: { type: "string", multiple: true, default: [] },
        help: { type: "boolean", default: false },
      } as const,
    });
    if (values.help) {
      print(Deno.stdout, `usage: ${usage}`);
      return 0;
    }
    const { target = TARGETS[Deno.build.arch] } = values as { target?: string };
    if (!Object.values(TARGETS).includes(target)) {
      throw new TypeError(`--target is "${target}": wanted one of ${Object.values(TARGETS).join(", ")}`);
    }
    options = { output: values.output, target, folders: values.folder, programs: values.program };
  } catch (error) {
    print(Deno.stderr, `${error instanceof Error ? error.message : String(error)}\n\nusage: ${usage}`);
    return 2;
  }
  try {
    await build(options);
    return 0;
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    print(Deno.stderr, `${error.message}\n`);
    return 1;
  }
}

/** Prints a text for people. */
export function print(stream: typeof Deno.stdout | typeof Deno.stderr, text: string): void {
  stream.writeSync(new TextEncoder().encode(text));
}

/**
 * Starts the commands that make and enter namespaces, on the host.
 *
 * In: an argument vector, standard input, environment. Out: a running child, or how it ended.
 * A program that is not installed ends with code 127, as in a shell.
 * @module
 */

/** What a command run to its end gets. */
export interface ExecOptions {
  /** Standard input; empty when not given. */
  readonly stdin?: string;
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** How a command run to its end ended. */
export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end. */
export async function runToEnd(argv: readonly string[], options: ExecOptions): Promise<ExecResult> {
  const decoder = new TextDecoder();
  try {
    const child = outside(argv, { ...options, stdin: "piped" }).spawn();
    const output = child.output();
    const writer = child.stdin.getWriter();
    try {
      await writer.write(new TextEncoder().encode(options.stdin ?? ""));
      await writer.close();
    } catch {
      // The command ended without reading all of its input; its code and messages tell why.
    }
    const { code, stdout, stderr } = await output;
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { code: 127, stdout: "", stderr: `${argv[0]} is not installed (Debian: util-linux, iproute2)` };
  }
}

/**
 * The standard output of a command that has to end with code 0.
 * @throws {Error} When it did not; the message holds its standard error.
 */
export function succeeded(result: ExecResult, what: string): string {
  if (result.code === 0) return result.stdout;
  throw new Error(`${what} ended with code ${result.code}: ${result.stderr.trim()}`);
}

/** A command with all of its output piped. */
export function outside(
  argv: readonly string[],
  options: {
    readonly stdin: "piped" | "null";
    readonly env?: Readonly<Record<string, string>>;
    readonly cwd?: string;
  },
): Deno.Command {
  const [program = "", ...args] = argv;
  // An ordinary user's PATH on Debian lacks the folders of `ip` and `nft`.
  const path = `${Deno.env.get("PATH") ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`;
  return new Deno.Command(program, {
    args,
    env: { PATH: path, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdin: options.stdin,
    stdout: "piped",
    stderr: "piped",
  });
}

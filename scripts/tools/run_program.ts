/**
 * Runs a program to its end and gives its output or an error with the end of its complaint.
 * @module
 */

/** A program that is missing or failed. The message is for people. */
export class ProgramError extends Error {
  override readonly name = "ProgramError";
}

/** What a program is run with. */
export interface RunProgramOptions {
  readonly cwd?: string;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `program` without input.
 * @returns its standard output
 * @throws {ProgramError} when it cannot be started or ends with another code than 0; the signal's reason when aborted
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  { signal, ...options }: RunProgramOptions = {},
): Promise<string> {
  signal?.throwIfAborted();
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(program, {
      ...options,
      args: [...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      ...(signal === undefined ? {} : { signal }),
    }).output();
  } catch (cause) {
    throw new ProgramError(`cannot run ${program}: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
  signal?.throwIfAborted();
  if (!output.success) {
    const complaint = new TextDecoder().decode(output.stderr).trim().split("\n").slice(-5).join(" / ");
    throw new ProgramError(`${program} ${args.at(-1) ?? ""} ended with code ${output.code}: ${complaint}`);
  }
  return new TextDecoder().decode(output.stdout);
}

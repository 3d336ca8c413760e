/**
 * How a refusal of the kernel, or of the program that speaks to it, is told.
 * @module
 */

/**
 * Why it was refused.
 * - `not-found`, `exists`: the kernel holds something else than was assumed; reading it anew mends that.
 * - `too-large`: the change does not fit into one message to the kernel, whose size is limited outside of the first user
 *   namespace (rootless containers); in parts it does.
 * - `busy`: someone else's change came in between.
 * - `permission`, `missing-binary`, `unsupported`: someone has to mend the machine or the manifest.
 * - `timeout`: the program did not end in time; whether the change was made is unknown.
 * - `unknown`: the program ended before it told whether the change was made; reading the kernel's state tells.
 * - `unreadable`: what the program printed is not what this version expects.
 * - `other`: anything else, a refused value included.
 */
export type RedirectErrorKind =
  | "not-found"
  | "exists"
  | "too-large"
  | "busy"
  | "permission"
  | "missing-binary"
  | "unsupported"
  | "timeout"
  | "unknown"
  | "unreadable"
  | "other";

/** Details of a `RedirectError`. */
export interface RedirectErrorOptions {
  readonly kind: RedirectErrorKind;
  /** What the program printed, without its echo of the script; empty when it did not run. */
  readonly stderr?: string;
  /** The script's line the first error points at, cut to a readable length. */
  readonly line?: string;
  readonly cause?: unknown;
}

/** The kernel did not do what was asked. The message is one sentence for an operator. */
export class RedirectError extends Error {
  readonly kind: RedirectErrorKind;
  readonly stderr: string;
  readonly line: string | undefined;

  constructor(message: string, options: RedirectErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "RedirectError";
    this.kind = options.kind;
    this.stderr = options.stderr ?? "";
    this.line = options.line;
  }
}

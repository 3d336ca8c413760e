/**
 * What the redirect side needs of the kernel, as an interface, and how a refusal is told.
 *
 * Implementations: `run_nft.ts` (the real tool, once for each call), `nft_session.ts` (one that keeps running),
 * `testing/fake_nft.ts` (in memory).
 * @module
 */

/** The few things that are asked of `nft`. Each method throws `NftError` and nothing else. */
export interface Nft {
  /** Performs a script as one transaction. When it throws (other than with kind `timeout` or `unknown`), nothing was changed. */
  apply(script: string): Promise<void>;
  /** Whether the kernel would take the script; changes nothing. Throws what `apply` would throw. */
  check(script: string): Promise<void>;
  /** Our table as `nft -j` prints it, decoded; undefined when there is none. Cost: that of the table's size. */
  list(): Promise<unknown | undefined>;
}

/**
 * Why nft refused.
 * - `not-found`, `exists`: the kernel holds something else than was assumed; reading it anew mends that.
 * - `too-large`: the script does not fit into one message to the kernel, whose size is limited outside of the first user
 *   namespace (rootless containers); in parts it does.
 * - `busy`: someone else's change came in between.
 * - `permission`, `missing-binary`, `unsupported`: someone has to mend the machine or the manifest.
 * - `timeout`: nft did not end in time; whether the change was made is unknown.
 * - `unknown`: nft ended before it told whether the change was made; reading the table tells.
 * - `unreadable`: what nft printed is not what this version expects.
 * - `other`: anything else, a refused value included.
 */
export type NftErrorKind =
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

/** Details of an `NftError`. */
export interface NftErrorOptions {
  readonly kind: NftErrorKind;
  /** What nft printed, without its echo of the script; empty when it did not run. */
  readonly stderr?: string;
  /** The script's line the first error points at, cut to a readable length. */
  readonly line?: string;
  readonly cause?: unknown;
}

/** nft did not do what was asked. The message is one sentence for an operator. */
export class NftError extends Error {
  readonly kind: NftErrorKind;
  readonly stderr: string;
  readonly line: string | undefined;

  constructor(message: string, options: NftErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "NftError";
    this.kind = options.kind;
    this.stderr = options.stderr ?? "";
    this.line = options.line;
  }
}

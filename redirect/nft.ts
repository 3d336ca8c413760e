/**
 * What the redirect side needs of the kernel, as an interface.
 *
 * Implementations: `run_nft.ts` (the real tool, once for each call), `nft_session.ts` (one that keeps running),
 * `testing/fake_nft.ts` (in memory).
 * @module
 */

/** The few things that are asked of `nft`. Each method throws `RedirectError` and nothing else. */
export interface Nft {
  /** Performs a script as one transaction. When it throws (other than with kind `timeout` or `unknown`), nothing was changed. */
  apply(script: string): Promise<void>;
  /** Whether the kernel would take the script; changes nothing. Throws what `apply` would throw. */
  check(script: string): Promise<void>;
  /** Our table as `nft -j` prints it, decoded; undefined when there is none. Cost: that of the table's size. */
  list(): Promise<unknown | undefined>;
}

/**
 * Decides which certificate is served with, which authorities are to be trusted, and when a new certificate is due.
 *
 * In: the generations that are stored, the time, which authorities the API server was last seen to trust. Out: a
 * {@linkcode RotationPlan}. Pure, and a function of what all replicas see alike, so they need not talk to each other.
 *
 * Between two certificates lies an overlap in which both authorities are trusted:
 *
 *     lifetime   |--- 1 ------------------------------|
 *                                  |--- 2 ------------------------------|
 *     served     1 1 1 1 1 1 1 1 1 1 1 1 2 2 2 2 2 2 2 2 2 2
 *     trusted    1 1 1 1 1 1 1 1 1 1 + + + + 2 2 2 2 2 2 2 2        + : both
 *                                  ^   ^   ^
 *                            created   served, an overlap later; the old authority goes after another one
 *
 * The first overlap is for API servers to learn of the new authority before they meet its certificate, the second for replicas
 * that have not noticed yet and still serve with the old one.
 * @module
 */

/** A certificate with its authority, as it is stored. */
export interface Generation {
  /** Names it in the Secret and in the log. */
  readonly id: string;
  /** The authority, the certificate and its key, PEM. */
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
  /** Milliseconds since the epoch. */
  readonly createdMs: number;
  readonly notAfterMs: number;
}

/** How long certificates hold, and how they follow each other. */
export interface RotationPolicy {
  readonly lifetimeMs: number;
  /** Created so long before the last one ends. */
  readonly renewBeforeMs: number;
  readonly overlapMs: number;
}

/** What to do now. */
export interface RotationPlan {
  /** Whether a new generation is to be added to {@linkcode RotationPlan.keep}. */
  readonly create: boolean;
  /** Generations to be stored and trusted, the newest first. */
  readonly keep: readonly Generation[];
  /** What to serve with; undefined when there is nothing. */
  readonly serve: Generation | undefined;
  /** When this plan is not the right one any more, if nothing else happens. Milliseconds since the epoch; always later than now. */
  readonly untilMs: number;
}

/** The policy that fits a lifetime: renewed after two thirds of it, as cert-manager does. */
export function rotationPolicy(lifetimeMs: number): RotationPolicy {
  return {
    lifetimeMs,
    renewBeforeMs: lifetimeMs / 3,
    // An API server learns of a change within seconds. Ten minutes are for one that has lost its watch for a while.
    overlapMs: Math.min(600_000, lifetimeMs / 12),
  };
}

/**
 * Plans. `trusted` are the authorities the API server has, undefined when that is not known: then they are taken to be those of
 * the generations.
 */
export function planRotation(
  stored: readonly Generation[],
  { nowMs, trusted, policy }: {
    readonly nowMs: number;
    readonly trusted: ReadonlySet<string> | undefined;
    readonly policy: RotationPolicy;
  },
): RotationPlan {
  const { overlapMs, renewBeforeMs } = policy;
  const valid = stored.filter(({ notAfterMs }) => notAfterMs > nowMs)
    .sort((one, other) => other.createdMs - one.createdMs || (one.id < other.id ? -1 : 1));
  const ages = (one: Generation): number => nowMs - one.createdMs;
  // What is older than a generation that everybody has served with for an overlap is nobody's any more.
  const settled = valid.findIndex((one) => ages(one) >= 2 * overlapMs && isTrusted(one, trusted));
  const keep = settled === -1 ? valid : valid.slice(0, settled + 1);
  const [newest] = keep;
  const create = newest === undefined || newest.notAfterMs - nowMs <= renewBeforeMs;
  const known = keep.filter((one) => isTrusted(one, trusted));
  // The newest that had the time to become known; else the one that had the most.
  const serve = known.find((one) => ages(one) >= overlapMs) ?? known.at(-1) ?? keep.at(-1);
  const moments = keep.flatMap((one) => [
    one.createdMs + overlapMs,
    one.createdMs + 2 * overlapMs,
    one.notAfterMs - renewBeforeMs,
    one.notAfterMs,
  ]).filter((moment) => moment > nowMs);
  return { create, keep, serve, untilMs: Math.min(nowMs + policy.lifetimeMs, ...moments) };
}

function isTrusted({ ca }: Generation, trusted: ReadonlySet<string> | undefined): boolean {
  return trusted === undefined || trusted.has(ca);
}

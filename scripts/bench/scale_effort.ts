/**
 * How long `bench scale` looks at each thing.
 * @module
 */

/** How much to measure. */
export interface Effort {
  /** Changes made one at a time and counted; a multiple of four. */
  readonly singleChanges: number;
  /** Changes before those, not counted; a multiple of four. */
  readonly warmUpChanges: number;
  /** Before memory and CPU at rest are looked at. */
  readonly pauseMs: number;
  readonly idleMs: number;
  /** Of 100 changes per second. */
  readonly steadySeconds: number;
  readonly burst: number;
  /** How long clients call before and after the agent's restart. */
  readonly restartMarginMs: number;
}

/** What a figure worth the name takes. */
export const FULL_EFFORT: Effort = {
  singleChanges: 200,
  warmUpChanges: 20,
  pauseMs: 3_000,
  idleMs: 5_000,
  steadySeconds: 10,
  burst: 1_000,
  restartMarginMs: 1_000,
};

/** Enough to see that everything works. */
export const QUICK_EFFORT: Effort = {
  singleChanges: 8,
  warmUpChanges: 4,
  pauseMs: 100,
  idleMs: 200,
  steadySeconds: 1,
  burst: 1_000,
  restartMarginMs: 100,
};

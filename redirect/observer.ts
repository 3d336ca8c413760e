/**
 * What the redirect side tells about its work: for readiness, health and metrics.
 * @module
 */

import type { RedirectError } from "./redirect_error.ts";

/** Why the table was written or compared. */
export type ApplyKind =
  /** The first comparison with the whole plan. */
  | "start"
  /** Changes of the model or of the node's addresses. */
  | "update"
  /** The comparison at long intervals. */
  | "resync"
  /** A comparison after a failure. */
  | "repair";

/** A step that succeeded. */
export interface Applied {
  readonly kind: ApplyKind;
  readonly durationMs: number;
  /** 0 when nothing differed. */
  readonly transactions: number;
  readonly elementsAdded: number;
  readonly elementsDeleted: number;
}

/** Takes what happens, for readiness and metrics. Must not throw. */
export interface RedirectObserver {
  /** The kernel now holds everything handed in before this step. */
  onApplied?(applied: Applied): void;
  /** A step failed and will be repeated. */
  onError?(kind: ApplyKind, error: RedirectError): void;
  /** Someone else had changed our table; it is mended. */
  onDrift?(differences: number): void;
}

/**
 * The vocabulary of list+watch: what comes in from an API server, what goes out to it and to the store.
 *
 * Source: Kubernetes "API Concepts", Efficient detection of changes; the store's words after kube-rs' `watcher`.
 * @module
 */
import type { KubeObject, NamespacedName } from "./objects.ts";

/** One line of a watch stream. */
export type WatchEvent =
  | { readonly type: "ADDED" | "MODIFIED"; readonly object: KubeObject }
  | { readonly type: "DELETED"; readonly object: KubeObject }
  | { readonly type: "BOOKMARK"; readonly resourceVersion: string }
  | { readonly type: "ERROR"; readonly failure: WatchFailure }
  /** An object that cannot be named; only its resourceVersion counts. */
  | { readonly type: "UNREADABLE"; readonly resourceVersion: string; readonly reason: string };

/** Why a request or a stream ended. */
export interface WatchFailure {
  /** HTTP status, or `code` of the Status object in an ERROR event; 0 when the server could not be reached. */
  readonly status: number;
  /** From `Retry-After`; 0 when not given. */
  readonly retryAfterMs: number;
  readonly message: string;
}

/** What happened. */
export type WatchInput =
  /** A part of a list. The last one has the collection's resourceVersion, those before it an empty one. */
  | { readonly kind: "listed"; readonly objects: readonly KubeObject[]; readonly resourceVersion: string }
  /** Events of a watch stream in their order; those read together arrive together. */
  | { readonly kind: "events"; readonly events: readonly WatchEvent[] }
  /** The list was refused, or the watch was, or a stream broke. */
  | { readonly kind: "failed"; readonly failure: WatchFailure }
  /** The server ended the stream, as it does after `timeoutSeconds`. */
  | { readonly kind: "closed"; readonly durationMs: number }
  /** Not a byte for the deadline, bookmarks included: the connection is taken for dead. */
  | { readonly kind: "silent" }
  /** The pause is over. */
  | { readonly kind: "waited" };

/** What the store is told. `Init` to `InitDone` is a complete list; an `Init` in between starts it again. */
export type StoreEvent =
  | { readonly type: "Init" }
  | { readonly type: "InitApply"; readonly objects: readonly KubeObject[] }
  | { readonly type: "InitDone" }
  | { readonly type: "Apply"; readonly object: KubeObject }
  | { readonly type: "Delete"; readonly namespacedName: NamespacedName };

/** What is to be done next. */
export type WatchEffect =
  | { readonly kind: "list" }
  | { readonly kind: "watch"; readonly resourceVersion: string; readonly timeoutSeconds: number }
  | { readonly kind: "wait"; readonly ms: number };

/** Numbers of the protocol. */
export interface WatchSettings {
  /** The server ends a watch after a random time in this range, so that many agents do not return together. */
  readonly watchTimeoutSeconds: { readonly min: number; readonly max: number };
  /** First pause after a failure; doubles with each further one, up to `maxBackoffMs`. */
  readonly minBackoffMs: number;
  readonly maxBackoffMs: number;
  /** The longest `Retry-After` that is honoured. */
  readonly maxRetryAfterMs: number;
}

/** The defaults. client-go's reflector has 300 to 600 s per watch. */
export const DEFAULT_WATCH_SETTINGS: WatchSettings = {
  watchTimeoutSeconds: { min: 290, max: 600 },
  minBackoffMs: 200,
  maxBackoffMs: 5_000,
  maxRetryAfterMs: 60_000,
};

/**
 * What is expected of a format in which an API server answers.
 *
 * A decoder takes the bytes of one answer as they arrive, cut anywhere, and gives what they complete; it keeps what is
 * not complete, and no more. An object that cannot be read leaves the others alone; a fault in what is around the
 * objects is a SyntaxError or a RangeError, after which the decoder is of no use.
 * @module
 */
import type { KubeObject } from "../objects.ts";
import type { WatchEvent, WatchFailure } from "../watch_protocol.ts";

/** What one chunk of a list completes. */
export interface ListPart {
  readonly objects: readonly KubeObject[];
  /** Items that cannot be read, one sentence each. */
  readonly unreadable: readonly string[];
  /** Version of the whole collection, from which a watch continues; empty until the last part. */
  readonly resourceVersion: string;
}

/** Decodes one list. */
export interface ListDecoder {
  push(chunk: Uint8Array): ListPart;
  /** The answer has ended: the last part. Throws when the list has not. */
  end(): ListPart;
}

/** Decodes one watch stream. */
export interface WatchDecoder {
  push(chunk: Uint8Array): readonly WatchEvent[];
}

/** The parts of a Status object that are read. */
export interface ApiStatus {
  /** HTTP status; 0 when it does not say. */
  readonly code: number;
  /** `Forbidden`, `Expired`, …; empty when it does not say. */
  readonly reason: string;
  readonly message: string;
  /** 0 when it does not say. */
  readonly retryAfterMs: number;
}

/** A format. */
export interface AnswerFormat {
  listDecoder(kind: KubeObject["kind"]): ListDecoder;
  watchDecoder(kind: KubeObject["kind"]): WatchDecoder;
  /** The Status in the body of a refusal. Where it is something else, its text is the message. Never throws. */
  readStatus(body: Uint8Array): ApiStatus;
}

/** Objects in etcd are limited to 1.5 MiB; one far beyond that is not Kubernetes speaking. */
export const MAX_OBJECT_BYTES = 32 * 1024 * 1024;

/** What the Status in an ERROR event of a watch means. */
export function watchFailureOf({ code, message, retryAfterMs }: ApiStatus): WatchFailure {
  const status = code || 500;
  return { status, retryAfterMs, message: message || `the watch reported an error with code ${status}` };
}

/** The version from which a watch continues after a list. @throws {SyntaxError} when it cannot. */
export function checkListVersion(metadata: { resourceVersion: string; continueToken: string }): string {
  if (metadata.continueToken !== "") {
    // No limit was asked for. What the rest holds would be missing, and nobody would notice.
    throw new SyntaxError("the list is only the first part of one");
  }
  if (metadata.resourceVersion === "") throw new SyntaxError("the list has no resourceVersion");
  return metadata.resourceVersion;
}

/**
 * Packs messages into `google.protobuf.Any`, the envelope of xDS resources and of Envoy's extensions.
 * Source: google/protobuf/any.proto, for the form of the type URL.
 * @module
 */

import type { Any } from "./gen/google/protobuf/any.ts";

/** What packing needs of a generated codec. */
export interface PackableCodec<T> {
  /** Full name of the message, without a leading dot. */
  readonly $type: string;
  encode(message: T): { finish(): Uint8Array };
}

/** The type URL of a message, as `Any.type_url` and xDS's `type_url` spell it. */
export function typeUrlOf(codec: { readonly $type: string }): string {
  return `type.googleapis.com/${codec.$type}`;
}

/**
 * Packs a message.
 *
 * @example
 * ```ts
 * packAny(PreviousHostsPredicate, PreviousHostsPredicate.create());
 * ```
 */
export function packAny<T>(codec: PackableCodec<T>, message: T): Any {
  return { typeUrl: typeUrlOf(codec), value: codec.encode(message).finish() };
}

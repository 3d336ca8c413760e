/**
 * The listener filter by which Envoy asks endpoints in its clients' names, or does not.
 *
 * In: whether it does, and with which mark. Out: an `envoy.config.core.v3.TypedExtensionConfig`; same input, same message.
 *
 * It is the one part of the constant listeners that is not constant: whether the client's address can be kept depends on what this
 * node and this Envoy can do, which the agent finds out (commands/source_address.ts) after the bootstrap was written, maybe by
 * somebody else. So the listeners name the filter and take it over ADS (extension config discovery). A change holds for
 * new connections; no Listener is replaced for it, nothing is drained.
 *
 * Own Listeners (listener.ts) need none: what the filter notes on a connection stays with it when a constant listener hands it
 * over.
 *
 * Source: Envoy 1.40 API reference, `OriginalSrc`, `ExtensionConfigSource`. Seen with Envoy 1.40: IP_TRANSPARENT and SO_MARK of this
 * filter, and the socket options of a Cluster's or the bootstrap's `upstream_bind_config`, are all set on a connection to an endpoint.
 * @module
 */
import { packAny, TypedExtensionConfig, TypedStruct } from "../../protos/mod.ts";
import { ORIGINAL_DST, ORIGINAL_SRC, SOURCE_FILTER } from "../listeners.ts";

/** Whose address endpoints see. */
export type SourceAddress =
  /** The client's; `mark` is SO_MARK of such connections. */
  | { readonly kind: "preserve"; readonly mark: number }
  /** This node's. */
  | { readonly kind: "node" };

/** The filter. */
export function translateSourceFilter(source: SourceAddress): TypedExtensionConfig {
  const { typeUrl, value } = source.kind === "preserve"
    ? { typeUrl: ORIGINAL_SRC, value: { mark: source.mark } }
    // There is no filter that does nothing. This one was asked a moment ago, and finds the same.
    : { typeUrl: ORIGINAL_DST, value: {} };
  return TypedExtensionConfig.fromPartial({
    name: SOURCE_FILTER,
    typedConfig: packAny(TypedStruct, TypedStruct.create({ typeUrl, value })),
  });
}

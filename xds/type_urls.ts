/**
 * The xDS resource types Lightpath serves: their type URLs, the order in which they are sent, and which of them
 * know wildcard subscriptions.
 *
 * In: the `type_url` of a request. Out: an `XdsType`, or nothing for a type that is not served.
 * Invariant: `SEND_ORDER` holds every `XdsType` once; everything that loops over types loops over it.
 * Source: "xDS REST and gRPC protocol", sections "Resource Types", "How the client specifies what resources to
 * return" (wildcard) and "Eventual consistency considerations" (order).
 * @module
 */

/** A resource type by its message name in Envoy's API. */
export type XdsType =
  | "Cluster"
  | "ClusterLoadAssignment"
  | "TypedExtensionConfig"
  | "Listener"
  | "RouteConfiguration";

/** `type_url` in requests, in responses and in the `Any` of every resource. */
export const TYPE_URLS: Readonly<Record<XdsType, string>> = {
  Cluster: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  ClusterLoadAssignment: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  TypedExtensionConfig: "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
  Listener: "type.googleapis.com/envoy.config.listener.v3.Listener",
  RouteConfiguration: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
};

/**
 * Make before break: what is referred to goes out before what refers to it, so nothing points into a void.
 * Removals take the opposite direction. The routes refer to nothing by name, and a Cluster whose metadata they are to heed
 * must find them so.
 */
export const SEND_ORDER: readonly XdsType[] = [
  "RouteConfiguration",
  "Cluster",
  "ClusterLoadAssignment",
  "TypedExtensionConfig",
  "Listener",
];

const TYPES_BY_URL: ReadonlyMap<string, XdsType> = new Map(SEND_ORDER.map((type) => [TYPE_URLS[type], type]));

/** The type a `type_url` names, or undefined when Lightpath does not serve it. */
export function parseTypeUrl(typeUrl: string): XdsType | undefined {
  return TYPES_BY_URL.get(typeUrl);
}

/** Whether `*`, or an empty first request, subscribes to all resources of the type. Only the root types do. */
export function hasWildcard(type: XdsType): boolean {
  switch (type) {
    case "Cluster":
    case "Listener":
      return true;
    case "ClusterLoadAssignment":
    case "RouteConfiguration":
    case "TypedExtensionConfig":
      return false;
    default: {
      const unknown: never = type;
      return unknown;
    }
  }
}

/**
 * Envoy's API as Lightpath uses it: generated messages under their own names, and `packAny`.
 * Each message is an interface and, under the same name, a codec (`create`, `encode`, `decode`, `toJSON`). README.md beside this file
 * says how they come to be.
 * @module
 */

export { type PackableCodec, packAny, typeUrlOf } from "./any.ts";
export {
  CircuitBreakers,
  CircuitBreakers_Thresholds,
} from "./gen/envoy/config/cluster/v3/circuit_breaker.ts";
export {
  Cluster,
  Cluster_DiscoveryType,
  Cluster_EdsClusterConfig,
  Cluster_LbPolicy,
} from "./gen/envoy/config/cluster/v3/cluster.ts";
export { OutlierDetection } from "./gen/envoy/config/cluster/v3/outlier_detection.ts";
export {
  Address,
  BindConfig,
  SocketAddress,
  SocketAddress_Protocol,
} from "./gen/envoy/config/core/v3/address.ts";
export { Locality, Metadata, Node, RoutingPriority } from "./gen/envoy/config/core/v3/base.ts";
export { ApiVersion, ConfigSource } from "./gen/envoy/config/core/v3/config_source.ts";
export { TypedExtensionConfig } from "./gen/envoy/config/core/v3/extension.ts";
export { HealthStatus } from "./gen/envoy/config/core/v3/health_check.ts";
export { SocketOption } from "./gen/envoy/config/core/v3/socket_option.ts";
export { ClusterLoadAssignment } from "./gen/envoy/config/endpoint/v3/endpoint.ts";
export {
  Endpoint,
  LbEndpoint,
  LocalityLbEndpoints,
} from "./gen/envoy/config/endpoint/v3/endpoint_components.ts";
export { Listener } from "./gen/envoy/config/listener/v3/listener.ts";
export { RetryPolicy, RouteAction_HashPolicy } from "./gen/envoy/config/route/v3/route_components.ts";
export { PreviousHostsPredicate } from "./gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.ts";
export { PreviousPrioritiesConfig } from "./gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config.ts";
export { HttpProtocolOptions } from "./gen/envoy/extensions/upstreams/http/v3/http_protocol_options.ts";
export {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  Resource,
} from "./gen/envoy/service/discovery/v3/discovery.ts";
export { Any } from "./gen/google/protobuf/any.ts";
export { Duration } from "./gen/google/protobuf/duration.ts";
export { Status } from "./gen/google/rpc/status.ts";
export { TypedStruct } from "./gen/xds/type/v3/typed_struct.ts";
export { RouteConfiguration } from "./gen/envoy/config/route/v3/route.ts";

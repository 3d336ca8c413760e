/**
 * The service model: Kubernetes objects in, ServicePorts and ModelDeltas out. Pure.
 * @module
 */
export {
  ANNOTATIONS,
  CONFIG_PREFIX,
  DEFAULT_SETTINGS,
  SETTING_NAMES,
  settingsInForce,
} from "./annotations/mod.ts";
export type {
  AnnotationDefinition,
  AnnotationFaultKind,
  HashOn,
  PortSettings,
  SettingInForce,
  SettingName,
  SettingValues,
} from "./annotations/mod.ts";
export { BY_APP_PROTOCOL, BY_NAME_PREFIX, isHttp } from "./app_protocol.ts";
export {
  BALANCED_SOCKET_PRIORITY,
  ENVOY_SOCKET_PRIORITY,
  MASQUERADED_SOCKET_PRIORITY,
} from "./envoy_sockets.ts";
export { equalEndpoints } from "./equality.ts";
export type { ExaminedEndpoint, ExaminedPort, ExaminedService } from "./examine.ts";
export { parseIPAddress, parseIPRange, rangeContains, rangesByFamily } from "./ip_address.ts";
export type { IPAddress } from "./ip_address.ts";
export { equalOwnListeners, HTTP_IDLE_TIMEOUT_MS, ownListenerOf } from "./own_listener.ts";
export type { OwnListener } from "./own_listener.ts";
export { DEFAULT_MARK_MASK, isMarkMask, type Marks, marksOf, renderMark } from "./marks.ts";
export {
  destinationKindsOf,
  endpointsFor,
  insideEndpointsFor,
  isMasqueraded,
  pathOf,
  trafficPolicyOf,
} from "./path.ts";
export { endpointTiers } from "./nearness.ts";
export { type ModelOptions, ServiceModel } from "./reduce.ts";
export { isPortNumber, parseProtocol } from "./port.ts";
export {
  optsOut,
  PATH_ANNOTATION,
  PROXY_ANNOTATION,
  PROXY_DISABLED,
  type ServiceSelection,
  whyNotServed,
  whyNoVIP,
} from "./selection.ts";
export { servicePortKey, servicePortLabel } from "./service_port_name.ts";
export type { TrafficRules } from "./traffic_rules.ts";
export { IP_FAMILIES } from "./types.ts";
export type {
  AppProtocol,
  Carrier,
  DestinationKind,
  Endpoint,
  HealthCheck,
  IPFamily,
  ModelDelta,
  ModelView,
  NodeAddresses,
  Path,
  Problem,
  ProblemKind,
  Protocol,
  ServicePort,
  ServicePortChange,
  ServicePortKey,
  ServicePortName,
  ServiceReference,
  TrafficPolicy,
  VIP,
  VIPKind,
} from "./types.ts";

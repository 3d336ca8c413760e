/**
 * Sources of Kubernetes objects: the API server, or a folder of manifests. Both deliver the same `ObjectEvent`s.
 * @module
 */
export * from "./objects.ts";
export {
  type ApiSourceObserver,
  type ApiSourceOptions,
  createApiSource,
  type LabelSelectors,
  selectorsFor,
} from "./api_source.ts";
export {
  createKubeClient,
  type EventClient,
  type KubeClient,
  type KubeClientOptions,
  type ServiceCIDRClient,
} from "./client.ts";
export { createEventReporter, type EventReporter } from "./event_reporter.ts";
export { KubeApiError, KubeConfigError, SilentConnectionError } from "./kube_api_error.ts";
export {
  createObjectClient,
  isConflict,
  isNotFound,
  type ObjectClient,
  type ObjectName,
} from "./object_client.ts";
export { type ManifestProblem, renderManifestProblem } from "./manifest_file.ts";
export { ManifestPathError, resolveRoot } from "./manifest_paths.ts";
export { createManifestSource, type ManifestSourceOptions } from "./manifest_source.ts";
export { type NodeClient, watchNode, type WatchNodeOptions, zoneOfNode } from "./node_object.ts";
export { type Fields, isFields } from "./_fields.ts";
export { parseKubeObject, type ParseResult, SERVICE_PROXY_NAME_LABEL } from "./parse.ts";
export { AGENT_RIGHTS, type RightsClient, watchRights, type WatchRightsOptions } from "./rights.ts";
export { watchServiceCIDRs, type WatchServiceCIDRsOptions } from "./service_cidrs.ts";
export { DEFAULT_WATCH_SETTINGS, type WatchFailure, type WatchSettings } from "./watch_protocol.ts";

/**
 * What a Service wants of its requests that Envoy does not take from a Cluster, as the routes have it (`routes.ts`), and as the
 * Clusters carry it for the constant listeners to look it up: `Cluster.metadata.filter_metadata.lightpath`.
 *
 * In: a ServicePort. Out: a key for each value that differs from the routes' own, and one where requests are not to be logged
 * (`access_log.ts`). A Service without annotations has no key. But its Clusters have the part of the metadata that is ours, by
 * which the log knows that there is a Cluster.
 *
 * Why both: Envoy takes these values from the route and from headers, but not from the Cluster (`retry_policy.per_try_timeout` there
 * is ignored). A route that has them is as fast as one that has the defaults; but all routes are one resource, which is sent anew
 * with each change. So beyond a number of Services a filter before the router writes the headers, with values from the Cluster.
 * Either way a change reaches the next request on connections that are open.
 *
 * Values are strings, as they stand in the header.
 *
 * What the timeouts mean:
 * - Envoy can limit one try until its response begins ("per try"), or the whole exchange, body included. It cannot limit
 *   all tries until the response begins. So the default of `request-timeout` holds by arithmetic: three tries of 5 s, or the
 *   one try of a request that may not be repeated. Nothing that has begun is ever cut by a default.
 * - Only a `request-timeout` somebody wrote is a limit of the whole exchange.
 * - Streams (gRPC, server-sent events, WebSockets) may keep silent for as long as they like before they begin: they have
 *   no limit unless one is written.
 * @module
 */
import { DEFAULT_SETTINGS, isHttp, type ServicePort } from "../../agent/model/mod.ts";
import type { Metadata } from "../../protos/mod.ts";
import { retryOnOfRepeatable } from "./retries.ts";

/** The part of the metadata that is ours. */
export const METADATA_NAMESPACE = "lightpath";

/** Its keys. Values are absent where the routes' own hold. */
export type MetadataKey =
  /** Per try, of requests that come along the route `others`. Milliseconds, like all below; 0: none. */
  | "only-try-timeout"
  /** Of the whole exchange. */
  | "request-timeout"
  /** Which answers to a repeatable request are tried again, besides what the Cluster's policy says. */
  | "retry-on"
  /** Per try, of any request, streams included. */
  | "try-timeout"
  /** There where nothing is to be logged. */
  | "unlogged";

const DEFAULT_REQUEST_TIMEOUT_MS = DEFAULT_SETTINGS.values["request-timeout"];

/** The metadata of a port's Clusters. */
export function clusterMetadata(servicePort: ServicePort): Metadata {
  return {
    filterMetadata: { [METADATA_NAMESPACE]: Object.fromEntries(wishes(servicePort)) },
    typedFilterMetadata: {},
  };
}

function wishes(servicePort: ServicePort): readonly (readonly [MetadataKey, string | undefined])[] {
  const { appProtocol, settings } = servicePort;
  const all: readonly (readonly [MetadataKey, string | undefined])[] = [
    ...(isHttp(appProtocol) ? requestMetadata(servicePort) : []),
    ["unlogged", unless(settings.values["access-log"], "true")],
  ];
  return all.filter(([, value]) => value !== undefined);
}

/** What the routes are to do otherwise for a port. The keys are always in the same order: equal settings are equal as JSON. */
export type RouteSettings = Readonly<Partial<Record<MetadataKey, string>>>;

/** See {@linkcode RouteSettings}; undefined: nothing. Costs nearly nothing for a port that wants nothing. */
export function routeSettings(servicePort: ServicePort): RouteSettings | undefined {
  const { settings: { origins }, prefersNear } = servicePort;
  if (origins.size === 0 && !prefersNear) return undefined;
  const present = wishes(servicePort);
  return present.length === 0 ? undefined : Object.fromEntries(present);
}

/** The metadata of a Cluster that is no Service's. */
export const NOBODYS_METADATA: Metadata = {
  filterMetadata: { [METADATA_NAMESPACE]: { ["unlogged" satisfies MetadataKey]: "true" } },
  typedFilterMetadata: {},
};

/** Sorted by key, so that equal settings give equal bytes. */
function requestMetadata(
  servicePort: ServicePort,
): readonly (readonly [MetadataKey, string | undefined])[] {
  const { values, origins } = servicePort.settings;
  const whole = values["request-timeout"];
  const once = values["upstream-request-timeout"];
  const isOnceAsked = origins.has("upstream-request-timeout");
  const onlyTry = values["retry-methods"] === "all" ? once : whole;
  return [
    ["only-try-timeout", unless(isOnceAsked || onlyTry === DEFAULT_REQUEST_TIMEOUT_MS, onlyTry)],
    ["request-timeout", unless(!origins.has("request-timeout"), whole)],
    ["retry-on", retryOnOfRepeatable(servicePort)],
    ["try-timeout", unless(!isOnceAsked, once)],
  ];
}

function unless(isRoutesOwn: boolean, value: number | string): string | undefined {
  return isRoutesOwn ? undefined : String(value);
}

/**
 * The static Envoy beside Lightpath: what somebody who wants the same for a few Services would write by hand.
 *
 * In: Lightpath's Clusters as its Envoy shows them (`/config_dump`), the endpoints. Out: a bootstrap as plain JSON. Pure.
 *
 * One listener for each case, on a port of its own; the Cluster is named in the configuration, one route, nothing comes over
 * xDS, no metadata is looked up. What a connection and a request meet besides is the same as Lightpath's, and taken from
 * there: the options of the connection manager (`xds/listeners.ts`), fields of the access log, statistics, and the Cluster with
 * its limits, outlier detection and balancing; and endpoints see the client. Retries are on the route: those of Lightpath's, or of the Cluster where it has some.
 * @module
 */
import {
  type FilterChains,
  httpFilterChains,
  type Json,
  ORIGINAL_SRC,
  tcpFilterChains,
} from "../../xds/listeners.ts";
import { DEFAULT_MARK_MASK, HTTP_IDLE_TIMEOUT_MS, marksOf } from "../../agent/model/mod.ts";
import { STATISTICS } from "../../xds/statistics.ts";
import { secondsOf } from "../../xds/translate/duration.ts";
import { defaultRetryPolicy } from "../../xds/translate/retries.ts";
import { type CaseName, CASES, ENDPOINT_PORT, STATIC_ROUTES, type StaticRoute, VIP } from "./l7_cases.ts";

/** An object of Envoy's configuration. */
export type JsonObject = { readonly [key: string]: Json };

const HTTP = { mode: "eager", idleTimeoutMs: HTTP_IDLE_TIMEOUT_MS, settings: "of-all" } as const;

const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** What the static Envoy is made of. */
export interface StaticEnvoyOptions {
  /** Lightpath's Clusters by name, as its Envoy has them. */
  readonly clusters: ReadonlyMap<string, JsonObject>;
  /** Addresses of the endpoints. */
  readonly endpoints: readonly string[];
}

/** The whole configuration. @throws {Error} when a Cluster is missing */
export function staticBootstrap({ clusters, endpoints }: StaticEnvoyOptions): Json {
  const made: Json[] = [clusterOf("bare-static", { type: "STATIC", connect_timeout: "5s" }, endpoints)];
  const listeners: Json[] = [listener("bare-static", bareFilterChains(), [])];
  const take = (lightpathCase: CaseName, name: CaseName): JsonObject => {
    const vip = `${VIP}:${CASES[lightpathCase].port}`;
    const cluster = clusters.get(vip);
    if (cluster === undefined) throw new Error(`Lightpath's Envoy has no Cluster ${vip}`);
    made.push(clusterOf(name, withoutXds(cluster), endpoints));
    return cluster;
  };
  take("tcp", "tcp-static");
  listeners.push(listener("tcp-static", staticTcpFilterChains("tcp-static")));
  for (
    const [lightpathCase, { twin }] of Object.entries(CASES) as [CaseName, { readonly twin?: CaseName }][]
  ) {
    const route = STATIC_ROUTES[twin as keyof typeof STATIC_ROUTES];
    if (twin === undefined || route === undefined) continue;
    const retries = retriesOf(take(lightpathCase, twin), route);
    listeners.push(listener(twin, staticHttpFilterChains(twin, route, retries)));
  }
  return { static_resources: { listeners, clusters: made }, ...STATISTICS };
}

function listener(name: CaseName, chains: FilterChains, filters: readonly Json[] = [IN_CLIENTS_NAME]): Json {
  return {
    name,
    address: { socket_address: { address: "0.0.0.0", port_value: CASES[name].port } },
    listener_filters: filters,
    ...chains,
  };
}

/** Endpoints see the client, as Lightpath's do; the node's policy routes are the agent's. */
const IN_CLIENTS_NAME: Json = {
  name: "in-clients-name",
  typed_config: { "@type": ORIGINAL_SRC, mark: marksOf(DEFAULT_MARK_MASK).envoy },
};

function staticTcpFilterChains(cluster: CaseName): FilterChains {
  const { filter_chains: [chain] } = tcpFilterChains({ mode: "eager", idleTimeoutMs: 0 });
  // The filter before it only names the Cluster.
  const proxy = chain!.filters.at(-1)!;
  const { access_log } = proxy.typed_config;
  const typed_config = { ...proxy.typed_config, cluster, access_log: unconditional(access_log) };
  return { filter_chains: [{ filters: [{ ...proxy, typed_config }] }] };
}

function staticHttpFilterChains(cluster: CaseName, own: StaticRoute, retries: JsonObject): FilterChains {
  const { filter_chains: [chain] } = httpFilterChains(HTTP);
  const manager = chain!.filters.at(-1)!;
  const { early_header_mutation_extensions: _, access_log, http_filters, ...options } = manager.typed_config;
  const router = (http_filters as readonly Json[]).at(-1)!;
  const route = {
    cluster,
    timeout: secondsOf(own.timeoutMs),
    retry_policy: { ...retries, per_try_timeout: secondsOf(own.tryTimeoutMs) },
  };
  const typed_config = {
    ...options,
    ...(own.isLogged ? { access_log: unconditional(access_log) } : {}),
    http_filters: [router],
    route_config: routeConfiguration(route),
  };
  return { filter_chains: [{ filters: [{ ...manager, typed_config }] }] };
}

/** The least an HTTP proxy can be. */
function bareFilterChains(): FilterChains {
  const { filter_chains: [chain] } = httpFilterChains(HTTP);
  const manager = chain!.filters.at(-1)!;
  const { "@type": type, http_filters } = manager.typed_config;
  const typed_config = {
    "@type": type,
    stat_prefix: "bare",
    http_filters: [(http_filters as readonly Json[]).at(-1)!],
    route_config: routeConfiguration({ cluster: "bare-static" }),
  };
  return { filter_chains: [{ filters: [{ ...manager, typed_config }] }] };
}

function routeConfiguration(route: JsonObject): Json {
  return { virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route }] }] };
}

/** Access logs without the question whether this Service wants one. */
function unconditional(logs: Json | undefined): Json {
  return (logs as readonly JsonObject[]).map(({ filter: _, ...log }) => log);
}

function withoutXds(cluster: JsonObject): JsonObject {
  const { eds_cluster_config: _eds, metadata: _metadata, ...rest } = cluster;
  const options = { ...rest["typed_extension_protocol_options"] as JsonObject };
  const { retry_policy: _retries, ...http } = options[HTTP_OPTIONS] as JsonObject;
  return { ...rest, type: "STATIC", typed_extension_protocol_options: { ...options, [HTTP_OPTIONS]: http } };
}

/** Of requests that may be repeated. */
function retriesOf(cluster: JsonObject, { retryOn }: StaticRoute): JsonObject {
  const options = (cluster["typed_extension_protocol_options"] as JsonObject)[HTTP_OPTIONS] as JsonObject;
  const ofCluster = options["retry_policy"] as JsonObject | undefined;
  if (ofCluster === undefined) return defaultRetryPolicy(true);
  return { ...ofCluster, retry_on: [ofCluster["retry_on"], ...retryOn].join() };
}

function clusterOf(name: CaseName, cluster: JsonObject, endpoints: readonly string[]): Json {
  return {
    ...cluster,
    name,
    load_assignment: {
      cluster_name: name,
      endpoints: [{
        lb_endpoints: endpoints.map((address) => ({
          endpoint: { address: { socket_address: { address, port_value: ENDPOINT_PORT } } },
        })),
      }],
    },
  };
}

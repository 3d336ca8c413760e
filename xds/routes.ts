/**
 * The routes of the HTTP listener: what kind of request this is, and which timeouts and retries it has.
 *
 * In: the destinations whose Services want otherwise than the routes say. Out: an `envoy.config.route.v3.RouteConfiguration` and
 * the HTTP filter its routes configure, as plain JSON.
 *
 * Each route leads to the Cluster named by the header. They differ in what holds by default:
 *
 * | route | requests | begins within | tried again |
 * | --- | --- | --- | --- |
 * | `get` | GET that can be no stream | 5 s, each try | what no endpoint can have acted upon, and `retry-on` |
 * | `grpc`, `events` | streams by their nature | no limit | what no endpoint can have acted upon |
 * | `websocket`, `repeatable-events` | the same, asked for with a repeatable method | no limit | and `retry-on` |
 * | `repeatable` | GET, HEAD, OPTIONS, TRACE, PUT, DELETE (RFC 9110, 9.2.2) | 5 s, each try | and `retry-on` |
 * | `others` | POST, PATCH and unknown ones | 15 s | what no endpoint can have acted upon |
 *
 * Most requests are those of `get`. They would come to `repeatable`, which does the same with them, but to pass over the routes
 * before it takes 1.3 % of the instructions of a request.
 *
 * Where a Service wants otherwise, its Clusters say so in their metadata (`translate/metadata.ts`), and the filter writes it
 * into the headers by which Envoy's router is told. A key that is missing writes nothing. A client's own `x-envoy-…` headers are
 * gone by then (the connection manager removes them), and the router removes these.
 *
 * To ask for nothing costs a request 3 % of its instructions, and few Services want anything. So the filter is off, and on in a
 * second virtual host, which is chosen not by the host that a client names but by the destination. A third one is for those that
 * only want no log. All that is ever different in the routes are the names of the destinations there; what their Services want
 * they do not say.
 *
 * Source: Envoy 1.40 "Router", "Header mutation" in its configuration reference. What the filter itself says is done before
 * what the route says to it. Which retries a route has is decided in `translate/retries.ts`.
 * @module
 */
import { DEFAULT_SETTINGS } from "../agent/model/mod.ts";
import { TypedStruct, typeUrlOf } from "../protos/mod.ts";
import type { Json } from "./listeners.ts";
import { METADATA_NAMESPACE, type MetadataKey, type RoutesPart } from "./translate/metadata.ts";
import { defaultRetryPolicy } from "./translate/retries.ts";

/**
 * Names the destination inside the connection manager, which overwrites what a client sent; removed before the request goes
 * upstream.
 *
 * The name is borrowed. Envoy keeps the headers it knows in a table; looking for one of any other name makes it build a
 * dictionary of all headers of the request, and nothing else here does: 2 % of the instructions of a small request, 3 % of one
 * with a browser's headers. Of those it knows, this is one that the connection manager leaves alone and that nobody uses: an
 * Envoy writes it only to say that a request is a retry, where its route asks for that (`include_is_timeout_retry_header`).
 * A client's header with `_` for `-` in this name means nothing to Envoy and passes: to remove it would take the dictionary.
 */
export const VIP_HEADER = "x-envoy-is-timeout-retry";

/**
 * Marks the requests that are not to be logged (access_log.ts). From a table again, and one that the connection manager takes
 * away from clients. Their endpoints see it: nothing could remove it and leave it for the log.
 */
export const UNLOGGED_HEADER = "x-envoy-ip-tags";

const FILTER_NAME = "settings";

/** Conditions of retries, added to those that are in force. */
const RETRY_ON_HEADER = "x-envoy-retry-on";
const TRY_TIMEOUT_HEADER = "x-envoy-upstream-rq-per-try-timeout-ms";

/** Stands between the filter that fetches the Cluster and the router, which reads the headers. Where it is off, a route can turn it on. */
export const SETTINGS_FILTER: { readonly [key: string]: Json } = {
  name: FILTER_NAME,
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
    mutations: {
      request_mutations: [
        setFromMetadata("x-envoy-upstream-rq-timeout-ms", "request-timeout"),
        setFromMetadata(TRY_TIMEOUT_HEADER, "try-timeout"),
        setFromMetadata(RETRY_ON_HEADER, "retry-on"),
        setFromMetadata(UNLOGGED_HEADER, "unlogged"),
      ],
    },
  },
};

/** Writes a header, unless the Cluster has no such key. */
function setFromMetadata(header: string, key: MetadataKey): Json {
  const value = `%CLUSTER_METADATA(${METADATA_NAMESPACE}:${key})%`;
  return { append: { append_action: "OVERWRITE_IF_EXISTS_OR_ADD", header: { key: header, value } } };
}

interface RouteKind {
  /** What the request's headers have to be. */
  readonly headers: readonly Json[];
  /** Whether answers are worth another try. */
  readonly isRepeatable: boolean;
  /**
   * One try begins within so many milliseconds.
   * @default no limit: the headers of a stream may come with its first message, and that much later
   */
  readonly tryTimeoutMs?: number;
  /** Done to the request's headers besides. */
  readonly mutations?: readonly Json[];
}

/** A route, and what it says to the filter, where that is on. */
interface Route {
  readonly route: { readonly [key: string]: Json };
  readonly mutations: readonly Json[];
}

function route(name: string, { headers, isRepeatable, tryTimeoutMs, mutations = [] }: RouteKind): Route {
  const route = {
    name,
    match: { prefix: "/", headers },
    route: {
      cluster_header: VIP_HEADER,
      // Of the whole exchange. The default of 15 s would cut long requests and streams.
      timeout: "0s",
      retry_policy: {
        ...defaultRetryPolicy(isRepeatable),
        ...(tryTimeoutMs === undefined ? {} : { per_try_timeout: `${tryTimeoutMs / 1_000}s` }),
      },
    },
  };
  return { route, mutations: [...(isRepeatable ? [] : [{ remove: RETRY_ON_HEADER }]), ...mutations] };
}

/** Turns the filter on, and has it do this after its own. As TypedStruct, which needs no message of ours. */
function filterConfig(mutations: readonly Json[]): { readonly typed_per_filter_config: Json } {
  return {
    typed_per_filter_config: {
      [FILTER_NAME]: {
        "@type": typeUrlOf(TypedStruct),
        type_url:
          "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
        value: { mutations: { request_mutations: mutations } },
      },
    },
  };
}

const DEFAULTS = DEFAULT_SETTINGS.values;

const IS_REPEATABLE: Json = {
  name: ":method",
  string_match: { safe_regex: { regex: "GET|HEAD|OPTIONS|TRACE|PUT|DELETE" } },
};
const IS_GET: Json = { name: ":method", string_match: { exact: "GET" } };
const EVENTS: Json = { contains: "text/event-stream", ignore_case: true };
const WANTS_EVENTS: Json = { name: "accept", string_match: EVENTS };
const WANTS_NO_EVENTS: Json = {
  name: "accept",
  string_match: EVENTS,
  invert_match: true,
  treat_missing_header_as_empty: true,
};
/** gRPC, gRPC-Web, and Connect where it streams (its unary calls are ordinary POSTs). */
const IS_GRPC: Json = {
  name: "content-type",
  string_match: { safe_regex: { regex: "application/(?:grpc|connect\\+).*" } },
};
const WANTS_WEBSOCKET: Json = { name: "upgrade", string_match: { exact: "websocket", ignore_case: true } };

function lacks(header: string): Json {
  return { name: header, present_match: false };
}

const REPEATABLE = { isRepeatable: true, tryTimeoutMs: DEFAULTS["upstream-request-timeout"] } as const;

/** The routes, in the order in which they are tried. */
const ROUTES: readonly Route[] = [
  route("get", {
    ...REPEATABLE,
    headers: [IS_GET, lacks("upgrade"), WANTS_NO_EVENTS, lacks("content-type")],
  }),
  route("grpc", { headers: [IS_GRPC], isRepeatable: false }),
  route("repeatable-events", { headers: [WANTS_EVENTS, IS_REPEATABLE], isRepeatable: true }),
  route("events", { headers: [WANTS_EVENTS], isRepeatable: false }),
  route("websocket", { headers: [IS_GET, WANTS_WEBSOCKET], isRepeatable: true }),
  route("repeatable", { ...REPEATABLE, headers: [IS_REPEATABLE] }),
  route("others", {
    headers: [],
    isRepeatable: false,
    tryTimeoutMs: DEFAULTS["request-timeout"],
    mutations: [setFromMetadata(TRY_TIMEOUT_HEADER, "only-try-timeout")],
  }),
];

const EVERYWHERE: readonly string[] = ["*"];

/** What {@linkcode routeConfiguration} calls what it makes. */
export const ROUTE_CONFIGURATION_NAME = "vip";

/** Destinations, named as their Clusters, for which the routes are to do something; in what follows they are sorted. */
export type RoutesParts = ReadonlyMap<string, RoutesPart>;

/** The routes of listeners in which the filter is off: on for those destinations that need it. */
export function routeConfiguration(parts: RoutesParts): Json {
  const domains = Map.groupBy([...parts.keys()].sort(), (name) => parts.get(name)!);
  const settings = domains.get("settings");
  const unlogged = domains.get("unlogged");
  return {
    name: ROUTE_CONFIGURATION_NAME,
    // The connection manager has overwritten it when it looks.
    vhost_header: VIP_HEADER,
    virtual_hosts: [
      virtualHost("vip", EVERYWHERE),
      ...(settings === undefined ? [] : [virtualHostWithSettings(settings)]),
      ...(unlogged === undefined ? [] : [unloggedVirtualHost(unlogged)]),
    ],
  };
}

/** The routes of listeners in which the filter is on. */
export const ROUTES_WITH_SETTINGS: Json = {
  name: ROUTE_CONFIGURATION_NAME,
  virtual_hosts: [virtualHostWithSettings(EVERYWHERE)],
};

function virtualHostWithSettings(domains: readonly string[]): Json {
  const routes = ROUTES.map(({ route, mutations }) => (
    mutations.length === 0 ? route : { ...route, ...filterConfig(mutations) }
  ));
  return { ...virtualHost("vip-with-settings", domains), routes, ...filterConfig([]) };
}

/** Says without the filter what the filter would say: it is the one wish that is a matter of speed. */
function unloggedVirtualHost(domains: readonly string[]): Json {
  const header = { key: UNLOGGED_HEADER, value: "true" };
  return {
    ...virtualHost("vip-unlogged", domains),
    request_headers_to_add: [{ append_action: "OVERWRITE_IF_EXISTS_OR_ADD", header }],
  };
}

function virtualHost(name: string, domains: readonly string[]): { readonly [key: string]: Json } {
  return {
    name,
    domains,
    request_headers_to_remove: [VIP_HEADER],
    routes: ROUTES.map(({ route }) => route),
  };
}

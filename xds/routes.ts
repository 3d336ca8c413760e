/**
 * The routes of the HTTP listener: what kind of request this is, and which timeouts and retries it has.
 *
 * In: the destinations whose Services want otherwise than the routes say, and what they want. Out: an
 * `envoy.config.route.v3.RouteConfiguration` and the HTTP filter its routes configure, as plain JSON.
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
 * Destinations whose Services want otherwise have a virtual host with the same routes and their own values in them: one for all that want
 * the same. It is chosen not by the host that a client names but by the destination. Their requests cost as much as all others.
 *
 * There is a limit to how many such virtual hosts there are. Of those beyond it the Clusters say what they want, in their metadata
 * (`translate/metadata.ts`), and a filter writes it into the headers by which Envoy's router is told. A key that is missing writes
 * nothing. A client's own `x-envoy-…` headers are gone by then (the connection manager removes them), and the router removes these. To
 * ask costs a request 3 % of its instructions with nothing to be found and more with something: so the filter is off, and on in a
 * virtual host for those.
 *
 * Source: Envoy 1.40 "Router", "Header mutation" in its configuration reference. What the filter itself says is done before
 * what the route says to it. Which retries a route has is decided in `translate/retries.ts`.
 * @module
 */
import { DEFAULT_SETTINGS } from "../agent/model/mod.ts";
import { TypedStruct, typeUrlOf } from "../protos/mod.ts";
import type { Json } from "./listeners.ts";
import { secondsOf } from "./translate/duration.ts";
import { METADATA_NAMESPACE, type MetadataKey, type RouteSettings } from "./translate/metadata.ts";
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
  return { append: overwriting(header, `%CLUSTER_METADATA(${METADATA_NAMESPACE}:${key})%`) };
}

interface RouteKind {
  readonly name: string;
  /** What the request's headers have to be. */
  readonly headers: readonly Json[];
  /** Whether answers are worth another try. */
  readonly isRepeatable: boolean;
  /**
   * One try begins within so many milliseconds.
   * @default no limit: the headers of a stream may come with its first message, and that much later
   */
  readonly tryTimeoutMs?: number;
  /** The setting that holds for this one instead, beside the one that holds for all. */
  readonly tryTimeoutKey?: MetadataKey;
}

/** A route for those who want this. */
function route(kind: RouteKind, settings: RouteSettings): { readonly [key: string]: Json } {
  const { name, headers, isRepeatable, tryTimeoutMs, tryTimeoutKey } = kind;
  const tryTimeout = settings["try-timeout"] ?? (tryTimeoutKey && settings[tryTimeoutKey]) ?? tryTimeoutMs;
  const retryOn = isRepeatable ? settings["retry-on"] : undefined;
  return {
    name,
    match: { prefix: "/", headers },
    route: {
      cluster_header: VIP_HEADER,
      // Of the whole exchange. The default of 15 s would cut long requests and streams.
      timeout: secondsOf(Number(settings["request-timeout"] ?? 0)),
      retry_policy: {
        ...defaultRetryPolicy(isRepeatable),
        ...(tryTimeout === undefined ? {} : { per_try_timeout: secondsOf(Number(tryTimeout)) }),
      },
    },
    // A Cluster's policy hides the route's; to what it says a header can add.
    ...(retryOn === undefined ? {} : { request_headers_to_add: [overwriting(RETRY_ON_HEADER, retryOn)] }),
  };
}

/** What the filter does besides for requests of this kind. */
function mutationsOf({ isRepeatable, tryTimeoutKey }: RouteKind): readonly Json[] {
  return [
    ...(isRepeatable ? [] : [{ remove: RETRY_ON_HEADER }]),
    ...(tryTimeoutKey === undefined ? [] : [setFromMetadata(TRY_TIMEOUT_HEADER, tryTimeoutKey)]),
  ];
}

function overwriting(key: string, value: string): Json {
  return { append_action: "OVERWRITE_IF_EXISTS_OR_ADD", header: { key, value } };
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
const ROUTES: readonly RouteKind[] = [
  {
    name: "get",
    ...REPEATABLE,
    headers: [IS_GET, lacks("upgrade"), WANTS_NO_EVENTS, lacks("content-type")],
  },
  { name: "grpc", headers: [IS_GRPC], isRepeatable: false },
  { name: "repeatable-events", headers: [WANTS_EVENTS, IS_REPEATABLE], isRepeatable: true },
  { name: "events", headers: [WANTS_EVENTS], isRepeatable: false },
  { name: "websocket", headers: [IS_GET, WANTS_WEBSOCKET], isRepeatable: true },
  { name: "repeatable", ...REPEATABLE, headers: [IS_REPEATABLE] },
  {
    name: "others",
    headers: [],
    isRepeatable: false,
    tryTimeoutMs: DEFAULTS["request-timeout"],
    tryTimeoutKey: "only-try-timeout",
  },
];

/**
 * So many virtual hosts there are at most for Services that want otherwise, some 2 KB each, which are sent with each change. Those
 * that most destinations share come first.
 */
const MOST_VIRTUAL_HOSTS = 20;

const EVERYWHERE: readonly string[] = ["*"];

/** What {@linkcode routeConfiguration} calls what it makes. */
export const ROUTE_CONFIGURATION_NAME = "vip";

/** The routes of listeners in which the filter is off. @param settings By Cluster, whose name is its destination */
export function routeConfiguration(settings: ReadonlyMap<string, RouteSettings>): Json {
  const groups = [...Map.groupBy([...settings.keys()].sort(), (name) => JSON.stringify(settings.get(name)))]
    .toSorted(([text, names], [otherText, others]) =>
      others.length - names.length || (text < otherText ? -1 : 1)
    );
  const others = groups.slice(MOST_VIRTUAL_HOSTS).flatMap(([, names]) => names).sort();
  return {
    name: ROUTE_CONFIGURATION_NAME,
    // The connection manager has overwritten it when it looks.
    vhost_header: VIP_HEADER,
    virtual_hosts: [
      virtualHost("vip", EVERYWHERE),
      ...groups.slice(0, MOST_VIRTUAL_HOSTS).map(([, names]) =>
        virtualHostFor(settings.get(names[0]!)!, names)
      ),
      ...(others.length === 0 ? [] : [virtualHostWithSettings(others)]),
    ],
  };
}

/** The routes of listeners in which the filter is on. */
export const ROUTES_WITH_SETTINGS: Json = {
  name: ROUTE_CONFIGURATION_NAME,
  virtual_hosts: [virtualHostWithSettings(EVERYWHERE)],
};

/** Its routes have what the filter would look up. */
function virtualHostFor(settings: RouteSettings, domains: readonly string[]): Json {
  const name = Object.entries(settings).map(([key, value]) => `${key}=${value}`).join(" ");
  return {
    ...virtualHost(`vip ${name}`, domains, settings),
    ...(settings.unlogged === undefined
      ? {}
      : { request_headers_to_add: [overwriting(UNLOGGED_HEADER, settings.unlogged)] }),
  };
}

function virtualHostWithSettings(domains: readonly string[]): Json {
  const routes = ROUTES.map((kind) => {
    const mutations = mutationsOf(kind);
    return { ...route(kind, {}), ...(mutations.length === 0 ? {} : filterConfig(mutations)) };
  });
  return { ...virtualHost("vip-with-settings", domains), routes, ...filterConfig([]) };
}

function virtualHost(
  name: string,
  domains: readonly string[],
  settings: RouteSettings = {},
): { readonly [key: string]: Json } {
  return {
    name,
    domains,
    request_headers_to_remove: [VIP_HEADER],
    routes: ROUTES.map((kind) => route(kind, settings)),
  };
}

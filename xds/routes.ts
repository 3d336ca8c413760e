/**
 * The constant routes of the HTTP listener: what kind of request this is, and which timeouts and retries it has.
 *
 * In: nothing. Out: an `envoy.config.route.v3.RouteConfiguration` and the HTTP filter its routes configure, as plain JSON.
 *
 * Each route leads to the Cluster named by the header. They differ in what holds by default:
 *
 * | route | requests | begins within | tried again |
 * | --- | --- | --- | --- |
 * | `grpc`, `events` | streams by their nature | no limit | what no endpoint can have acted upon |
 * | `websocket`, `repeatable-events` | the same, asked for with a repeatable method | no limit | and `retry-on` |
 * | `repeatable` | GET, HEAD, OPTIONS, TRACE, PUT, DELETE (RFC 9110, 9.2.2) | 5 s, each try | and `retry-on` |
 * | `others` | POST, PATCH and unknown ones | 15 s | what no endpoint can have acted upon |
 *
 * Where a Service wants otherwise, its Clusters say so in their metadata (`translate/metadata.ts`), and the filter writes it
 * into the headers by which Envoy's router is told. A key that is missing writes nothing. A client's own `x-envoy-…`
 * headers are gone by then (the connection manager removes them), and the router removes these.
 *
 * Source: Envoy 1.40 "Router", "Header mutation" in its configuration reference. A route's `retry_policy` that holds nothing
 * but `per_try_timeout` leaves the Cluster's in force.
 * @module
 */
import { DEFAULT_SETTINGS } from "../agent/model/mod.ts";
import type { Json } from "./listeners.ts";
import { METADATA_NAMESPACE, type MetadataKey } from "./translate/metadata.ts";

/**
 * Names the destination inside the connection manager, which overwrites what a client sent; removed before the request goes
 * upstream.
 *
 * The name is borrowed. Envoy keeps the headers it knows in a table; looking for one of any other name makes it build a
 * dictionary of all headers of the request, and nothing else here does: 2 % of the instructions of a small request, 3 % of one
 * with a browser's headers. Of those it knows, this is one that the connection manager leaves alone and that nobody uses: an
 * Envoy writes it only to say that a request is a retry, where its route asks for that (`include_is_timeout_retry_header`).
 */
export const VIP_HEADER = "x-envoy-is-timeout-retry";

/**
 * Marks the requests that are not to be logged (access_log.ts). From a table again, and one that the connection manager takes
 * away from clients. Their endpoints see it: nothing could remove it and leave it for the log.
 */
export const UNLOGGED_HEADER = "x-envoy-ip-tags";

const FILTER_NAME = "settings";

/** Stands between the filter that fetches the Cluster and the router, which reads the headers. Does what the route says. */
export const SETTINGS_FILTER: Json = {
  name: FILTER_NAME,
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
  },
};

const DEFAULTS = DEFAULT_SETTINGS.values;

/** Overwrites a header, unless the value is empty. */
function set(key: string, value: string): Json {
  return { append: { append_action: "OVERWRITE_IF_EXISTS_OR_ADD", header: { key, value } } };
}

function fromMetadata(key: MetadataKey): string {
  return `%CLUSTER_METADATA(${METADATA_NAMESPACE}:${key})%`;
}

interface RouteKind {
  /** What the request's headers have to be. */
  readonly headers: readonly Json[];
  /** One try begins within so many milliseconds. @default no limit */
  readonly tryTimeoutMs?: number;
  /** What a Service says instead. */
  readonly tryTimeoutKey: MetadataKey;
  /** Whether answers are worth another try. */
  readonly isRepeatable: boolean;
}

function route(name: string, { headers, tryTimeoutMs, tryTimeoutKey, isRepeatable }: RouteKind): Json {
  return {
    name,
    match: { prefix: "/", headers },
    route: {
      cluster_header: VIP_HEADER,
      // Of the whole exchange. The default of 15 s would cut long requests and streams.
      timeout: "0s",
      ...(tryTimeoutMs === undefined
        ? {}
        : { retry_policy: { per_try_timeout: `${tryTimeoutMs / 1_000}s` } }),
    },
    typed_per_filter_config: {
      [FILTER_NAME]: {
        "@type":
          "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
        mutations: {
          request_mutations: [
            set("x-envoy-upstream-rq-timeout-ms", fromMetadata("request-timeout")),
            set("x-envoy-upstream-rq-per-try-timeout-ms", fromMetadata(tryTimeoutKey)),
            set(UNLOGGED_HEADER, fromMetadata("unlogged")),
            // Adds to what the Cluster retries (translate/retries.ts); how often and where stays the Cluster's.
            ...(isRepeatable
              ? [
                set("x-envoy-retry-on", DEFAULTS["retry-on"].join()),
                set("x-envoy-retry-on", fromMetadata("retry-on")),
              ]
              : []),
          ],
        },
      },
    },
  };
}

const IS_REPEATABLE: Json = {
  name: ":method",
  string_match: { safe_regex: { regex: "GET|HEAD|OPTIONS|TRACE|PUT|DELETE" } },
};
const WANTS_EVENTS: Json = {
  name: "accept",
  string_match: { contains: "text/event-stream", ignore_case: true },
};
/** gRPC, gRPC-Web, and Connect where it streams (its unary calls are ordinary POSTs). */
const IS_GRPC: Json = {
  name: "content-type",
  string_match: { safe_regex: { regex: "application/(?:grpc|connect\\+).*" } },
};
const WANTS_WEBSOCKET: readonly Json[] = [
  { name: ":method", string_match: { exact: "GET" } },
  { name: "upgrade", string_match: { exact: "websocket", ignore_case: true } },
];

/** Without a limit: the headers of a stream may come with its first message, and that much later. */
const STREAM = { tryTimeoutKey: "stream-try-timeout" } as const;

/** The routes, in the order in which they are tried. */
const ROUTES: readonly Json[] = [
  route("grpc", { ...STREAM, headers: [IS_GRPC], isRepeatable: false }),
  route("repeatable-events", { ...STREAM, headers: [WANTS_EVENTS, IS_REPEATABLE], isRepeatable: true }),
  route("events", { ...STREAM, headers: [WANTS_EVENTS], isRepeatable: false }),
  route("websocket", { ...STREAM, headers: WANTS_WEBSOCKET, isRepeatable: true }),
  route("repeatable", {
    headers: [IS_REPEATABLE],
    tryTimeoutMs: DEFAULTS["upstream-request-timeout"],
    tryTimeoutKey: "try-timeout",
    isRepeatable: true,
  }),
  route("others", {
    headers: [],
    tryTimeoutMs: DEFAULTS["request-timeout"],
    tryTimeoutKey: "only-try-timeout",
    isRepeatable: false,
  }),
];

/** The whole route configuration. */
export const ROUTE_CONFIGURATION: Json = {
  name: "vip",
  virtual_hosts: [{
    name: "vip",
    domains: ["*"],
    request_headers_to_remove: [VIP_HEADER],
    routes: ROUTES,
  }],
};

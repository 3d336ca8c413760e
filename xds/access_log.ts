/**
 * The access log of the constant listeners: a line of JSON on Envoy's stdout for each request, and for each TCP connection
 * when it ends.
 *
 * In: nothing. Out: two `envoy.config.accesslog.v3.AccessLog` as plain JSON. Whether a Service is logged, its Clusters say in
 * their metadata (`translate/metadata.ts`), so it can be switched while connections are open. That of a destination that is nobody's
 * says no; and what came to no Cluster is not logged.
 *
 * To look into the metadata takes an expression, and that 6 % of Envoy's CPU time for a request. So of requests it is the
 * last question. First, those that no Service wants logged are marked (`routes.ts`). Of the others nearly all went the whole way:
 * the header that named the Cluster is gone, as the router leaves them, and the answer is no 5xx, as all are to what is nobody's.
 * What cannot be told by that is asked exactly.
 *
 * The client is the one that connected, not what `x-forwarded-for` claims. The Service is the Cluster's name in statistics
 * (`alt_stat_name`): a field of metadata for each of namespace, name and port would cost 4 % of HTTP throughput. Absent
 * values are null, and no flags "-"; keys come sorted.
 *
 * Envoy writes the lines every 10 s unless it is started with {@linkcode ACCESS_LOG_ARGUMENTS}.
 *
 * Source: Envoy 1.40 "Access logging" (command operators), "CEL attributes" (`xds.cluster_metadata`).
 * @module
 */
import type { Json } from "./listeners.ts";
import { UNLOGGED_HEADER, VIP_HEADER } from "./routes.ts";
import { METADATA_NAMESPACE, type MetadataKey } from "./translate/metadata.ts";

/** Envoy's command line: how often lines are written, in milliseconds. */
export const ACCESS_LOG_ARGUMENTS: readonly string[] = ["--file-flush-interval-msec", "1000"];

const CONNECTION: { readonly [field: string]: Json } = {
  time: "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
  // default/echo:http
  service: "%UPSTREAM_CLUSTER%",
  client: "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
  endpoint: "%UPSTREAM_HOST%",
  // Why there was no answer, or no good one: UF, UH, UO, UT, URX …
  flags: "%RESPONSE_FLAGS%",
  bytes_received: "%BYTES_RECEIVED%",
  bytes_sent: "%BYTES_SENT%",
  // Milliseconds.
  duration: "%DURATION%",
  attempts: "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
};

const REQUEST: { readonly [field: string]: Json } = {
  ...CONNECTION,
  method: "%REQ(:METHOD)%",
  path: "%REQ(:PATH)%",
  status: "%RESPONSE_CODE%",
};

const UNLOGGED: MetadataKey = "unlogged";

/** Where there is no such part of the metadata, or no Cluster, this is an error, which Envoy takes for a no. */
const OF_SERVICES_THAT_WANT_IT: Json = {
  extension_filter: {
    name: "of-services-that-want-it",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
      expression: `!('${UNLOGGED}' in xds.cluster_metadata.filter_metadata['${METADATA_NAMESPACE}'])`,
    },
  },
};

/**
 * The connection manager gives every request an id before it is routed; what it refused at once has none. What is nobody's
 * is answered with 503, whatever else.
 */
const ORDINARY: Json = {
  and_filter: {
    filters: [
      hasHeader("x-request-id", true),
      hasHeader(VIP_HEADER, false),
      // Envoy wants a runtime key, by which the number could be changed; nobody does.
      {
        status_code_filter: { comparison: { op: "LE", value: { default_value: 499, runtime_key: "none" } } },
      },
    ],
  },
};

function hasHeader(name: string, isPresent: boolean): Json {
  return { header_filter: { header: { name, present_match: isPresent } } };
}

/** Of the TCP listener. */
export const TCP_ACCESS_LOG: Json = accessLog(CONNECTION, OF_SERVICES_THAT_WANT_IT);

/** Of the HTTP listener. */
export const HTTP_ACCESS_LOG: Json = accessLog(REQUEST, {
  and_filter: {
    filters: [
      hasHeader(UNLOGGED_HEADER, false),
      { or_filter: { filters: [ORDINARY, OF_SERVICES_THAT_WANT_IT] } },
    ],
  },
});

function accessLog(fields: { readonly [field: string]: Json }, filter: Json): Json {
  return [{
    name: "stdout",
    filter,
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
      log_format: { json_format: fields },
    },
  }];
}

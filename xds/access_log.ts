/**
 * The access log of the constant listeners: a line of JSON on Envoy's stdout for each request, and for each TCP connection
 * when it ends.
 *
 * In: nothing. Out: two `envoy.config.accesslog.v3.AccessLog` as plain JSON. Whether a Service is logged, its Clusters say in
 * their metadata (`translate/metadata.ts`), so it can be switched while connections are open. A Cluster that says nothing, as
 * that of a destination that is nobody's, is not logged.
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

/** Of the TCP listener. */
export const TCP_ACCESS_LOG: Json = accessLog(CONNECTION);

/** Of the HTTP listener. */
export const HTTP_ACCESS_LOG: Json = accessLog(REQUEST);

function accessLog(fields: { readonly [field: string]: Json }): Json {
  const key: MetadataKey = "access-log";
  return [{
    name: "stdout",
    filter: {
      extension_filter: {
        name: "of-services-that-want-it",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
          // Where there is no such key this is an error, which Envoy takes for a no.
          expression: `xds.cluster_metadata.filter_metadata['${METADATA_NAMESPACE}']['${key}']`,
        },
      },
    },
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
      log_format: { json_format: fields },
    },
  }];
}

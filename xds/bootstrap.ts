/**
 * The constant part of Envoy: everything that does not depend on any Service.
 *
 * In: the node's name, ports, sockets, mode. Out: an `envoy.config.bootstrap.v3.Bootstrap` as plain JSON; the same
 * options always give the same text. Written once at start; Services never change it, because each connection's
 * original destination ("VIP:port", kept by the kernel's redirect) *is* the name of its Cluster (`listeners.ts`).
 *
 * In both modes Envoy subscribes to Clusters by wildcard, and its init manager lets the listeners begin only when those of
 * the first answer have their endpoints. In eager mode that is all of them. In on-demand mode it is what this node used
 * before, and the listeners ask for any other at its first connection (ODCDS), on the same stream.
 *
 * Source: Envoy 1.40 API reference. Each value that differs from Envoy's default says which parity it restores.
 * @module
 */
import { ENVOY_SOCKET_PRIORITY } from "../agent/model/mod.ts";
import { ADS_FOR_START, type Json, type ListenerOptions, listeners } from "./listeners.ts";
import { SOURCE_FILTER_METADATA } from "./source_filter_metadata.ts";
import { STATISTICS } from "./statistics.ts";
import { wildcardMetadata } from "./wildcard_scope.ts";

/** Where Envoy finds the agent's ADS server. */
export type AdsAddress =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/** What the constant part depends on. */
export interface BootstrapOptions extends ListenerOptions {
  /** Becomes `node.id`. */
  readonly nodeName: string;
  readonly adsAddress: AdsAddress;
  /** Unix socket for Envoy's admin interface, created with mode 0600. */
  readonly adminSocket: string;
}

/** The whole bootstrap configuration. */
export function bootstrap(options: BootstrapOptions): Json {
  return {
    node: {
      id: options.nodeName,
      cluster: "lightpath",
      metadata: {
        ...wildcardMetadata(options.mode === "eager" ? "all" : "used"),
        ...SOURCE_FILTER_METADATA,
      },
    },
    admin: { address: { pipe: { path: options.adminSocket, mode: 0o600 } } },
    dynamic_resources: {
      ads_config: {
        api_type: "DELTA_GRPC",
        transport_api_version: "V3",
        grpc_services: [{
          envoy_grpc: {
            cluster_name: ADS_CLUSTER,
            // Envoy's default backs off up to 30 s, so a restarted agent could stay unheard that long.
            retry_policy: { retry_back_off: { base_interval: "0.1s", max_interval: "1s" } },
          },
        }],
      },
      // Makes Envoy introduce itself when it connects, and wait for the agent before it listens: until then nobody
      // connects to it, instead of waiting for Clusters that nobody sends: the kernel serves in its place.
      cds_config: ADS_FOR_START,
      // Listeners of the few Services that need one of their own (translate/listener.ts), besides the constant ones.
      lds_config: ADS_FOR_START,
    },
    static_resources: {
      listeners: listeners(options),
      clusters: [adsCluster(options.adsAddress)],
    },
    cluster_manager: { upstream_bind_config: { socket_options: [PRIORITY] } },
    layered_runtime: { layers: [{ name: "constant", static_layer: RUNTIME }] },
    overload_manager: { resource_monitors: [NO_CONNECTION_LIMIT] },
    ...STATISTICS,
  };
}

const ADS_CLUSTER = "lightpath-ads";

function adsCluster(address: AdsAddress): Json {
  return {
    name: ADS_CLUSTER,
    type: "STATIC",
    connect_timeout: "1s",
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: {
      cluster_name: ADS_CLUSTER,
      endpoints: [{
        lb_endpoints: [{
          endpoint: {
            address: address.kind === "unix"
              ? { pipe: { path: address.path } }
              : { socket_address: { address: address.host, port_value: address.port } },
          },
        }],
      }],
    },
  };
}

/** SO_PRIORITY (SOL_SOCKET 1, option 12): by it the kernel knows Envoy's own connections, and does not redirect them. */
const PRIORITY: Json = { level: 1, name: 12, int_value: ENVOY_SOCKET_PRIORITY, state: "STATE_PREBIND" };

/** Says that the missing limit is meant (Envoy warns otherwise): what limits is conntrack and file descriptors. */
const NO_CONNECTION_LIMIT: Json = {
  name: "envoy.resource_monitors.global_downstream_max_connections",
  typed_config: {
    "@type":
      "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
    max_active_downstream_connections: "9007199254740991",
  },
};

/**
 * How many streams a client of HTTP/2 may cancel within two seconds of their beginning: without a limit. By Envoy's default (half
 * of 500) the connection is cut, with all that is under way on it, as soon as some hundred calls ran into a short deadline. How
 * fast a client may cancel is limited by the codec: 1,000 at once, and 33 a second.
 */
const RUNTIME: Json = { "overload.premature_reset_total_stream_count": 4_294_967_295 };

/**
 * The constant part of Envoy: everything that does not depend on any Service.
 *
 * In: the node's name, ports, sockets, mode. Out: an `envoy.config.bootstrap.v3.Bootstrap` as plain JSON; the same
 * options always give the same text. Written once at start; Services never change it, because each connection's
 * original destination ("VIP:port", kept by the kernel's redirect) *is* the name of its Cluster:
 *
 * - Listener `tcp`: `original_dst` restores the destination, `set_filter_state` makes it the Cluster's name,
 *   `tcp_proxy` connects.
 * - Listener `http`: the connection manager writes the destination into a header of its own, overwriting whatever
 *   the client sent under that name, and one route reads the Cluster's name from it and removes it.
 *
 * In on-demand mode both ask for an unknown Cluster at the first connection (ODCDS); in eager mode Envoy subscribes to
 * all Clusters and never asks. The two must not be mixed on one stream.
 *
 * Invariant: a connection can reach only Clusters the agent serves; a destination that is no VIP gets a Cluster
 * without endpoints (`resource_store.ts`), so the listeners are no open proxy even without the kernel's guard.
 *
 * Source: Envoy 1.40 API reference. Each value that differs from Envoy's default says which parity it restores: a
 * connection through kube-proxy has no idle timeout, no request timeout and no limit but the kernel's.
 * @module
 */
import { ENVOY_SOCKET_PRIORITY, type IPFamily } from "../agent/model/mod.ts";

/** Names the destination inside the connection manager; removed before the request goes upstream. */
export const VIP_HEADER = "x-lightpath-vip";

/** Where Envoy finds the agent's ADS server. */
export type AdsAddress =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/** When Envoy learns of a Cluster: at its first connection, or all at start. */
export type XdsMode = "on-demand" | "eager";

/** What the constant part depends on. */
export interface BootstrapOptions {
  /** Becomes `node.id`. */
  readonly nodeName: string;
  readonly mode: XdsMode;
  readonly adsAddress: AdsAddress;
  /** Unix socket for Envoy's admin interface, created with mode 0600. */
  readonly adminSocket: string;
  readonly tcpPort: number;
  readonly httpPort: number;
  /** Families to listen on; Envoy does not start when it must listen on a family the host lacks. */
  readonly families: readonly IPFamily[];
}

/** A JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** How long a first connection waits for its Cluster before it fails; only reached while the agent is away. */
const ON_DEMAND_TIMEOUT = "5s";

const ADS = { ads: {}, resource_api_version: "V3" } as const;

/** Without a limit (0 s) to the wait for the first answer; Envoy's default begins to listen after 15 s without one. */
const ADS_FOR_START = { ...ADS, initial_fetch_timeout: "0s" } as const;

/** The whole bootstrap configuration. */
export function bootstrap(options: BootstrapOptions): Json {
  return {
    node: { id: options.nodeName, cluster: "lightpath" },
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
      // Stays empty as long as no Service needs a listener of its own. It also makes Envoy introduce itself when it
      // connects, and wait for the agent before it listens: until then connections are refused at once instead of
      // waiting for Clusters that nobody sends.
      lds_config: ADS_FOR_START,
      ...(options.mode === "eager" ? { cds_config: ADS_FOR_START } : {}),
    },
    static_resources: {
      listeners: [tcpListener(options), httpListener(options)],
      clusters: [adsCluster(options.adsAddress)],
    },
    cluster_manager: { upstream_bind_config: { socket_options: [PRIORITY] } },
    overload_manager: { resource_monitors: [NO_CONNECTION_LIMIT] },
    stats_config: statsConfig(options.mode),
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

function tcpListener(options: BootstrapOptions): Json {
  return {
    name: "tcp",
    ...listenOn(options.tcpPort, options.families),
    filter_chains: [{
      filters: [
        {
          name: "cluster-from-destination",
          typed_config: {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.set_filter_state.v3.Config",
            on_new_connection: [{
              object_key: "envoy.tcp_proxy.cluster",
              format_string: { text_format_source: { inline_string: "%DOWNSTREAM_LOCAL_ADDRESS%" } },
            }],
          },
        },
        {
          name: "tcp-proxy",
          typed_config: {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            stat_prefix: "tcp",
            // Never used: the filter state above always names one.
            cluster: "none",
            // Envoy's default ends a silent connection after an hour; kube-proxy never does. Dead peers are found
            // by TCP keepalive, downstream below and upstream on the Cluster.
            idle_timeout: "0s",
            // Each attempt asks the load balancer anew, which has no memory of what refused (HTTP has: previous_hosts)
            // and favours a dead endpoint, because that has the fewest connections. With one dead of two, 3 attempts
            // lost two connections of five; 10 lose one of twenty.
            max_connect_attempts: 10,
            backoff_options: { base_interval: "0.005s", max_interval: "0.02s" },
            ...(options.mode === "on-demand"
              ? { on_demand: { odcds_config: ADS, timeout: ON_DEMAND_TIMEOUT } }
              : {}),
          },
        },
      ],
    }],
  };
}

function httpListener(options: BootstrapOptions): Json {
  const onDemand: Json = {
    name: "envoy.filters.http.on_demand",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.on_demand.v3.OnDemand",
      odcds: { source: ADS, timeout: ON_DEMAND_TIMEOUT },
    },
  };
  const router: Json = {
    name: "envoy.filters.http.router",
    typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
  };
  return {
    name: "http",
    ...listenOn(options.httpPort, options.families),
    filter_chains: [{
      filters: [{
        name: "http-connection-manager",
        typed_config: {
          "@type":
            "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
          stat_prefix: "http",
          codec_type: "AUTO",
          early_header_mutation_extensions: [{
            name: "cluster-from-destination",
            typed_config: {
              "@type":
                "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
              mutations: [{
                append: {
                  append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
                  header: { key: VIP_HEADER, value: "%DOWNSTREAM_LOCAL_ADDRESS%" },
                },
              }],
            },
          }],
          route_config: {
            name: "vip",
            virtual_hosts: [{
              name: "vip",
              domains: ["*"],
              request_headers_to_remove: [VIP_HEADER],
              routes: [{
                match: { prefix: "/" },
                // The default of 15 s would cut long requests and streams.
                route: { cluster_header: VIP_HEADER, timeout: "0s" },
              }],
            }],
          },
          http_filters: options.mode === "on-demand" ? [onDemand, router] : [router],
          // Appends the address the connection came from to x-forwarded-for.
          use_remote_address: true,
          // Whoever connects is as trusted as behind kube-proxy: an ingress controller that ended TLS tells endpoints so
          // in x-forwarded-proto, which Envoy would overwrite with "http"; and in x-forwarded-client-cert, which it would
          // remove. x-envoy-* headers that steer Envoy itself are still taken away. (So in access logs the client is
          // %DOWNSTREAM_DIRECT_REMOTE_ADDRESS%; the one without DIRECT is what x-forwarded-for claims.)
          xff_num_trusted_hops: 1,
          forward_client_cert_details: "ALWAYS_FORWARD_ONLY",
          // The endpoint says whether it wants the body, not Envoy.
          proxy_100_continue: true,
          // A backend's own `server` header passes; `server: envoy` only where there is none.
          server_header_transformation: "APPEND_IF_ABSENT",
          preserve_external_request_id: true,
          // The default of 5 min would cut silent streams.
          stream_idle_timeout: "0s",
          common_http_protocol_options: { idle_timeout: "0s", max_headers_count: 1000 },
          max_request_headers_kb: 96,
          http_protocol_options: {
            accept_http_10: true,
            default_host_for_http_10: "service",
            enable_trailers: true,
          },
          upgrade_configs: [{ upgrade_type: "websocket" }],
        },
      }],
    }],
  };
}

/** Listens on all addresses: which of the node's a redirected connection arrives at is the kernel's affair. */
function listenOn(port: number, families: readonly IPFamily[]): { readonly [key: string]: Json } {
  const [first, ...others] = families.map((family) => ({
    socket_address: { address: family === "IPv4" ? "0.0.0.0" : "::", port_value: port },
  }));
  if (first === undefined) throw new RangeError("Cannot write a bootstrap without an IP family to listen on");
  return {
    address: first,
    additional_addresses: others.map((address) => ({ address })),
    listener_filters: [{
      name: "envoy.filters.listener.original_dst",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
      },
    }],
    socket_options: KEEPALIVE,
  };
}

/**
 * SO_KEEPALIVE (SOL_SOCKET 1, option 9), TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT (IPPROTO_TCP 6, options 4, 5, 6),
 * seconds; accepted sockets inherit them from the listening one (socket(7), tcp(7)). Finds a client that vanished
 * without a word within 60 + 5 x 15 s.
 */
const KEEPALIVE: Json = [
  { level: 1, name: 9, int_value: 1, state: "STATE_PREBIND" },
  { level: 6, name: 4, int_value: 60, state: "STATE_PREBIND" },
  { level: 6, name: 5, int_value: 15, state: "STATE_PREBIND" },
  { level: 6, name: 6, int_value: 5, state: "STATE_PREBIND" },
];

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
 * In eager mode every Service has Clusters whether used or not, and their statistics would be most of Envoy's memory
 * (design: 686 MB with, 340 MB without, at 10,000), so they are left out there.
 */
function statsConfig(mode: XdsMode): Json {
  if (mode === "on-demand") return {};
  return { stats_matcher: { exclusion_list: { patterns: [{ prefix: "cluster." }] } } };
}

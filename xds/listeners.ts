/**
 * The two constant listeners: how a connection finds the Cluster of its destination. What they do with it is also what the
 * Listeners do that a few Services have of their own (translate/listener.ts), but for how long it may be idle.
 *
 * In: ports, families, mode. Out: two `envoy.config.listener.v3.Listener` as plain JSON.
 *
 * - Listener `tcp`: `original_dst` restores the destination, `set_filter_state` makes it the Cluster's name,
 *   `tcp_proxy` connects.
 * - Listener `http`: the connection manager writes the destination into a header of its own, overwriting whatever
 *   the client sent under that name; the route reads the Cluster's name from it and removes it (`routes.ts`). Before it,
 *   `set_filter_state` notes where the connection came from. The routes come from the agent, because they say for which
 *   destinations the filter `settings` is on.
 * - Both hand a connection over to the Listener of its destination, if that has one of its own (`use_original_dst`).
 * - Both write the access log of Services that want it (`access_log.ts`).
 *
 * - Both note on a connection that endpoints are to be asked in its client's name, or not: the filter that does comes over ADS
 *   (translate/source_filter.ts).
 *
 * Invariant: a connection can reach only Clusters the agent serves; a destination that is no VIP gets a Cluster
 * without endpoints (`resource_store.ts`), so the listeners are no open proxy even without the kernel's guard.
 *
 * Source: Envoy 1.40 API reference. Each value that differs from Envoy's default says which parity it restores: a
 * connection through kube-proxy has no idle timeout, no request timeout and no limit but the kernel's. What a Service's
 * annotations promise by default (`ANNOTATIONS`) is kept here where the Cluster cannot: HTTP clients that are idle.
 * @module
 */
import { HTTP_IDLE_TIMEOUT_MS, type IPFamily } from "../agent/model/mod.ts";
import { HTTP_ACCESS_LOG, TCP_ACCESS_LOG } from "./access_log.ts";
import { ROUTE_CONFIGURATION_NAME, ROUTES_WITH_SETTINGS, SETTINGS_FILTER, VIP_HEADER } from "./routes.ts";
import { secondsOf } from "./translate/duration.ts";

/** A JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** When Envoy learns of a Cluster: at its first connection, or all at start. */
export type XdsMode = "on-demand" | "eager";

/** What the listeners depend on. */
export interface ListenerOptions {
  readonly mode: XdsMode;
  readonly tcpPort: number;
  readonly httpPort: number;
  /** Families to listen on; Envoy does not start when it must listen on a family the host lacks. */
  readonly families: readonly IPFamily[];
}

/** A network filter. */
export type NetworkFilter = {
  readonly name: string;
  readonly typed_config: { readonly "@type": string; readonly [key: string]: Json };
};

/** What is done with the connections that a listener takes. */
export type FilterChains = {
  readonly filter_chains: readonly { readonly filters: readonly NetworkFilter[] }[];
};

/** What the filters depend on. */
export interface FilterOptions {
  readonly mode: XdsMode;
  /** How long a client's connection may be idle; 0 is for ever. */
  readonly idleTimeoutMs: number;
}

/** What those of HTTP depend on besides. */
export interface HttpFilterOptions extends FilterOptions {
  /** Whether the Services behind it want otherwise than the routes say: all may, or the agent says for which destinations. */
  readonly settings: "of-all" | "of-those-named";
}

/** A `ConfigSource`: over the ADS stream. */
export const ADS = { ads: {}, resource_api_version: "V3" } as const;

/** Without a limit (0 s) to the wait for the first answer; Envoy's default begins to listen after 15 s without one. */
export const ADS_FOR_START = { ...ADS, initial_fetch_timeout: "0s" } as const;

/** Filter state that holds the address a connection came from; MAGLEV and RING_HASH can hash it (translate/balancing.ts). */
export const SOURCE_FILTER_STATE = "lightpath.source";

/** The listener filter that the agent chooses, by its name in discovery. */
export const SOURCE_FILTER = "lightpath-source";
/** What it can be. */
export const ORIGINAL_SRC =
  "type.googleapis.com/envoy.extensions.filters.listener.original_src.v3.OriginalSrc";
export const ORIGINAL_DST =
  "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst";

/** How long a first connection waits for its Cluster before it fails; only reached while the agent is away. */
const ON_DEMAND_TIMEOUT = "5s";

/**
 * Both listeners.
 * @throws {RangeError} when there is no family to listen on
 */
export function listeners({ mode, tcpPort, httpPort, families }: ListenerOptions): readonly Json[] {
  return [
    // Envoy's default ends a silent connection after an hour; kube-proxy never does. Dead peers are found by TCP keepalive,
    // downstream below and upstream on the Cluster.
    { name: "tcp", ...listenOn(tcpPort, families), ...tcpFilterChains({ mode, idleTimeoutMs: 0 }) },
    {
      name: "http",
      ...listenOn(httpPort, families),
      ...httpFilterChains({ mode, idleTimeoutMs: HTTP_IDLE_TIMEOUT_MS, settings: "of-those-named" }),
    },
  ];
}

/** Bytes go to the Cluster of their connection's destination. */
export function tcpFilterChains(options: FilterOptions): FilterChains {
  return {
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
            access_log: TCP_ACCESS_LOG,
            // Never used: the filter state above always names one.
            cluster: "none",
            idle_timeout: secondsOf(options.idleTimeoutMs),
            // Each attempt asks the load balancer anew, which favours a dead endpoint, because that has the fewest
            // connections. Outlier detection takes it out at its first failure (translate/cluster.ts), but a moment
            // later: hence the pauses. One dead of two costs under 1 % of connections; without both and with 3 attempts, 20 %.
            max_connect_attempts: 10,
            backoff_options: { base_interval: "0.005s", max_interval: "0.02s" },
            // Read by MAGLEV and RING_HASH only.
            hash_policy: [{ source_ip: {} }],
            ...(options.mode === "on-demand"
              ? { on_demand: { odcds_config: ADS, timeout: ON_DEMAND_TIMEOUT } }
              : {}),
          },
        },
      ],
    }],
  };
}

/** Each request goes to the Cluster of its connection's destination. */
export function httpFilterChains(options: HttpFilterOptions): FilterChains {
  const ofAll = options.settings === "of-all";
  const settings = ofAll ? SETTINGS_FILTER : { ...SETTINGS_FILTER, disabled: true };
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
    filter_chains: [{
      filters: [SOURCE, {
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
          access_log: HTTP_ACCESS_LOG,
          ...(ofAll ? { route_config: ROUTES_WITH_SETTINGS } : { rds: ROUTES_OF_THE_AGENT }),
          http_filters: [...(options.mode === "on-demand" ? [onDemand] : []), settings, router],
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
          // Who the endpoint is, or that it does not say: Envoy's default writes `server: envoy`.
          server_header_transformation: "PASS_THROUGH",
          preserve_external_request_id: true,
          // The default of 5 min would cut silent streams.
          stream_idle_timeout: "0s",
          common_http_protocol_options: {
            idle_timeout: secondsOf(options.idleTimeoutMs),
            max_headers_count: 1000,
          },
          max_request_headers_kb: 96,
          http_protocol_options: {
            accept_http_10: true,
            default_host_for_http_10: "service",
            enable_trailers: true,
            // Offers that the endpoint may ignore (RFC 9110, 7.8), and that some clients make with every request (Apache HttpClient
            // 5.4: `TLS/1.2`). By default Envoy answers 403, but for h2c. What a client insists on is refused as before.
            ignore_http_11_upgrade: [{ prefix: "TLS/" }, { prefix: "HTTP/" }],
          },
          http2_protocol_options: HTTP2_PROTOCOL_OPTIONS,
          upgrade_configs: [{ upgrade_type: "websocket" }],
        },
      }],
    }],
  };
}

/** A malformed request is the end of its stream, and not of the others on its connection (RFC 9113, 8.1.1). */
const HTTP2_PROTOCOL_OPTIONS: Json = { override_stream_error_on_invalid_http_message: true };

/** They come once, and again when a destination begins or ceases to have settings; connections stay as they are. */
const ROUTES_OF_THE_AGENT: Json = {
  route_config_name: ROUTE_CONFIGURATION_NAME,
  config_source: ADS_FOR_START,
};

/**
 * Makes the peer's address something a Cluster's hash policy can name. (Only `envoy.hashable_string` can be hashed; what a
 * request's `x-forwarded-for` claims does not enter.)
 */
const SOURCE: NetworkFilter = {
  name: "source",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.set_filter_state.v3.Config",
    on_new_connection: [{
      object_key: SOURCE_FILTER_STATE,
      factory_key: "envoy.hashable_string",
      format_string: {
        text_format_source: { inline_string: "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%" },
      },
    }],
  },
};

/** Listens on all addresses: which of the node's a redirected connection arrives at is the kernel's affair. */
function listenOn(port: number, families: readonly IPFamily[]): { readonly [key: string]: Json } {
  const [first, ...others] = families.map((family) => ({
    socket_address: { address: family === "IPv4" ? "0.0.0.0" : "::", port_value: port },
  }));
  if (first === undefined) throw new RangeError("Cannot write a bootstrap without an IP family to listen on");
  return {
    address: first,
    additional_addresses: others.map((address) => ({ address })),
    listener_filters: [
      { name: "envoy.filters.listener.original_dst", typed_config: { "@type": ORIGINAL_DST } },
      {
        name: SOURCE_FILTER,
        // No limit to the wait: an answer comes with the first Clusters, which the listeners wait for as well.
        config_discovery: {
          config_source: { ...ADS, initial_fetch_timeout: "0s" },
          type_urls: [ORIGINAL_SRC, ORIGINAL_DST],
        },
      },
    ],
    use_original_dst: true,
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

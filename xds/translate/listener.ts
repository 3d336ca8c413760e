/**
 * Translates a ServicePort that needs one (`own_listener.ts`) into the Listener for one of its destinations.
 *
 * In: the ServicePort, what its Listener must do, a destination it owns. Out: an `envoy.config.listener.v3.Listener`; same
 * input, same message.
 *
 * It binds no port: the constant listeners hand over to it what was going to its address (`use_original_dst`). One for each
 * destination, named as its Cluster is: so another VIP or node address leaves the Listeners of the others, and the
 * connections on them, alone; and two never ask for the same address, of which Envoy would refuse the second.
 *
 * The filters are those of the constant listeners, in the same JSON, which Envoy reads from a TypedStruct as it reads the
 * bootstrap. They always ask for Clusters on demand: where Envoy has them all, nothing is asked.
 *
 * Source: Envoy 1.40 API reference; "Extension configuration" for TypedStruct.
 * @module
 */
import type { OwnListener, ServicePort } from "../../agent/model/mod.ts";
import { type Any, Listener, packAny, TypedStruct } from "../../protos/mod.ts";
import { type FilterChains, httpFilterChains, type NetworkFilter, tcpFilterChains } from "../listeners.ts";
import { clusterName, type Destination, statisticsName } from "../names.ts";

/** How long an endpoint may take to answer a command, before the client is told of an error. */
const REDIS_COMMAND_TIMEOUT = "15s";

/** The Listener of a destination. */
export function translateListener(
  servicePort: ServicePort,
  own: OwnListener,
  { address, port }: Pick<Destination, "address" | "port">,
): Listener {
  const name = clusterName(address, port);
  return Listener.fromPartial({
    name,
    address: { socketAddress: { address, portValue: port } },
    bindToPort: false,
    filterChains: filterChains(servicePort, own, name).filter_chains.map(({ filters }) => ({
      filters: filters.map(packFilter),
    })),
  });
}

function filterChains(servicePort: ServicePort, own: OwnListener, cluster: string): FilterChains {
  switch (own.kind) {
    case "tcp":
      return tcpFilterChains({ mode: "on-demand", idleTimeoutMs: own.idleTimeoutMs });
    case "http":
      return httpFilterChains({ mode: "on-demand", idleTimeoutMs: own.idleTimeoutMs, settings: "of-all" });
    case "redis":
      return redisFilterChains(servicePort, cluster);
    default:
      return own satisfies never;
  }
}

/** Each command goes to the endpoint its key belongs to. This filter asks for no Cluster: it must be there (`isPushed`). */
function redisFilterChains(servicePort: ServicePort, cluster: string): FilterChains {
  return {
    filter_chains: [{
      filters: [{
        name: "redis-proxy",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy",
          stat_prefix: statisticsName(servicePort),
          settings: { op_timeout: REDIS_COMMAND_TIMEOUT, enable_command_stats: true },
          prefix_routes: { catch_all_route: { cluster } },
        },
      }],
    }],
  };
}

function packFilter(
  { name, typed_config }: NetworkFilter,
): { readonly name: string; readonly typedConfig: Any } {
  const { "@type": typeUrl, ...value } = typed_config;
  return { name, typedConfig: packAny(TypedStruct, TypedStruct.create({ typeUrl, value })) };
}

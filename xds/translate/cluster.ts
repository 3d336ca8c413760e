/**
 * Translates a ServicePort into the Cluster for one of its destinations.
 *
 * In: a TCP ServicePort, the destination's name and family. Out: an `envoy.config.cluster.v3.Cluster`; same input, same
 * message. Everything a Service may ask of Envoy rides on the Cluster, because the listeners are constant. This composes it;
 * how an endpoint is chosen is decided in `balancing.ts`, how much may be under way in `limits.ts`, who is left out for a
 * while in `outliers.ts`, what is tried again in `retries.ts`, what the routes are told in `metadata.ts`.
 *
 * Source: Envoy 1.40 API reference. Where a value below is Envoy's default, it is not written.
 * @module
 */
import {
  BALANCED_SOCKET_PRIORITY,
  DEFAULT_SETTINGS,
  type IPFamily,
  isHttp,
  MASQUERADED_SOCKET_PRIORITY,
  type ServicePort,
  servicePortLabel,
  type TrafficPolicy,
} from "../../agent/model/mod.ts";
import {
  ApiVersion,
  BindConfig,
  Cluster,
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  ClusterLoadAssignment,
  HttpProtocolOptions,
  packAny,
  SocketAddress,
  SocketOption,
} from "../../protos/mod.ts";
import { loadAssignmentName, parseClusterName } from "../names.ts";
import { hashPolicy, lbPolicy } from "./balancing.ts";
import { circuitBreakers } from "./limits.ts";
import { clusterMetadata, NOBODYS_METADATA } from "./metadata.ts";
import { COMMON_LB_CONFIG, outlierDetection } from "./outliers.ts";
import { durationOf } from "./duration.ts";
import { retryPolicy } from "./retries.ts";

/** SO_PRIORITY (SOL_SOCKET 1, option 12): by it the kernel knows what becomes of a connection to an endpoint. */
function socketPriority(priority: number): SocketOption {
  return SocketOption.fromPartial({ level: 1, name: 12, intValue: priority });
}

/** Finds an endpoint that vanished without a word within 60 + 5 x 15 s; seconds. */
const TCP_KEEPALIVE = { keepaliveProbes: 5, keepaliveTime: 60, keepaliveInterval: 15 };

const HTTP1_PROTOCOL_OPTIONS = {
  // Trailers are dropped between HTTP/1.1 peers unless both sides of Envoy let them pass.
  enableTrailers: true,
  // A response with a length and chunks has chunks (RFC 9112, 6.3), and Envoy drops the length. By default it is a 502, after
  // the endpoint did three times what it was asked for. Of requests Envoy goes on refusing it: there it is how others are smuggled in.
  allowChunkedLength: true,
};

const HTTP2_PROTOCOL_OPTIONS = {
  // A malformed response is the end of its stream, and not of all clients' on the same connection (RFC 9113, 8.1.1).
  overrideStreamErrorOnInvalidHttpMessage: true,
  // Envoy does not wait to be told how many streams a new connection may have (SETTINGS), and would begin 1,024: what is too many
  // is refused, and beyond the budget of retries a 503. 100 is the least a server should allow (RFC 9113, 6.5.2), and what
  // Kestrel and Apache do. Whoever has more under way gets more connections.
  maxConcurrentStreams: 100,
};

/** A destination that a ServicePort owns. */
export interface OwnedDestination {
  /** The Cluster's name. */
  readonly name: string;
  readonly family: IPFamily;
  /** Whose endpoints answer there. @default "Cluster" */
  readonly policy?: TrafficPolicy;
  /** The kernel chooses the endpoint, among those of the destination of this name. @default false: Envoy does */
  readonly balancedByKernel?: boolean;
  /** Endpoints are asked from this node's address, whoever the client is. @default false */
  readonly masqueraded?: boolean;
}

/** The Cluster of a destination; its endpoints come as the ClusterLoadAssignment of the same port, family and policy. */
export function translateCluster(
  servicePort: ServicePort,
  destination: OwnedDestination,
): Cluster {
  const { name, family, policy, balancedByKernel = false } = destination;
  const { values } = servicePort.settings;
  return Cluster.fromPartial({
    name,
    // The name in statistics, where people look for their Service; the destinations of one port add up.
    altStatName: servicePortLabel(servicePort.name),
    ...(balancedByKernel ? throughKernel(name) : {
      type: Cluster_DiscoveryType.EDS,
      edsClusterConfig: {
        edsConfig: { ads: {}, resourceApiVersion: ApiVersion.V3 },
        serviceName: loadAssignmentName(servicePort, family, policy),
      },
    }),
    connectTimeout: durationOf(values["upstream-connect-timeout"]),
    lbPolicy: balancedByKernel ? Cluster_LbPolicy.ROUND_ROBIN : lbPolicy(servicePort),
    circuitBreakers: circuitBreakers(servicePort),
    // The one endpoint it would leave out is all of them.
    outlierDetection: balancedByKernel ? undefined : outlierDetection(servicePort),
    commonLbConfig: COMMON_LB_CONFIG,
    upstreamConnectionOptions: { tcpKeepalive: TCP_KEEPALIVE },
    ...upstreamBindConfig(destination),
    typedExtensionProtocolOptions: {
      [HttpProtocolOptions.$type]: packAny(HttpProtocolOptions, httpProtocolOptions(servicePort)),
    },
    metadata: clusterMetadata(servicePort),
  });
}

/**
 * The destination itself, as an endpoint: the kernel has its endpoints too, and sends Envoy's connection on to one of them. It
 * does so by the client's address, which Envoy has given the connection.
 */
function throughKernel(name: string): Partial<Cluster> {
  const { address = "", port = 0 } = parseClusterName(name) ?? {};
  const socketAddress = SocketAddress.fromPartial({ address, portValue: port });
  return {
    type: Cluster_DiscoveryType.STATIC,
    // A client that connects anew asks the kernel anew: its endpoint may have gone, or its time be over.
    connectionPoolPerDownstreamConnection: true,
    loadAssignment: ClusterLoadAssignment.fromPartial({
      clusterName: name,
      endpoints: [{ lbEndpoints: [{ endpoint: { address: { socketAddress } } }] }],
    }),
  };
}

/** What the kernel is to know of the Cluster's connections: in place of the bootstrap's priority, which all others have. */
function upstreamBindConfig(
  { masqueraded = false, balancedByKernel = false }: OwnedDestination,
): Partial<Cluster> {
  // Balanced by the kernel, it is masqueraded there: conntrack knows where it was going.
  const priority = balancedByKernel
    ? BALANCED_SOCKET_PRIORITY
    : masqueraded
    ? MASQUERADED_SOCKET_PRIORITY
    : undefined;
  if (priority === undefined) return {};
  return { upstreamBindConfig: BindConfig.fromPartial({ socketOptions: [socketPriority(priority)] }) };
}

/**
 * The Cluster of a destination that is nobody's: without endpoints, so connections to it fail at once. Given instead
 * of "no such resource", which Envoy would remember: later connections would wait out the on-demand timeout even
 * after the Service came (envoyproxy/envoy#44742).
 */
export function emptyCluster(name: string): Cluster {
  return Cluster.fromPartial({
    name,
    altStatName: "no-such-service",
    type: Cluster_DiscoveryType.STATIC,
    connectTimeout: durationOf(DEFAULT_SETTINGS.values["upstream-connect-timeout"]),
    metadata: NOBODYS_METADATA,
  });
}

/**
 * How HTTP is spoken to the endpoints. A TCP port has this too, though its connections pass as bytes: a port that was HTTP a
 * moment ago has clients on the HTTP listener, for as long as they keep their connections. By Envoy's default they
 * would be spoken for in HTTP/1.1, which an endpoint of gRPC answers with nothing good.
 */
function httpProtocolOptions(servicePort: ServicePort): HttpProtocolOptions {
  const { appProtocol, settings } = servicePort;
  return HttpProtocolOptions.fromPartial({
    commonHttpProtocolOptions: {
      // A request sent while the server closes is lost, and a client that opens a connection for each request never had that
      // problem with kube-proxy: hence a default shorter than servers keep theirs. Envoy's is an hour.
      idleTimeout: durationOf(settings.values["upstream-idle-timeout"]),
      // A response may have as many headers as a request (listeners.ts), and as large ones. Beyond that it is a 502, for which
      // Envoy's defaults are 100 and 80 KiB; by then the endpoint has done what it was asked for, and is asked again.
      maxHeadersCount: 1000,
      maxResponseHeadersKb: 96,
    },
    ...(appProtocol === "http2" ? { explicitHttpConfig: { http2ProtocolOptions: HTTP2_PROTOCOL_OPTIONS } } : {
      useDownstreamProtocolConfig: {
        httpProtocolOptions: HTTP1_PROTOCOL_OPTIONS,
        http2ProtocolOptions: HTTP2_PROTOCOL_OPTIONS,
      },
    }),
    hashPolicy: hashPolicy(servicePort),
    retryPolicy: isHttp(appProtocol) ? retryPolicy(servicePort) : undefined,
  });
}

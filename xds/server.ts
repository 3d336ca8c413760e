/**
 * Serves delta ADS over gRPC: the only file of the agent that knows gRPC.
 *
 * In: the current resources, and the addresses to listen on. Out: one `DeltaStream` per call, any number at once.
 * Invariants: a Unix socket is reachable by its owner only (unix_socket.ts); TCP is bound to loopback addresses only,
 * because whoever connects can read every Service; a fault of one call ends that call and nothing else.
 * Source: envoy/service/discovery/v3/ads.proto for the methods; gRPC status codes for the ends.
 * @module
 */
import type { Buffer } from "node:buffer";
import * as grpc from "@grpc/grpc-js";
import type { Logger } from "../agent/log.ts";
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from "../protos/mod.ts";
import { AdsAddressError } from "./ads_address_error.ts";
import { ADS_SERVICE } from "./ads_service.ts";
import type { ResourceSource } from "./resource_source.ts";
import type { EnvoyResourceState } from "./resource_state.ts";
import { DeltaStream } from "./stream.ts";
import type { StreamObserver, StreamStatus } from "./stream_observer.ts";
import type { XdsType } from "./type_urls.ts";
import { prepareSocketPlace, type SocketPlace } from "./unix_socket.ts";

/** Resources of one response together: a response is decoded by Envoy's main thread in one go. */
const DEFAULT_MAX_RESPONSE_BYTES = 1024 * 1024;
/** A first request lists all names and versions Envoy holds: about 100 bytes each, so this is for half a million. */
const MAX_REQUEST_BYTES = 64 * 1024 * 1024;
/** How long Envoy may take to close its connections before they are cut. */
const DEFAULT_SHUTDOWN_GRACE_MS = 1000;

/** What {@linkcode createAdsServer} needs. */
export interface AdsServerOptions {
  readonly source: ResourceSource;
  /** `unix:/path`, or `host:port` on loopback (`127.0.0.1:0`, `[::1]:18000`); one or several. */
  readonly address: string | readonly string[];
  readonly logger: Logger;
  readonly observer?: StreamObserver;
  /** Milliseconds. @default Date.now */
  readonly now?: () => number;
  /** Size of the resources in one response; a single larger one still goes alone. @default 1 MiB */
  readonly maxResponseBytes?: number;
  /** @default 1000 */
  readonly shutdownGraceMs?: number;
  /** Closes the server. */
  readonly signal?: AbortSignal;
}

/** A server that listens. */
export interface AdsServer extends AsyncDisposable {
  /** As given, with the port that was chosen for port 0. */
  readonly addresses: readonly string[];
  /** The streams open now, oldest first. */
  streams(): readonly StreamStatus[];
  /**
   * Whether every connected Envoy has taken these Clusters and their endpoints as they are now, or does not hold them:
   * whether connections to these destinations can be answered. True while none is connected. It may turn true with an
   * ACK, a NACK, or the end of a stream.
   */
  hasTaken(clusters: Iterable<string>): boolean;
  /** What each connected Envoy has of a resource, oldest stream first. */
  resourceStates(type: XdsType, name: string): readonly EnvoyResourceState[];
  /** The Clusters that every connected Envoy holds: connections to these need no agent. Empty while none is connected. */
  heldClusters(): ReadonlySet<string>;
  /** Ends all streams with UNAVAILABLE, so that Envoy reconnects, and removes the socket. May be called again. */
  close(): Promise<void>;
}

/**
 * Starts to serve.
 *
 * @throws {AdsAddressError} when an address is neither a Unix socket nor on loopback, is served by another agent, or
 * cannot be bound. Nothing listens then.
 */
export async function createAdsServer(options: AdsServerOptions): Promise<AdsServer> {
  // The library also prints faults that it hands to callbacks; here they are logged or thrown.
  grpc.setLogVerbosity(grpc.logVerbosity.NONE);
  const streams = new Map<number, DeltaStream>();
  const server = new grpc.Server({
    "grpc.max_receive_message_length": MAX_REQUEST_BYTES,
    // A stopped Envoy or one whose host froze keeps its socket open; without pings its stream would count for ever.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 20_000,
    "grpc.enable_channelz": 0,
  });
  server.addService(ADS_SERVICE, {
    DeltaAggregatedResources: createDeltaHandler(options, streams, () => closing !== undefined),
    StreamAggregatedResources: refuseStateOfTheWorld,
  });
  const places: SocketPlace[] = [];
  const addresses: string[] = [];
  let closing: Promise<void> | undefined;

  function close(): Promise<void> {
    closing ??= shutDown();
    return closing;
  }

  async function shutDown(): Promise<void> {
    options.signal?.removeEventListener("abort", onAbort);
    // First of all nobody can come any more: Envoy connects again as soon as its stream ends, and a connection taken by
    // a server that closes is never answered.
    for (const place of places) await place.remove();
    for (const stream of [...streams.values()]) {
      stream.end({ code: "UNAVAILABLE", details: STOPPING });
    }
    await stopServer(server, options.shutdownGraceMs ?? DEFAULT_SHUTDOWN_GRACE_MS);
  }

  function onAbort(): void {
    close().catch((error) =>
      options.logger.error("the xDS server did not stop cleanly", { error: String(error) })
    );
  }

  try {
    for (const address of typeof options.address === "string" ? [options.address] : options.address) {
      addresses.push(await listen(server, address, places));
    }
  } catch (error) {
    await close();
    throw error;
  }
  if (options.signal?.aborted) await close();
  else options.signal?.addEventListener("abort", onAbort, { once: true });
  options.logger.info("serving Envoy", { addresses: addresses.join(" ") });
  return {
    addresses,
    streams: () => [...streams.values()].map((stream) => stream.status()),
    hasTaken: (clusters) => {
      if (streams.size === 0) return true;
      for (const cluster of clusters) {
        for (const stream of streams.values()) if (!stream.hasTaken(cluster)) return false;
      }
      return true;
    },
    heldClusters: () => {
      const [first, ...others] = [...streams.values()].map((stream) => stream.heldClusters());
      return others.reduce((common, held) => common.intersection(held), first ?? new Set<string>());
    },
    resourceStates: (type, name) => [...streams.values()].map((stream) => stream.resourceState(type, name)),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Said to streams when the server closes. */
const STOPPING = "the agent stops";

type DeltaServerCall = grpc.ServerDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

function createDeltaHandler(
  options: AdsServerOptions,
  streams: Map<number, DeltaStream>,
  isClosing: () => boolean,
): (call: DeltaServerCall) => void {
  let lastStreamId = 0;
  return (call) => {
    if (isClosing()) {
      // Envoy asks again at once, on the connection it has. A stream taken now would outlive the server unanswered.
      call.emit("error", { code: grpc.status.UNAVAILABLE, details: STOPPING });
      return;
    }
    const streamId = ++lastStreamId;
    const stream = new DeltaStream({
      streamId,
      call: {
        send: (response) => call.write(response),
        onDrain: (listener) => call.once("drain", listener),
        end: ({ code, details }) => {
          if (code === "OK") call.end();
          else call.emit("error", { code: grpc.status[code], details });
        },
      },
      source: options.source,
      observer: options.observer ?? {},
      logger: options.logger,
      now: options.now ?? Date.now,
      maxResponseBytes: options.maxResponseBytes ?? DEFAULT_MAX_RESPONSE_BYTES,
    });
    streams.set(streamId, stream);
    function over(reason: string): void {
      streams.delete(streamId);
      stream.close(reason);
    }
    call.on("data", (request: DeltaDiscoveryRequest) => stream.receive(request));
    call.on("end", () => {
      over("Envoy ended the stream");
      call.end();
    });
    call.on("cancelled", () => over("the connection was lost or cancelled by Envoy"));
    call.on("close", () => over("closed"));
    call.on("error", (error: Partial<grpc.StatusObject>) => over(error.details ?? String(error)));
  };
}

function refuseStateOfTheWorld(call: grpc.ServerDuplexStream<Buffer, Buffer>): void {
  call.emit("error", {
    code: grpc.status.UNIMPLEMENTED,
    details:
      "Lightpath serves delta ADS only: set api_type DELTA_GRPC in the ads_config of Envoy's bootstrap, " +
      "or let `lightpath bootstrap` write it",
  });
}

/** Binds one address and returns it with the port that was chosen. */
async function listen(server: grpc.Server, address: string, places: SocketPlace[]): Promise<string> {
  if (address.startsWith("unix:")) {
    const place = await prepareSocketPlace(address.slice("unix:".length));
    places.push(place);
    await bind(server, `unix:${place.bindPath}`);
    await place.publish();
    return address;
  }
  const host = /^(localhost|127(?:\.\d{1,3}){3}|\[::1\]):\d+$/.exec(address)?.[1];
  if (host === undefined) {
    throw new AdsAddressError(
      `cannot serve Envoy at ${
        JSON.stringify(address)
      }: expected unix:/path, or host:port on a loopback address`,
    );
  }
  return `${host}:${await bind(server, address)}`;
}

function bind(server: grpc.Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else {reject(
          new AdsAddressError(`cannot serve Envoy at ${address}: ${error.message}`, { cause: error }),
        );}
    });
  });
}

/** Waits for Envoy to close its connections, then cuts them. */
function stopServer(server: grpc.Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      // Deno 2.9's HTTP/2 never confirms the end of a session that was destroyed; tryShutdown would wait for it.
      resolve();
    }, graceMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/**
 * The gRPC service Envoy calls for ADS: its methods, and how their messages become bytes.
 *
 * Written by hand because it is two methods, and because state-of-the-world requests need no decoding: that method is
 * refused. Used by the server and by the scripted client of the tests.
 * Source: envoy/service/discovery/v3/ads.proto.
 * @module
 */
import { Buffer } from "node:buffer";
import type { ServiceDefinition } from "@grpc/grpc-js";
import { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from "../protos/mod.ts";

const PREFIX = "/envoy.service.discovery.v3.AggregatedDiscoveryService/";

/** `envoy.service.discovery.v3.AggregatedDiscoveryService`. */
export const ADS_SERVICE = {
  DeltaAggregatedResources: {
    path: `${PREFIX}DeltaAggregatedResources`,
    requestStream: true,
    responseStream: true,
    requestSerialize: (request: DeltaDiscoveryRequest): Buffer =>
      toBuffer(DeltaDiscoveryRequest.encode(request).finish()),
    requestDeserialize: (bytes: Buffer): DeltaDiscoveryRequest => DeltaDiscoveryRequest.decode(bytes),
    responseSerialize: (response: DeltaDiscoveryResponse): Buffer =>
      toBuffer(DeltaDiscoveryResponse.encode(response).finish()),
    responseDeserialize: (bytes: Buffer): DeltaDiscoveryResponse => DeltaDiscoveryResponse.decode(bytes),
  },
  StreamAggregatedResources: {
    path: `${PREFIX}StreamAggregatedResources`,
    requestStream: true,
    responseStream: true,
    requestSerialize: (bytes: Buffer): Buffer => bytes,
    requestDeserialize: (bytes: Buffer): Buffer => bytes,
    responseSerialize: (bytes: Buffer): Buffer => bytes,
    responseDeserialize: (bytes: Buffer): Buffer => bytes,
  },
} as const satisfies ServiceDefinition;

/** The same bytes as the Buffer gRPC wants; nothing is copied. */
function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

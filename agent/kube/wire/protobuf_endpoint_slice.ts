/**
 * Reads the fields we read of an EndpointSlice, from protobuf.
 *
 * In: a message `discovery.k8s.io/v1.EndpointSlice`. Out: what `parseKubeObject` makes of the same slice in JSON.
 * Source: `generated.proto` of k8s.io/api/discovery/v1.
 * @module
 */
import { describeMissing, describeRejected } from "../_fields.ts";
import type { EndpointSlice, EndpointSlicePort, SliceEndpoint } from "../objects.ts";
import { LAST_CHANGE_TRIGGER_TIME } from "../parse.ts";
import { NO_METADATA, readMetadata } from "./protobuf_metadata.ts";
import { bytesTag, numberTag, type ProtobufReader } from "./protobuf_reader.ts";

const ENDPOINT_SLICE = {
  metadata: bytesTag(1),
  endpoints: bytesTag(2),
  ports: bytesTag(3),
  addressType: bytesTag(4),
};
const ENDPOINT = {
  addresses: bytesTag(1),
  conditions: bytesTag(2),
  nodeName: bytesTag(6),
  zone: bytesTag(7),
  hints: bytesTag(8),
};
const ENDPOINT_HINTS = { forZones: bytesTag(1), forNodes: bytesTag(2) };
/** `ForZone` and `ForNode` alike. */
const HINTED = { name: bytesTag(1) };
const ENDPOINT_CONDITIONS = { ready: numberTag(1), serving: numberTag(2), terminating: numberTag(3) };
const ENDPOINT_PORT = { name: bytesTag(1), protocol: bytesTag(2), port: numberTag(3) };

/** Nearly no slice has faults, and most endpoints no hints: one list for all that have none. */
const NONE: readonly never[] = [];

/** Reads the message at hand to its end. @throws {SyntaxError} when it is not protobuf */
export function readEndpointSlice(wire: ProtobufReader): EndpointSlice {
  let metadata = NO_METADATA;
  let addressType = "";
  const ports: EndpointSlicePort[] = [];
  const endpoints: SliceEndpoint[] = [];
  const malformed: string[] = [];
  let portIndex = 0;
  let endpointIndex = 0;
  while (wire.more()) {
    switch (wire.tag()) {
      case ENDPOINT_SLICE.metadata:
        metadata = readMetadata(wire);
        break;
      case ENDPOINT_SLICE.addressType:
        addressType = wire.sharedText();
        break;
      case ENDPOINT_SLICE.ports: {
        const port = readSlicePort(wire);
        if (port !== undefined) ports.push(port);
        else malformed.push(describeMissing(`ports[${portIndex}].port`, "the port is left out"));
        portIndex++;
        break;
      }
      case ENDPOINT_SLICE.endpoints: {
        const endpoint = readEndpoint(wire);
        if (endpoint !== undefined) endpoints.push(endpoint);
        else {malformed.push(
            describeMissing(`endpoints[${endpointIndex}].addresses`, "the endpoint is left out"),
          );}
        endpointIndex++;
        break;
      }
      default:
        wire.skip();
    }
  }
  return {
    kind: "EndpointSlice",
    namespace: metadata.namespace,
    name: metadata.name,
    namespacedName: metadata.namespacedName,
    resourceVersion: metadata.resourceVersion,
    creationTimestampMs: metadata.creationTimestampMs,
    serviceName: metadata.serviceName,
    addressType,
    ports,
    endpoints,
    lastChangeTriggerTimeMs: triggerTimeMs(metadata.lastChangeTriggerTime, malformed),
    malformed: malformed.length === 0 ? NONE : malformed,
  };
}

function triggerTimeMs(text: string, malformed: string[]): number {
  if (text === "") return 0;
  const timeMs = Date.parse(text);
  if (!Number.isNaN(timeMs)) return timeMs;
  const path = `metadata.annotations.${LAST_CHANGE_TRIGGER_TIME}`;
  malformed.push(describeRejected(path, text, "a time as RFC 3339 writes it"));
  return 0;
}

function readSlicePort(wire: ProtobufReader): EndpointSlicePort | undefined {
  let name = "";
  let protocol = "";
  let port: number | undefined;
  const outer = wire.enter();
  while (wire.more()) {
    switch (wire.tag()) {
      case ENDPOINT_PORT.name:
        name = wire.sharedText();
        break;
      case ENDPOINT_PORT.protocol:
        protocol = wire.sharedText();
        break;
      case ENDPOINT_PORT.port:
        port = wire.int32();
        break;
      default:
        wire.skip();
    }
  }
  wire.leave(outer);
  // The API allows it ("not restricted"), for consumers other than a service proxy; kube-proxy skips it too.
  return port === undefined ? undefined : { name, protocol: protocol || "TCP", port };
}

function readEndpoint(wire: ProtobufReader): SliceEndpoint | undefined {
  let address = "";
  let conditions = NO_CONDITIONS;
  let nodeName = "";
  let zone = "";
  let hints = NO_HINTS;
  const outer = wire.enter();
  while (wire.more()) {
    switch (wire.tag()) {
      case ENDPOINT.addresses:
        if (address === "") address = wire.text();
        else wire.skip();
        break;
      case ENDPOINT.conditions:
        conditions = readConditions(wire);
        break;
      case ENDPOINT.nodeName:
        nodeName = wire.sharedText();
        break;
      case ENDPOINT.zone:
        zone = wire.sharedText();
        break;
      case ENDPOINT.hints:
        hints = readHints(wire);
        break;
      default:
        wire.skip();
    }
  }
  wire.leave(outer);
  if (address === "") return undefined;
  const { ready, serving, terminating } = conditions;
  const { hintedZones, hintedNodes } = hints;
  return { address, ready, serving, terminating, nodeName, zone, hintedZones, hintedNodes };
}

type Hints = Pick<SliceEndpoint, "hintedZones" | "hintedNodes">;

const NO_HINTS: Hints = { hintedZones: NONE, hintedNodes: NONE };

function readHints(wire: ProtobufReader): Hints {
  const hintedZones: string[] = [];
  const hintedNodes: string[] = [];
  const outer = wire.enter();
  while (wire.more()) {
    switch (wire.tag()) {
      case ENDPOINT_HINTS.forZones:
        readHinted(wire, hintedZones);
        break;
      case ENDPOINT_HINTS.forNodes:
        readHinted(wire, hintedNodes);
        break;
      default:
        wire.skip();
    }
  }
  wire.leave(outer);
  return { hintedZones, hintedNodes };
}

function readHinted(wire: ProtobufReader, names: string[]): void {
  let name = "";
  const outer = wire.enter();
  while (wire.more()) {
    if (wire.tag() === HINTED.name) name = wire.sharedText();
    else wire.skip();
  }
  wire.leave(outer);
  if (name !== "") names.push(name);
}

type Conditions = Pick<SliceEndpoint, "ready" | "serving" | "terminating">;

const NO_CONDITIONS: Conditions = { ready: true, serving: true, terminating: false };

function readConditions(wire: ProtobufReader): Conditions {
  let { ready, terminating } = NO_CONDITIONS;
  let serving: boolean | undefined;
  const outer = wire.enter();
  while (wire.more()) {
    switch (wire.tag()) {
      case ENDPOINT_CONDITIONS.ready:
        ready = wire.boolean();
        break;
      case ENDPOINT_CONDITIONS.serving:
        serving = wire.boolean();
        break;
      case ENDPOINT_CONDITIONS.terminating:
        terminating = wire.boolean();
        break;
      default:
        wire.skip();
    }
  }
  wire.leave(outer);
  return { ready, serving: serving ?? ready, terminating };
}

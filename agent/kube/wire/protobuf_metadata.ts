/**
 * Reads the parts of an object's metadata that we read, from protobuf.
 *
 * In: a field that holds an `ObjectMeta`. Out: its parts, and of labels and annotations those that are read of either
 * kind, as `parseKubeObject` reads them from JSON.
 * Source: `generated.proto` of k8s.io/apimachinery/pkg/apis/meta/v1.
 * @module
 */
import type { ObjectMeta } from "../objects.ts";
import {
  ANNOTATION_PREFIXES,
  HEADLESS_LABEL,
  LAST_CHANGE_TRIGGER_TIME,
  SERVICE_NAME_LABEL,
  SERVICE_PROXY_NAME_LABEL,
} from "../parse.ts";
import { bytesTag, numberTag, type ProtobufReader } from "./protobuf_reader.ts";

const OBJECT_META = {
  name: bytesTag(1),
  namespace: bytesTag(3),
  uid: bytesTag(5),
  resourceVersion: bytesTag(6),
  creationTimestamp: bytesTag(8),
  labels: bytesTag(11),
  annotations: bytesTag(12),
};
const TIME = { seconds: numberTag(1) };

const encoder = new TextEncoder();
const SERVICE_PROXY_NAME = encoder.encode(SERVICE_PROXY_NAME_LABEL);
const HEADLESS = encoder.encode(HEADLESS_LABEL);
const SERVICE_NAME = encoder.encode(SERVICE_NAME_LABEL);
const LAST_CHANGE = encoder.encode(LAST_CHANGE_TRIGGER_TIME);
const PREFIXES = ANNOTATION_PREFIXES.map((prefix) => encoder.encode(prefix));

/** What is read of an object's metadata. */
export interface Metadata extends ObjectMeta {
  readonly uid: string;
  readonly proxyName: string;
  readonly headlessLabel: boolean;
  readonly annotations: Readonly<Record<string, string>>;
  readonly serviceName: string;
  /** As written; empty when absent. */
  readonly lastChangeTriggerTime: string;
}

const NO_ANNOTATIONS: Readonly<Record<string, string>> = {};

/** The metadata of an object that has none. */
export const NO_METADATA: Metadata = {
  // As kubectl does for manifests; an API server always gives one.
  namespace: "default",
  name: "",
  namespacedName: "default/",
  uid: "",
  resourceVersion: "",
  creationTimestampMs: 0,
  proxyName: "",
  headlessLabel: false,
  annotations: NO_ANNOTATIONS,
  serviceName: "",
  lastChangeTriggerTime: "",
};

/** Reads the field at hand. */
export function readMetadata(wire: ProtobufReader): Metadata {
  let namespace = "";
  let name = "";
  let uid = "";
  let resourceVersion = "";
  let creationTimestampMs = 0;
  let proxyName = "";
  let headlessLabel = false;
  let annotations: Record<string, string> | undefined;
  let serviceName = "";
  let lastChangeTriggerTime = "";
  const outer = wire.enter();
  while (wire.more()) {
    switch (wire.tag()) {
      case OBJECT_META.name:
        name = wire.text();
        break;
      case OBJECT_META.namespace:
        namespace = wire.sharedText();
        break;
      case OBJECT_META.uid:
        uid = wire.text();
        break;
      case OBJECT_META.resourceVersion:
        resourceVersion = wire.text();
        break;
      case OBJECT_META.creationTimestamp:
        creationTimestampMs = readTimeMs(wire);
        break;
      case OBJECT_META.labels:
        wire.mapEntry();
        if (wire.equals(wire.keyAt, SERVICE_NAME)) serviceName = wire.textAt(wire.valueAt);
        else if (wire.equals(wire.keyAt, HEADLESS)) headlessLabel = true;
        else if (wire.equals(wire.keyAt, SERVICE_PROXY_NAME)) proxyName = wire.textAt(wire.valueAt);
        break;
      case OBJECT_META.annotations:
        wire.mapEntry();
        if (wire.equals(wire.keyAt, LAST_CHANGE)) lastChangeTriggerTime = wire.textAt(wire.valueAt);
        else if (PREFIXES.some((prefix) => wire.startsWith(wire.keyAt, prefix))) {
          annotations ??= {};
          annotations[wire.textAt(wire.keyAt)] = wire.textAt(wire.valueAt);
        }
        break;
      default:
        wire.skip();
    }
  }
  wire.leave(outer);
  namespace ||= NO_METADATA.namespace;
  return {
    namespace,
    name,
    namespacedName: `${namespace}/${name}`,
    uid,
    resourceVersion,
    creationTimestampMs,
    proxyName,
    headlessLabel,
    annotations: annotations ?? NO_ANNOTATIONS,
    serviceName,
    lastChangeTriggerTime,
  };
}

/** A `Time`: whole seconds, as in JSON. */
function readTimeMs(wire: ProtobufReader): number {
  let seconds = 0;
  const outer = wire.enter();
  while (wire.more()) {
    if (wire.tag() === TIME.seconds) seconds = wire.int64();
    else wire.skip();
  }
  wire.leave(outer);
  return seconds * 1000;
}

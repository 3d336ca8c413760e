/**
 * A world as a kube-apiserver keeps it in etcd. Pure.
 *
 * In: a shape. Out: keys and values: Services, slices, and for each VIP the IPAddress that says whose it is (without it the
 * API server would make all of them in the background, while something is measured).
 * Source: k8s.io/kubernetes `pkg/kubeapiserver` (keys), `pkg/registry/core/service/ipallocator` (IPAddresses); the values are
 * in the envelope of the protobuf that goes over the network.
 * @module
 */
import type { EtcdEntry } from "../lab/control_plane.ts";
import { IP_ADDRESS } from "./kube_messages.ts";
import { encodeMessage, encodeObject, wrap } from "./kube_protobuf.ts";
import {
  nameOf,
  namespaceOf,
  objectsOf,
  type RawObject,
  UNCHANGED,
  vipOf,
  type WorldShape,
} from "./world.ts";

const FOLDERS: Readonly<Record<RawObject["kind"], string>> = {
  Service: "/registry/services/specs",
  EndpointSlice: "/registry/endpointslices",
};

/** All objects of a world nothing of which was changed yet. */
export function storedWorld(shape: WorldShape): EtcdEntry[] {
  return Array.from({ length: shape.services }, (_, index) => index).flatMap((index) => [
    ...objectsOf(shape, index, UNCHANGED).map(store),
    takenAddress(index),
  ]);
}

function store(object: RawObject): EtcdEntry {
  const { namespace, name } = object.metadata;
  return { key: `${FOLDERS[object.kind]}/${namespace}/${name}`, value: wrap(object, encodeObject(object)) };
}

function takenAddress(index: number): EtcdEntry {
  const name = vipOf(index);
  const raw = encodeMessage(IP_ADDRESS, {
    metadata: {
      name,
      uid: `${index.toString(16).padStart(8, "0")}-77aa-4e07-9f3e-5b2d41c8e6f0`,
      creationTimestamp: "2026-01-15T09:30:00Z",
      labels: {
        "ipaddress.kubernetes.io/ip-family": "IPv4",
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
      },
    },
    spec: {
      parentRef: { group: "", resource: "services", namespace: namespaceOf(index), name: nameOf(index) },
    },
  });
  const envelope = { apiVersion: "networking.k8s.io/v1", kind: "IPAddress" };
  return { key: `/registry/ipaddresses/${name}`, value: wrap(envelope, raw) };
}

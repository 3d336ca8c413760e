/**
 * The requests that bring the objects of all scenarios into an API server. Pure.
 *
 * In: the nodes, the objects. Out: lists of requests, each in its order, the lists side by side.
 * @module
 */
import type { ApiWrite } from "../lab/api_writer.ts";
import { NODE_ADDRESSES, type NodeName } from "../lab/cluster_addresses.ts";
import { ZONES } from "./addresses.ts";
import type { KubeObject } from "./objects.ts";

const SERVICES = "/api/v1/namespaces/default/services";
const SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

/** Nodes first: kube-proxy waits for its own. */
export function writesOf(nodes: readonly NodeName[], objects: readonly KubeObject[]): ApiWrite[][] {
  return [
    ...nodes.map((node) => [nodeWrite(node)]),
    ...objects.map(writesOfObject),
  ];
}

/** The request that makes a node of the lab one of the API server's. */
export function nodeWrite(node: NodeName): ApiWrite {
  return create("/api/v1/nodes", nodeObject(node));
}

function writesOfObject(object: KubeObject): ApiWrite[] {
  if (object.kind === "EndpointSlice") return [create(SLICES, object)];
  const { status, ...created } = object;
  if (status === undefined) return [create(SERVICES, created)];
  // A status is not taken from who creates an object; somebody else reports it.
  const path = `${SERVICES}/${object.metadata.name}/status`;
  return [create(SERVICES, created), { method: "PUT", path, body: object }];
}

function create(path: string, body: unknown): ApiWrite {
  return { method: "POST", path, body };
}

function nodeObject(name: NodeName): unknown {
  const { primary, podPrefix } = NODE_ADDRESSES[name];
  return {
    metadata: { name, labels: { "topology.kubernetes.io/zone": ZONES[name] } },
    spec: { podCIDR: podPrefix.ipv4, podCIDRs: [podPrefix.ipv4, podPrefix.ipv6] },
    status: {
      addresses: [primary.ipv4, primary.ipv6].map((address) => ({ type: "InternalIP", address })),
    },
  };
}

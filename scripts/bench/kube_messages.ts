/**
 * Which fields the API server's protobuf has for the objects of a world, and under which numbers.
 *
 * Only what a Service or an EndpointSlice of a benchmark has; a field that is missing here is an error for whoever
 * writes it, never left out.
 * Source: `generated.proto` of k8s.io/api (core/v1, discovery/v1, networking/v1) and k8s.io/apimachinery v0.36; for `value` and `pointer`
 * the Go structs beside them.
 * @module
 */

/** How a field is written. */
export type FieldType =
  | "string"
  | "int"
  | "bool"
  /** RFC 3339 in JSON, seconds since the epoch on the wire. */
  | "time"
  | "stringMap"
  /** Any JSON: travels as text. */
  | "fieldsV1"
  /** A number or a name. */
  | "intOrString"
  | MessageType;

/** One field. */
export interface FieldDefinition {
  readonly id: number;
  readonly type: FieldType;
  /** A Go value is written even when it is empty, a pointer only when it is there, a list element by element. */
  readonly presence: "value" | "pointer" | "list";
}

/** A message's fields by their names in JSON, in the order in which they are written: by number. */
export type MessageType = Readonly<{ [name: string]: FieldDefinition }>;

const value = (id: number, type: FieldType): FieldDefinition => ({ id, type, presence: "value" });
const pointer = (id: number, type: FieldType): FieldDefinition => ({ id, type, presence: "pointer" });
const list = (id: number, type: FieldType): FieldDefinition => ({ id, type, presence: "list" });

const OWNER_REFERENCE: MessageType = {
  kind: value(1, "string"),
  name: value(3, "string"),
  uid: value(4, "string"),
  apiVersion: value(5, "string"),
  controller: pointer(6, "bool"),
  blockOwnerDeletion: pointer(7, "bool"),
};

const MANAGED_FIELDS_ENTRY: MessageType = {
  manager: value(1, "string"),
  operation: value(2, "string"),
  apiVersion: value(3, "string"),
  time: pointer(4, "time"),
  fieldsType: value(6, "string"),
  fieldsV1: pointer(7, "fieldsV1"),
  subresource: value(8, "string"),
};

const OBJECT_META: MessageType = {
  name: value(1, "string"),
  generateName: value(2, "string"),
  namespace: value(3, "string"),
  selfLink: value(4, "string"),
  uid: value(5, "string"),
  resourceVersion: value(6, "string"),
  generation: value(7, "int"),
  creationTimestamp: value(8, "time"),
  labels: list(11, "stringMap"),
  annotations: list(12, "stringMap"),
  ownerReferences: list(13, OWNER_REFERENCE),
  managedFields: list(17, MANAGED_FIELDS_ENTRY),
};

const SERVICE_PORT: MessageType = {
  name: value(1, "string"),
  protocol: value(2, "string"),
  port: value(3, "int"),
  targetPort: value(4, "intOrString"),
  nodePort: value(5, "int"),
  appProtocol: pointer(6, "string"),
};

const SERVICE_SPEC: MessageType = {
  ports: list(1, SERVICE_PORT),
  selector: list(2, "stringMap"),
  clusterIP: value(3, "string"),
  type: value(4, "string"),
  sessionAffinity: value(7, "string"),
  loadBalancerIP: value(8, "string"),
  externalName: value(10, "string"),
  externalTrafficPolicy: value(11, "string"),
  healthCheckNodePort: value(12, "int"),
  publishNotReadyAddresses: value(13, "bool"),
  ipFamilyPolicy: pointer(17, "string"),
  clusterIPs: list(18, "string"),
  ipFamilies: list(19, "string"),
  internalTrafficPolicy: pointer(22, "string"),
};

const SERVICE: MessageType = {
  metadata: value(1, OBJECT_META),
  spec: value(2, SERVICE_SPEC),
  status: value(3, { loadBalancer: value(1, {}) }),
};

const OBJECT_REFERENCE: MessageType = {
  kind: value(1, "string"),
  namespace: value(2, "string"),
  name: value(3, "string"),
  uid: value(4, "string"),
  apiVersion: value(5, "string"),
  resourceVersion: value(6, "string"),
  fieldPath: value(7, "string"),
};

const ENDPOINT: MessageType = {
  addresses: list(1, "string"),
  conditions: value(2, {
    ready: pointer(1, "bool"),
    serving: pointer(2, "bool"),
    terminating: pointer(3, "bool"),
  }),
  targetRef: pointer(4, OBJECT_REFERENCE),
  nodeName: pointer(6, "string"),
  zone: pointer(7, "string"),
};

const ENDPOINT_SLICE: MessageType = {
  metadata: value(1, OBJECT_META),
  endpoints: list(2, ENDPOINT),
  ports: list(3, {
    name: pointer(1, "string"),
    protocol: pointer(2, "string"),
    port: pointer(3, "int"),
  }),
  addressType: value(4, "string"),
};

/** The message of each kind. */
export const KUBE_MESSAGES: Readonly<Record<"Service" | "EndpointSlice", MessageType>> = {
  Service: SERVICE,
  EndpointSlice: ENDPOINT_SLICE,
};

/** Of networking/v1: that a VIP is taken, and by which Service. */
export const IP_ADDRESS: MessageType = {
  metadata: value(1, OBJECT_META),
  spec: value(2, {
    parentRef: pointer(1, {
      group: value(1, "string"),
      resource: value(2, "string"),
      namespace: value(3, "string"),
      name: value(4, "string"),
    }),
  }),
};

/** What a list says about itself. */
export const LIST_META: MessageType = {
  selfLink: value(1, "string"),
  resourceVersion: value(2, "string"),
  continue: value(3, "string"),
  remainingItemCount: pointer(4, "int"),
};

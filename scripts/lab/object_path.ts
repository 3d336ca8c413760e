/**
 * Where objects are at the API server. Pure.
 *
 * In: an object, as in a manifest. Out: paths of the Kubernetes API.
 * Source: Kubernetes API concepts, "Resource URIs".
 * @module
 */

/** An object of the API, as much of it as says where it is. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** Of the kinds that manifests here have; a discovery of the API's would say the same. */
const PLURALS: Readonly<Record<string, string>> = {
  ClusterRole: "clusterroles",
  ClusterRoleBinding: "clusterrolebindings",
  ConfigMap: "configmaps",
  DaemonSet: "daemonsets",
  Deployment: "deployments",
  EndpointSlice: "endpointslices",
  MutatingAdmissionPolicy: "mutatingadmissionpolicies",
  MutatingAdmissionPolicyBinding: "mutatingadmissionpolicybindings",
  MutatingWebhookConfiguration: "mutatingwebhookconfigurations",
  Namespace: "namespaces",
  Node: "nodes",
  Pod: "pods",
  PodDisruptionBudget: "poddisruptionbudgets",
  Role: "roles",
  RoleBinding: "rolebindings",
  Secret: "secrets",
  Service: "services",
  ServiceAccount: "serviceaccounts",
};

/** Where objects of its kind are listed and created. @throws {TypeError} for a kind that is not known here */
export function collectionPath({ apiVersion, kind, metadata: { namespace } }: KubeObject): string {
  const plural = PLURALS[kind];
  if (plural === undefined) throw new TypeError(`${kind} is no kind that scripts/lab/object_path.ts knows`);
  const root = apiVersion === "v1" ? "/api/v1" : `/apis/${apiVersion}`;
  return `${root}${namespace === undefined ? "" : `/namespaces/${namespace}`}/${plural}`;
}

/** Where it is itself. */
export function objectPath(object: KubeObject): string {
  return `${collectionPath(object)}/${object.metadata.name}`;
}

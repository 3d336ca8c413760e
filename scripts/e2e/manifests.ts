/**
 * What the suite applies beside deploy/: workloads, those who ask, and kube-proxy. Pure.
 *
 * Invariant: plain manifests of Kubernetes, that a cluster of containers takes as well as the local one.
 * @module
 */
import type { KubeObject } from "../lab/object_path.ts";
import type { E2eCluster, E2eNode, Images } from "./cluster.ts";

/** Servers that answer HTTP on 8080 (`web`) and TCP on 9000 (`echo`), with what reached them. */
export function echoDeployment(images: Images, replicas: number): KubeObject {
  return deployment("echo", {
    replicas,
    container: {
      image: images.tools,
      command: ["deno", "run", "--allow-all", "--no-config", "/lab/echo_server.ts", "--name=$(POD_NAME)"],
      env: [{ name: "POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
      ports: [{ name: "web", containerPort: 8080 }, { name: "echo", containerPort: 9000 }],
      readinessProbe: { httpGet: { port: "web", path: "/" }, periodSeconds: 1 },
      // It ends at once, so what is on its way to it needs a moment, as everywhere in Kubernetes.
      lifecycle: { preStop: { sleep: { seconds: 2 } } },
    },
  });
}

/** Servers that answer UDP on 8053 with their name and who asked. */
export function dnsDeployment(images: Images, replicas: number): KubeObject {
  return deployment("dns", {
    replicas,
    container: {
      image: images.tools,
      command: ["python3", "/lab/whoami.py", "$(POD_NAME)", "$(POD_IPS)", "8053"],
      env: [
        { name: "POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
        { name: "POD_IPS", valueFrom: { fieldRef: { fieldPath: "status.podIPs" } } },
      ],
      ports: [{ name: "dns", containerPort: 8053, protocol: "UDP" }],
      // They speak HTTP on the same port.
      readinessProbe: { httpGet: { port: 8053, path: "/" }, periodSeconds: 1 },
    },
  });
}

function deployment(
  app: string,
  { replicas, container }: {
    readonly replicas: number;
    readonly container: Readonly<Record<string, unknown>>;
  },
): KubeObject {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: app, namespace: "default" },
    spec: {
      replicas,
      selector: { matchLabels: { app } },
      template: {
        metadata: { labels: { app } },
        spec: { terminationGracePeriodSeconds: 10, containers: [{ name: app, ...container }] },
      },
    },
  };
}

/** A Service of both families for a deployment; `rest` is laid over its spec. */
export function service(name: string, options: {
  readonly app: string;
  readonly ports: readonly Readonly<Record<string, unknown>>[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly namespace?: string;
  readonly rest?: Readonly<Record<string, unknown>>;
}): KubeObject {
  const { app, ports, labels = {}, annotations = {}, namespace = "default", rest = {} } = options;
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace, labels, annotations },
    spec: { ipFamilyPolicy: "PreferDualStack", selector: { app }, ports, ...rest },
  };
}

/** Ports of a Service for the echo deployment. */
export const ECHO_PORTS: readonly Readonly<Record<string, unknown>>[] = [
  { name: "http", port: 80, targetPort: "web" },
  { name: "echo", port: 9000, targetPort: "echo" },
];

/** A pod on a node, or with its network, in which commands are run. */
export function clientPod(
  name: string,
  { node, hostNetwork, images }: {
    readonly node: E2eNode;
    readonly hostNetwork: boolean;
    readonly images: Images;
  },
): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default" },
    spec: {
      nodeSelector: { "kubernetes.io/hostname": node.name },
      hostNetwork,
      terminationGracePeriodSeconds: 1,
      containers: [{ name: "client", image: images.tools, command: ["sleep", "infinity"] }],
    },
  };
}

/** kube-proxy on every node, which does not depend on itself to reach the API server. */
export function kubeProxyManifests(
  { images, apiServer, clusterCidrs }: Pick<E2eCluster, "images" | "apiServer" | "clusterCidrs">,
): KubeObject[] {
  const metadata = { name: "kube-proxy", namespace: "kube-system" };
  const labels = { app: "kube-proxy" };
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: "lightpath-e2e-kube-proxy" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "system:node-proxier" },
      subjects: [{ kind: "ServiceAccount", ...metadata }],
    },
    {
      apiVersion: "apps/v1",
      kind: "DaemonSet",
      metadata,
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            serviceAccountName: "kube-proxy",
            hostNetwork: true,
            tolerations: [{ operator: "Exists" }],
            containers: [{
              name: "kube-proxy",
              image: images.kubeProxy,
              command: [
                "kube-proxy",
                "--hostname-override=$(NODE_NAME)",
                "--proxy-mode=nftables",
                `--cluster-cidr=${clusterCidrs.join(",")}`,
                // Kernel settings that are the machine's, not the node's, stay as they are.
                "--conntrack-max-per-core=0",
                "--conntrack-min=0",
                "--conntrack-tcp-timeout-established=0s",
                "--conntrack-tcp-timeout-close-wait=0s",
              ],
              env: [
                { name: "NODE_NAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
                { name: "KUBERNETES_SERVICE_HOST", value: apiServer.host },
                { name: "KUBERNETES_SERVICE_PORT", value: String(apiServer.port) },
              ],
              securityContext: { privileged: true },
            }],
          },
        },
      },
    },
  ];
}

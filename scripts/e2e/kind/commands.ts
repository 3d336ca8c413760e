/**
 * What the kind backend runs. Pure.
 *
 * In: the cluster's name, files, images. Out: argument vectors, and the texts that some read.
 * Source: kind's, Docker's, kubectl's, crictl's and etcdctl's command-line references; kind "Configuration".
 * @module
 */
import { LOAD_BALANCER_IP } from "../cluster.ts";

/** What all of it is called on the machine. */
export const NAME = "lightpath-e2e";

/** The machine beyond the nodes: a container on their network. */
export const OUTSIDE = `${NAME}-outside`;

export const CONTROL_PLANE = `${NAME}-control-plane`;

/** Of pods; then of Services. */
export const POD_SUBNETS: readonly string[] = ["10.244.0.0/16", "fd00:10:244::/56"];
const SERVICE_SUBNETS: readonly string[] = ["10.96.0.0/16", "fd00:10:96::/112"];

const ETCDCTL = [
  "etcdctl",
  "--cacert=/etc/kubernetes/pki/etcd/ca.crt",
  "--cert=/etc/kubernetes/pki/etcd/server.crt",
  "--key=/etc/kubernetes/pki/etcd/server.key",
].join(" ");

const MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml";

/** kind's configuration: two nodes beside the control plane, both families, no kube-proxy. JSON is YAML. */
export function kindConfig(): string {
  return JSON.stringify({
    kind: "Cluster",
    apiVersion: "kind.x-k8s.io/v1alpha4",
    networking: {
      ipFamily: "dual",
      kubeProxyMode: "none",
      podSubnet: POD_SUBNETS.join(","),
      serviceSubnet: SERVICE_SUBNETS.join(","),
    },
    nodes: [{ role: "control-plane" }, { role: "worker" }, { role: "worker" }],
  });
}

/** Builds an image. @param folder the build's context */
export function buildImage(image: string, folder: string, file?: string): string[] {
  return ["docker", "build", `--tag=${image}`, ...(file === undefined ? [] : [`--file=${file}`]), folder];
}

/** @param config a file with `kindConfig` */
export function createCluster(config: string, kubeconfig: string): string[] {
  return [
    ...["kind", "create", "cluster", `--name=${NAME}`],
    `--config=${config}`,
    `--kubeconfig=${kubeconfig}`,
    "--wait=120s",
  ];
}

export function loadImages(images: readonly string[]): string[] {
  return ["kind", "load", "docker-image", `--name=${NAME}`, ...images];
}

/** The certificates by which an administrator proves to be one. */
export function showCredentials(kubeconfig: string): string[] {
  return ["kubectl", `--kubeconfig=${kubeconfig}`, "config", "view", "--raw", "--minify", "--output=json"];
}

export function startOutside(image: string): string[] {
  const options = [
    "--detach",
    `--name=${OUTSIDE}`,
    "--network=kind",
    "--cap-add=NET_ADMIN",
    "--cap-add=NET_RAW",
  ];
  return ["docker", "run", ...options, image, "sleep", "infinity"];
}

/** Routes of the machine beyond to a node, as a router would have them that a load balancer has told so. */
export function routesToNode({ ipv4, ipv6 }: { readonly ipv4: string; readonly ipv6: string }): string[][] {
  return [`${LOAD_BALANCER_IP}/32`, ...SERVICE_SUBNETS].map((prefix) =>
    onContainer(OUTSIDE, ["ip", "route", "add", prefix, "via", prefix.includes(":") ? ipv6 : ipv4])
  );
}

/** Runs a command in a container of Docker's: a node, or the machine beyond. */
export function onContainer(container: string, command: readonly string[]): string[] {
  return ["docker", "exec", "--interactive", container, ...command];
}

/** Runs a command in a pod of the namespace `default`. */
export function inPod(kubeconfig: string, pod: string, command: readonly string[]): string[] {
  return ["kubectl", `--kubeconfig=${kubeconfig}`, "exec", "--stdin", pod, "--", ...command];
}

/** Says its process id in a first line, and becomes the command: a signal to `kubectl exec` does not reach it. */
export function sayingItsPid(command: readonly string[]): string[] {
  return ["sh", "-c", 'echo "pid $$"; exec "$@"', "sh", ...command];
}

/** On its node: kills the process of a pod's container. */
export function killContainer(
  { pod, container }: { readonly pod: string; readonly container: string },
): string[] {
  const labels = `--label=io.kubernetes.pod.name=${pod} --label=io.kubernetes.container.name=${container}`;
  const pid = `crictl inspect --output=go-template --template='{{.info.pid}}' $(crictl ps --quiet ${labels})`;
  return ["sh", "-c", `kill -KILL "$(${pid})"`];
}

/** On the control plane's node: the kubelet ends what has no manifest any more. */
export function stopApiServer(): string[] {
  const wait = "while crictl ps --quiet --name=kube-apiserver | grep -q .; do sleep 0.2; done";
  return ["sh", "-c", `mv ${MANIFEST} /etc/kubernetes/ && ${wait}`];
}

export function startApiServer(): string[] {
  return ["mv", "/etc/kubernetes/kube-apiserver.yaml", MANIFEST];
}

/** Compacts at the revision of now. */
export function compactEtcd(): string[] {
  const etcd = "crictl exec $(crictl ps --quiet --name=etcd)";
  const revision =
    `${etcd} ${ETCDCTL} endpoint status --write-out=json | grep -o '"revision":[0-9]*' | cut -d: -f2`;
  return ["sh", "-c", `${etcd} ${ETCDCTL} compact --physical "$(${revision})"`];
}

export function containerLog(
  kubeconfig: string,
  { namespace, pod, container }: {
    readonly namespace: string;
    readonly pod: string;
    readonly container: string;
  },
): string[] {
  return [
    "kubectl",
    `--kubeconfig=${kubeconfig}`,
    "logs",
    `--namespace=${namespace}`,
    `--container=${container}`,
    pod,
  ];
}

export function exportLogs(folder: string): string[] {
  return ["kind", "export", "logs", `--name=${NAME}`, folder];
}

/** What is left of a run, this one's or an earlier one's. */
export function removeAll(): string[][] {
  return [["docker", "rm", "--force", OUTSIDE], ["kind", "delete", "cluster", `--name=${NAME}`]];
}

/**
 * Makes a node of the lab look to the agent like the pod it ships in: with a service account.
 *
 * In: a node, a token, the certificate authority. Out: the files the kubelet mounts, and the environment it sets.
 * Invariant: the files are in the node's own /run, which nobody else sees and which ends with it.
 * Source: Kubernetes "Accessing the Kubernetes API from a Pod".
 * @module
 */
import type { Namespace } from "./namespace.ts";

const FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Where an API server is, whom it trusts and who is to be trusted. */
export interface ApiAccess {
  readonly host: string;
  readonly port: number;
  readonly token: string;
  /** PEM. */
  readonly ca: string;
}

/**
 * Puts token and certificate where a pod has them.
 * @returns The environment of the pod's containers.
 * @throws {Error} When /var/run is not /run, and so would be the machine's.
 */
export async function giveServiceAccount(
  node: Namespace,
  { host, port, token, ca }: ApiAccess,
): Promise<Readonly<Record<string, string>>> {
  await node.run(["sh", "-c", `[ "$(readlink -f /var/run)" = /run ] && mkdir -p ${FOLDER}`]);
  await node.run(["sh", "-c", `cat >${FOLDER}/token`], { stdin: token });
  await node.run(["sh", "-c", `cat >${FOLDER}/ca.crt`], { stdin: ca });
  return { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: String(port) };
}

/** A kubeconfig that says the same, for programs that take nothing else. JSON is YAML. */
export function renderKubeconfig({ host, port, token, ca }: ApiAccess): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{
      name: "lab",
      cluster: { server: `https://${host}:${port}`, "certificate-authority-data": btoa(ca) },
    }],
    users: [{ name: "agent", user: { token } }],
    contexts: [{ name: "lab", context: { cluster: "lab", user: "agent" } }],
    "current-context": "lab",
  });
}

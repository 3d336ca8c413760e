/**
 * Where the API server is and how to prove who we are, whatever says so.
 *
 * In: `--kubeconfig` and `--context`, or nothing. Out: a KubeAccess: in a pod that is not told otherwise its service
 * account, else a kubeconfig.
 *
 * `@kubernetes/client-node` reads kubeconfigs, and is loaded only for one: it brings 70 MB of API models, more than the
 * rest of the agent, and a DaemonSet has it on every node.
 * @module
 */
import type https from "node:https";
import { KubeConfigError } from "./kube_api_error.ts";
import { inPod, ServiceAccountAccess } from "./service_account.ts";

/** Which cluster and user. */
export interface KubeAccessOptions {
  /** @default the pod's service account, else `$KUBECONFIG`, else `~/.kube/config` */
  readonly kubeconfig?: string | undefined;
  /** @default the kubeconfig's current context */
  readonly context?: string | undefined;
}

/** One cluster and one user of it. */
export interface KubeAccess {
  /** The API server's URL. */
  readonly server: string;
  /** Where the credentials come from, for messages. */
  readonly identity: string;
  /**
   * TLS options and headers for one request. Files are read and tokens asked for anew; may run a credential plugin.
   * @throws {Error} when the credentials cannot be had.
   */
  requestOptions(): Promise<https.RequestOptions>;
  /** Forgets what is cached, after the server refused it. */
  reload(): void;
}

/** Finds the access. @throws {KubeConfigError} when there is none, or it is of no use. */
export async function openKubeAccess(options: KubeAccessOptions): Promise<KubeAccess> {
  if (options.kubeconfig === undefined && inPod()) {
    if (options.context === undefined) return new ServiceAccountAccess();
    throw new KubeConfigError(
      "a pod's service account has no contexts: give --kubeconfig too, or no --context",
    );
  }
  const { KubeconfigAccess } = await import("./kubeconfig.ts");
  return new KubeconfigAccess(options);
}

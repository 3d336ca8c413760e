/**
 * Access as the pod's service account.
 *
 * In: the environment and the files the kubelet gives each pod. Out: the API server's URL, and TLS options and the token
 * for each request. Both files are read for each request: tokens expire within the hour, and are renewed in place.
 * Source: Kubernetes "Accessing the Kubernetes API from a Pod"; client-go's `rest.InClusterConfig`.
 * @module
 */
import { existsSync } from "node:fs";
import type https from "node:https";
import { join } from "node:path";
import type { KubeAccess } from "./access.ts";
import { KubeConfigError } from "./kube_api_error.ts";

const FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Whether this process runs in a pod that has a service account. */
export function inPod(folder: string = FOLDER): boolean {
  return existsSync(join(folder, "token"));
}

/** The pod's service account. */
export class ServiceAccountAccess implements KubeAccess {
  readonly server: string;
  readonly identity = "the pod's service account";
  readonly #folder: string;

  /** @throws {KubeConfigError} when the environment does not say where the API server is */
  constructor(
    { env = Deno.env.toObject(), folder = FOLDER }: {
      readonly env?: Readonly<Record<string, string>>;
      readonly folder?: string;
    } = {},
  ) {
    const { KUBERNETES_SERVICE_HOST: host = "", KUBERNETES_SERVICE_PORT: port = "" } = env;
    if (host === "" || port === "") {
      throw new KubeConfigError(
        "this pod has a service account, but the environment does not say where the API server is: set " +
          "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, or give --kubeconfig",
      );
    }
    this.server = `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
    if (!URL.canParse(this.server)) {
      throw new KubeConfigError(
        `KUBERNETES_SERVICE_HOST ${JSON.stringify(host)} and KUBERNETES_SERVICE_PORT ${
          JSON.stringify(port)
        } ` +
          "do not name an API server",
      );
    }
    this.#folder = folder;
  }

  async requestOptions(): Promise<https.RequestOptions> {
    const token = await Deno.readTextFile(join(this.#folder, "token"));
    const ca = await Deno.readTextFile(join(this.#folder, "ca.crt"));
    return { ca, headers: { Authorization: `Bearer ${token.trim()}` }, agent: false };
  }

  /** Nothing is cached. */
  reload(): void {}
}

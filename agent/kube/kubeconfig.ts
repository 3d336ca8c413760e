/**
 * Access as a kubeconfig says: certificates, tokens, credential plugins.
 *
 * In: `--kubeconfig` and `--context`, or nothing. Out: the server's URL, and TLS options and headers per request.
 * This is the only file that imports `@kubernetes/client-node`; `access.ts` says why it is imported only when needed.
 * Source: Kubernetes "Organizing Cluster Access Using kubeconfig Files".
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import type https from "node:https";
import { dirname, join, resolve } from "node:path";
import { KubeConfig } from "@kubernetes/client-node";
import { parse as parseYaml } from "yaml";
import { FieldReader, isFields } from "./_fields.ts";
import type { KubeAccess, KubeAccessOptions } from "./access.ts";
import { KubeConfigError } from "./kube_api_error.ts";

/** One cluster and one user of a kubeconfig. */
export class KubeconfigAccess implements KubeAccess {
  readonly server: string;
  readonly #options: KubeAccessOptions;
  #loaded: Loaded;

  /** Loads the kubeconfig. @throws {KubeConfigError} when there is none, or it is of no use. */
  constructor(options: KubeAccessOptions) {
    this.#options = options;
    this.#loaded = load(options);
    this.server = this.#loaded.config.getCurrentCluster()?.server ?? "";
  }

  get identity(): string {
    const user = this.#loaded.config.getCurrentUser()?.name ?? "";
    return `user ${JSON.stringify(user)} of ${nameOf(this.#options)}`;
  }

  async requestOptions(): Promise<https.RequestOptions> {
    const options: https.RequestOptions = {};
    const { config, tokenFile } = this.#loaded;
    await config.applyToHTTPSOptions(options);
    if (tokenFile !== undefined) {
      const token = (await Deno.readTextFile(tokenFile)).trim();
      options.headers = { ...options.headers, Authorization: `Bearer ${token}` };
    }
    // client-node keeps one agent per user, with the certificates it saw first; only a proxy needs that agent.
    if (!config.getCurrentCluster()?.proxyUrl) options.agent = false;
    return options;
  }

  /**
   * Reads the kubeconfig again and forgets cached tokens, after the server refused them: a plugin's token is
   * otherwise kept until it expires, and one in the file for ever.
   */
  reload(): void {
    try {
      const loaded = load(this.#options);
      if (loaded.config.getCurrentCluster()?.server === this.server) this.#loaded = loaded;
    } catch (error) {
      // The file may be in the middle of being replaced. The refusal that led here is reported and tried again.
      if (!(error instanceof KubeConfigError)) throw error;
    }
  }
}

interface Loaded {
  readonly config: KubeConfig;
  /** The current user's `tokenFile`, which client-node does not know (it looks for `token-file`). */
  readonly tokenFile: string | undefined;
}

function load(options: KubeAccessOptions): Loaded {
  const config = new KubeConfig();
  let tokenFile: string | undefined;
  const from = nameOf(options);
  try {
    if (options.kubeconfig !== undefined) config.loadFromFile(options.kubeconfig);
    else config.loadFromDefault();
    if (options.context !== undefined) useContext(config, options.context);
    tokenFile = findTokenFile(options, config);
  } catch (error) {
    // A YAML error goes on with the place in the text, over several lines.
    const [why] = (error instanceof Error ? error.message : String(error)).split("\n");
    throw new KubeConfigError(`cannot use ${from}: ${why}`, { cause: error });
  }
  const cluster = config.getCurrentCluster();
  if (!cluster?.server) {
    throw new KubeConfigError(
      `${from} has no cluster for context ${JSON.stringify(config.getCurrentContext())}`,
    );
  }
  if (cluster.server === "http://localhost:8080" && options.kubeconfig === undefined) {
    // What client-node falls back to when it finds nothing at all.
    throw new KubeConfigError(
      "there is no kubeconfig: give --kubeconfig, set KUBECONFIG, or run in a pod with a service account",
    );
  }
  if (!URL.canParse(cluster.server)) {
    throw new KubeConfigError(
      `${from} names the API server ${JSON.stringify(cluster.server)}, which is not a URL`,
    );
  }
  if (cluster.server.startsWith("http:") && !cluster.skipTLSVerify) {
    throw new KubeConfigError(
      `${from} names ${cluster.server}, where credentials would travel in clear text: use https, ` +
        "or set insecure-skip-tls-verify: true if that is meant",
    );
  }
  return { config, tokenFile };
}

/** kubeadm's kubeconfig of kube-proxy, for one, names its service account's token in this way. */
function findTokenFile(options: KubeAccessOptions, config: KubeConfig): string | undefined {
  const user = config.getCurrentUser()?.name;
  for (const file of filesOf(options).filter((path) => existsSync(path))) {
    const root: unknown = parseYaml(readFileSync(file, "utf8"));
    if (!isFields(root)) continue;
    const entry = new FieldReader(root, "", []).objects("users").find((reader) =>
      reader.text("name") === user
    );
    const tokenFile = entry?.object("user").text("tokenFile") ?? "";
    if (tokenFile !== "") return resolve(dirname(file), tokenFile);
    // Of several files, the first that has the user counts.
    if (entry !== undefined) return undefined;
  }
  return undefined;
}

/** The files client-node loads, in its order. */
function filesOf(options: KubeAccessOptions): string[] {
  if (options.kubeconfig !== undefined) return [options.kubeconfig];
  const listed = (Deno.env.get("KUBECONFIG") ?? "").split(":").filter((path) => path !== "");
  return listed.length > 0 ? listed : [join(Deno.env.get("HOME") ?? "/", ".kube", "config")];
}

function nameOf(options: KubeAccessOptions): string {
  if (options.kubeconfig !== undefined) return `kubeconfig ${options.kubeconfig}`;
  return "the default kubeconfig";
}

function useContext(config: KubeConfig, name: string): void {
  const known = config.getContexts().map((context) => context.name);
  if (!known.includes(name)) {
    throw new Error(`it has no context ${JSON.stringify(name)}, only ${known.join(", ")}`);
  }
  config.setCurrentContext(name);
}

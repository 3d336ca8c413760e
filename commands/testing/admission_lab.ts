/**
 * A real API server with the manifests of deploy/admission, and webhooks it can reach.
 *
 * In: the programs etcd and kube-apiserver. Out: what creates Services as people do, and starts webhooks as pods would run.
 * There is no network behind the cluster's Services here, so the API server is told to go through a proxy to all of them
 * (EgressSelectorConfiguration, as managed clusters have it); the proxy leads to the webhooks. All the rest is as in a cluster:
 * the manifests as they are, the Service's name in the certificate, the service account's own token.
 * @module
 */
import { fail } from "@std/assert/fail";
import { join } from "@std/path/join";
import { parseAllDocuments } from "yaml";
import { PROXY_NAME_LABEL, type ServiceCase, toService } from "../../admission/testing/service_cases.ts";
import { type ControlPlane, freePorts, startControlPlane } from "../../scripts/lab/control_plane.ts";
import { renderKubeconfig } from "../../scripts/lab/service_account.ts";
import { progress } from "../../scripts/tool_path.ts";
import { ensureTool } from "../../scripts/tools/mod.ts";
import { type LoopbackProgram, startLoopbackProgram } from "./loopback_program.ts";

/** An object of a manifest. */
interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

/** What became of a Service that was posted. */
export interface CreatedService {
  readonly status: number;
  /** Undefined: it has no such label. */
  readonly proxyName: string | undefined;
  /** What the API server warned of, as kubectl prints it. */
  readonly warnings: readonly string[];
  readonly body: string;
}

/** Which tool is missing; undefined when none is. */
export async function admissionLabTools(): Promise<
  { readonly etcd: string; readonly kubeApiserver: string } | { readonly unavailable: string }
> {
  const etcd = await ensureTool("etcd", { onProgress: progress });
  const kubeApiserver = await ensureTool("kube-apiserver", { onProgress: progress });
  return etcd.path === undefined || kubeApiserver.path === undefined
    ? { unavailable: etcd.unavailable ?? kubeApiserver.unavailable ?? "" }
    : { etcd: etcd.path, kubeApiserver: kubeApiserver.path };
}

/** See the module's comment. */
export class AdmissionLab implements AsyncDisposable {
  readonly plane: ControlPlane;
  readonly dir: string;
  readonly #tunnel: Tunnel;
  readonly #client: Deno.HttpClient;
  readonly #ca: string;
  readonly #made: AsyncDisposableStack;

  private constructor(parts: {
    readonly plane: ControlPlane;
    readonly dir: string;
    readonly tunnel: Tunnel;
    readonly client: Deno.HttpClient;
    readonly ca: string;
    readonly made: AsyncDisposableStack;
  }) {
    this.plane = parts.plane;
    this.dir = parts.dir;
    this.#tunnel = parts.tunnel;
    this.#client = parts.client;
    this.#ca = parts.ca;
    this.#made = parts.made;
  }

  /** Starts it, with the namespaces of the cases. */
  static async start(
    programs: { readonly etcd: string; readonly kubeApiserver: string },
  ): Promise<AdmissionLab> {
    await using made = new AsyncDisposableStack();
    const dir = await Deno.makeTempDir({ prefix: "lp-" });
    made.defer(() => Deno.remove(dir, { recursive: true }));
    // A Unix socket: given an http URL, kube-apiserver 1.36 looks for TLS settings that may not be there, and panics.
    const socket = join(dir, "egress.sock");
    const tunnel = made.use(new Tunnel(socket));
    const egress = join(dir, "egress.yaml");
    const connection = { proxyProtocol: "HTTPConnect", transport: { uds: { udsName: socket } } };
    await Deno.writeTextFile(
      egress,
      JSON.stringify({
        apiVersion: "apiserver.k8s.io/v1beta1",
        kind: "EgressSelectorConfiguration",
        egressSelections: [{ name: "cluster", connection }],
      }),
    );
    const plane = made.use(
      await startControlPlane({
        ...programs,
        dir,
        signal: AbortSignal.timeout(180_000),
        apiserverFlags: [`--egress-selector-config-file=${egress}`],
      }),
    );
    const ca = await Deno.readTextFile(plane.caFile);
    const client = made.use(Deno.createHttpClient({ caCerts: [ca] }));
    const lab = new AdmissionLab({ plane, dir, tunnel, client, ca, made: made.move() });
    for (const name of ["lightpath-system", "cert-manager", "team"]) {
      await plane.call("POST", "/api/v1/namespaces", { metadata: { name } });
    }
    return lab;
  }

  /** Creates all objects of a file of deploy/admission. @returns their paths */
  async apply(file: string): Promise<readonly string[]> {
    const text = await Deno.readTextFile(new URL(`../../deploy/admission/${file}`, import.meta.url));
    const paths: string[] = [];
    for (const document of parseAllDocuments(text)) {
      const object = document.toJS() as Manifest;
      const collection = collectionOf(object);
      await this.plane.call("POST", collection, object);
      paths.push(`${collection}/${object.metadata.name}`);
    }
    return paths;
  }

  /** A token that the API server issues for a service account. */
  async tokenOf(serviceAccount: string): Promise<string> {
    const path = `/api/v1/namespaces/lightpath-system/serviceaccounts/${serviceAccount}/token`;
    const { status: { token } } = await this.plane.call("POST", path, { spec: {} }) as {
      readonly status: { readonly token: string };
    };
    return token;
  }

  /** A kubeconfig for a service account. */
  async kubeconfigOf(serviceAccount: string): Promise<string> {
    const token = await this.tokenOf(serviceAccount);
    const file = join(this.dir, `${serviceAccount}.kubeconfig`);
    const access = { host: "127.0.0.1", port: this.plane.apiserverPort, token, ca: this.#ca };
    await Deno.writeTextFile(file, renderKubeconfig(access));
    return file;
  }

  /** A folder as the kubelet mounts it into pods of a service account. */
  async accountFolder(name: string, token: string): Promise<string> {
    const folder = join(this.dir, `${name}-account`);
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(join(folder, "token"), token);
    await Deno.writeTextFile(join(folder, "ca.crt"), this.#ca);
    return folder;
  }

  /**
   * Starts a webhook as a pod of the Deployment would run. The API server reaches it, and those started before, in turn.
   * `program`: what runs it, up to its flags, and gives it access; by default it has a kubeconfig of the service account.
   */
  async startWebhook(
    flags: readonly string[] = [],
    { program }: { readonly program?: readonly string[] } = {},
  ): Promise<LoopbackProgram> {
    const [port = 0] = freePorts(1);
    this.#tunnel.targets.push(port);
    const listen = [
      `--webhook-bind-address=127.0.0.1:${port}`,
      "--log-level=debug",
      "--drain-time=0s",
      ...flags,
    ];
    if (program !== undefined) return startLoopbackProgram(listen, { program });
    const kubeconfig = await this.kubeconfigOf("lightpath-webhook");
    return startLoopbackProgram(["webhook", `--kubeconfig=${kubeconfig}`, ...listen]);
  }

  /** From now on nobody is reached, or only whoever is started from now on; `silent`: connections are taken, and nothing comes. */
  disconnect(how: "refused" | "silent" = "refused"): void {
    this.#tunnel.targets.length = 0;
    this.#tunnel.silent = how === "silent";
  }

  /** Posts a Service. */
  async create(one: ServiceCase, query = ""): Promise<CreatedService> {
    const object = toService(one);
    return await this.post(`/api/v1/namespaces/${object.metadata.namespace}/services${query}`, object);
  }

  /** Posts any object. */
  async post(path: string, object: unknown): Promise<CreatedService> {
    const response = await fetch(`https://127.0.0.1:${this.plane.apiserverPort}${path}`, {
      client: this.#client,
      method: "POST",
      headers: { Authorization: `Bearer ${this.plane.token("admin")}`, "Content-Type": "application/json" },
      body: JSON.stringify(object),
      signal: AbortSignal.timeout(30_000),
    });
    const body = await response.text();
    const { metadata } = JSON.parse(body) as { metadata?: { labels?: Record<string, string> } };
    const warnings = [...(response.headers.get("warning") ?? "").matchAll(/299 - "((?:[^"\\]|\\.)*)"/g)]
      .map(([, text = ""]) => text);
    return { status: response.status, proxyName: metadata?.labels?.[PROXY_NAME_LABEL], warnings, body };
  }

  /** What the label of a Service says. */
  async proxyNameOf({ name, namespace = "default" }: ServiceCase): Promise<string | undefined> {
    const { metadata } = await this.plane.call("GET", `/api/v1/namespaces/${namespace}/services/${name}`) as {
      readonly metadata: { readonly labels?: Readonly<Record<string, string>> };
    };
    return metadata.labels?.[PROXY_NAME_LABEL];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#made.disposeAsync();
  }
}

/** Where an object of a manifest is created. */
function collectionOf({ apiVersion, kind, metadata: { namespace } }: Manifest): string {
  const plurals: Readonly<Record<string, string>> = {
    Secret: "secrets",
    Service: "services",
    ServiceAccount: "serviceaccounts",
    Deployment: "deployments",
    PodDisruptionBudget: "poddisruptionbudgets",
    Role: "roles",
    RoleBinding: "rolebindings",
    ClusterRole: "clusterroles",
    ClusterRoleBinding: "clusterrolebindings",
    MutatingWebhookConfiguration: "mutatingwebhookconfigurations",
    MutatingAdmissionPolicy: "mutatingadmissionpolicies",
    MutatingAdmissionPolicyBinding: "mutatingadmissionpolicybindings",
  };
  const root = apiVersion === "v1" ? "/api/v1" : `/apis/${apiVersion}`;
  const plural = plurals[kind] ?? fail(`deploy/admission has a ${kind}`);
  return `${root}${namespace === undefined ? "" : `/namespaces/${namespace}`}/${plural}`;
}

/** An HTTP proxy (RFC 9110, CONNECT) that leads to the targets in turn, whatever is asked for. */
class Tunnel implements AsyncDisposable {
  /** Ports on loopback. */
  readonly targets: number[] = [];
  silent = false;
  readonly #listener: Deno.UnixListener;
  readonly #open = new Set<Deno.Conn>();
  readonly #accepting: Promise<void>;
  #next = 0;

  constructor(socket: string) {
    this.#listener = Deno.listen({ transport: "unix", path: socket });
    this.#accepting = this.#accept();
  }

  async #accept(): Promise<void> {
    const under: Promise<void>[] = [];
    for await (const client of this.#listener) {
      this.#open.add(client);
      under.push(this.#lead(client).catch(() => {}).finally(() => this.#close(client)));
    }
    await Promise.all(under);
  }

  async #lead(client: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(4_096);
    // The client waits for the answer before it sends more, so its request is in the first pieces alone.
    for (let head = ""; !head.endsWith("\r\n\r\n");) {
      const length = await client.read(buffer);
      if (length === null) return;
      head += new TextDecoder().decode(buffer.subarray(0, length));
    }
    const port = this.targets[this.#next++ % Math.max(1, this.targets.length)];
    const say = (text: string): Promise<number> => client.write(new TextEncoder().encode(text));
    if (port === undefined && this.silent) {
      await say("HTTP/1.1 200 Connection established\r\n\r\n");
      while (await client.read(buffer) !== null);
      return;
    }
    if (port === undefined) return void await say("HTTP/1.1 503 Service Unavailable\r\n\r\n");
    const target = await Deno.connect({ hostname: "127.0.0.1", port });
    this.#open.add(target);
    await say("HTTP/1.1 200 Connection established\r\n\r\n");
    const pipes = [client.readable.pipeTo(target.writable), target.readable.pipeTo(client.writable)];
    await Promise.allSettled(pipes);
    this.#close(target);
  }

  #close(connection: Deno.Conn): void {
    if (!this.#open.delete(connection)) return;
    try {
      connection.close();
    } catch (error) {
      // The end of its streams has closed it already.
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of [...this.#open]) this.#close(connection);
    await this.#accepting;
  }
}

/**
 * What the scenarios share on a cluster: the echo deployment behind its Service, pods that ask, and words for what is done again
 * and again.
 *
 * Invariant: nothing here asserts; it asks, changes and waits.
 * @module
 */
import { until } from "../../commands/testing/until.ts";
import type { Attempt, Question } from "../lab/mod.ts";
import { type KubeObject, objectPath } from "../lab/object_path.ts";
import { type E2eCluster, type E2eNode, LOAD_BALANCER_IP, type Place } from "./cluster.ts";
import { clientPod, ECHO_PORTS, echoDeployment, service } from "./manifests.ts";

/** NodePorts of the Service `echo`. */
export const NODE_PORTS = { http: 30080, echo: 30090 } as const;

/** How many pods the echo deployment has between scenarios. */
export const ECHO_REPLICAS = 3;

const ECHO = "/api/v1/namespaces/default/services/echo";

/** What is read of a Service. */
interface ServiceObject {
  readonly metadata: { readonly labels?: Readonly<Record<string, string>> };
  readonly spec: { readonly clusterIPs: readonly [string, string?] };
}

interface DeploymentObject {
  readonly metadata: { readonly generation: number };
  readonly spec: { readonly replicas: number };
  readonly status: {
    readonly observedGeneration?: number;
    readonly updatedReplicas?: number;
    readonly availableReplicas?: number;
    readonly replicas?: number;
  };
}

/** What is read of a Pod. */
export interface PodObject {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
  readonly spec: { readonly nodeName: string };
  readonly status: {
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly ContainerStatus[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
  };
}

interface ContainerStatus {
  readonly name: string;
  readonly restartCount: number;
  readonly ready: boolean;
}

/** See the module's comment. */
export class Stage {
  readonly cluster: E2eCluster;
  /** Of the Service `echo`, by family. */
  readonly vip: string;
  readonly vip6: string;
  /** A pod on each node; a process on each node; the machine beyond. */
  readonly pods: readonly [Place, Place] = [{ pod: "client-a" }, { pod: "client-b" }];
  readonly onNodes: readonly [Place, Place] = [{ pod: "on-node-a" }, { pod: "on-node-b" }];

  private constructor(cluster: E2eCluster, [vip, vip6 = ""]: ServiceObject["spec"]["clusterIPs"]) {
    this.cluster = cluster;
    this.vip = vip;
    this.vip6 = vip6;
  }

  /** Applies it; that the pods are there is waited for, not that anybody serves the Service. */
  static async create(cluster: E2eCluster): Promise<Stage> {
    const { api, images, nodes: [a, b] } = cluster;
    const ports = ECHO_PORTS.map((port) => ({
      ...port,
      nodePort: NODE_PORTS[port["name"] as "http" | "echo"],
    }));
    await api.apply(
      echoDeployment(images, ECHO_REPLICAS),
      service("echo", { app: "echo", ports, rest: { type: "LoadBalancer" } }),
      clientPod("client-a", { node: a, hostNetwork: false, images }),
      clientPod("client-b", { node: b, hostNetwork: false, images }),
      clientPod("on-node-a", { node: a, hostNetwork: true, images }),
      clientPod("on-node-b", { node: b, hostNetwork: true, images }),
    );
    await api.patch(`${ECHO}/status`, { status: { loadBalancer: { ingress: [{ ip: LOAD_BALANCER_IP }] } } });
    const { spec } = await api.get<ServiceObject>(ECHO);
    const stage = new Stage(cluster, spec.clusterIPs);
    await stage.untilDeployed("echo");
    for (const place of [...stage.pods, ...stage.onNodes]) {
      if (place !== "outside") await stage.untilPodReady(place.pod);
    }
    return stage;
  }

  /** Applies a Service and returns its VIP. Disposing it deletes it. */
  async service(object: KubeObject): Promise<{ readonly vip: string } & AsyncDisposable> {
    const { api } = this.cluster;
    await api.apply(object);
    const { spec } = await api.get<ServiceObject>(objectPath(object));
    return { vip: spec.clusterIPs[0], [Symbol.asyncDispose]: () => api.remove(objectPath(object)) };
  }

  /** Asks all questions side by side, each once unless it says otherwise. @returns the attempts of each */
  async ask(
    from: Place,
    questions: readonly (Pick<Question, "protocol" | "host" | "port"> & Partial<Question>)[],
  ): Promise<Attempt[][]> {
    const stdin = JSON.stringify(questions.map((one) => ({ times: 1, timeoutMs: 5_000, ...one })));
    const { code, stdout, stderr } = await this.cluster.exec(from, ["python3", "/lab/ask.py"], { stdin });
    if (code !== 0) throw new Error(`ask.py ended with code ${code}: ${stderr}`);
    return JSON.parse(stdout) as Attempt[][];
  }

  /** One HTTP request to an echo server. */
  async http(
    from: Place,
    host: string,
    options: { readonly port?: number; readonly path?: string } = {},
  ): Promise<Echo> {
    const [[attempt] = []] = await this.ask(from, [{ protocol: "http", host, port: 80, ...options }]);
    return readEcho(attempt);
  }

  /** Waits until requests to a VIP go through Envoy, or past it. */
  async untilThroughEnvoy(from: Place, host: string, expected = true): Promise<void> {
    await until(`the way ${expected ? "through" : "past"} Envoy to ${host}`, () => this.http(from, host), {
      wanted: ({ name, throughEnvoy }) => name !== undefined && throughEnvoy === expected,
      timeoutMs: 30_000,
    });
  }

  /** Sets the number of pods of a deployment and waits until they serve, and no others. */
  async scale(app: string, replicas: number): Promise<void> {
    await this.cluster.api.patch(deploymentPath(app), { spec: { replicas } });
    await this.untilDeployed(app);
  }

  /** `kubectl rollout restart`, and waits for it. */
  async restart(app: string): Promise<void> {
    const annotations = { "kubectl.kubernetes.io/restartedAt": new Date().toISOString() };
    await this.cluster.api.patch(deploymentPath(app), { spec: { template: { metadata: { annotations } } } });
    await this.untilDeployed(app);
  }

  /** Waits for `kubectl rollout status`, and until those that go are gone. */
  async untilDeployed(app: string): Promise<void> {
    const { api } = this.cluster;
    const read = async (): Promise<string> => {
      const { metadata, spec, status } = await api.get<DeploymentObject>(deploymentPath(app));
      const { updatedReplicas = 0, availableReplicas = 0, replicas = 0 } = status;
      if (status.observedGeneration !== metadata.generation) return "not looked at yet";
      const counts = [updatedReplicas, availableReplicas, replicas];
      if (counts.every((count) => count === spec.replicas)) return "deployed";
      return `of ${spec.replicas} pods ${updatedReplicas} are new, ${availableReplicas} available; ${replicas} in all`;
    };
    const wanted = (state: string): boolean => state === "deployed";
    await until(`the deployment ${app}`, read, { wanted, timeoutMs: 60_000 });
    const ending = async (): Promise<number> =>
      (await this.podsOf(app)).filter(({ metadata }) => metadata.deletionTimestamp !== undefined).length;
    await until(`the end of pods of ${app}`, ending, { wanted: (count) => count === 0, timeoutMs: 30_000 });
  }

  /** The pods with the label `app`, those that end included. */
  async podsOf(app: string): Promise<readonly PodObject[]> {
    return await this.cluster.api.list(`/api/v1/namespaces/default/pods?labelSelector=app%3D${app}`);
  }

  /** Waits until a Service's endpoints that serve are exactly so many. */
  async untilEndpoints(name: string, count: number): Promise<void> {
    await until(`${count} endpoints of ${name}`, () => this.#endpoints(name), {
      wanted: (addresses) => addresses === count,
      timeoutMs: 30_000,
    });
  }

  async #endpoints(name: string): Promise<number> {
    interface Slice {
      readonly addressType: string;
      readonly endpoints: readonly { readonly conditions: { readonly ready?: boolean } }[] | null;
    }
    const selector = `labelSelector=kubernetes.io%2Fservice-name%3D${name}`;
    const slices = await this.cluster.api.list<Slice>(
      `/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?${selector}`,
    );
    return slices.filter(({ addressType }) => addressType === "IPv4")
      .flatMap(({ endpoints }) => endpoints ?? [])
      .filter(({ conditions }) => conditions.ready === true).length;
  }

  async untilPodReady(name: string, namespace = "default"): Promise<void> {
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
    const read = async (): Promise<string | undefined> => {
      const { status } = await this.cluster.api.get<PodObject>(path);
      return status.conditions?.find(({ type }) => type === "Ready")?.status;
    };
    await until(`the pod ${name} to be ready`, read, { wanted: (is) => is === "True", timeoutMs: 60_000 });
  }

  /** The pod of Lightpath on a node. */
  async lightpathOn({ name }: E2eNode): Promise<PodObject> {
    const selector = "labelSelector=app.kubernetes.io%2Fname%3Dlightpath";
    const pods = await this.cluster.api.list<PodObject>(
      `/api/v1/namespaces/lightpath-system/pods?${selector}`,
    );
    const pod = pods.find(({ spec, metadata }) =>
      spec.nodeName === name && metadata.deletionTimestamp === undefined
    );
    if (pod === undefined) throw new Error(`Lightpath has no pod on ${name}`);
    return pod;
  }
}

/** What an echo server said; without a name, how it was not reached. */
export interface Echo {
  readonly name: string | undefined;
  readonly outcome: Attempt["outcome"];
  readonly status: number;
  /** Of the client, as the server saw it. */
  readonly source: string | undefined;
  readonly throughEnvoy: boolean;
}

/** Reads an answer over HTTP. */
export function readEcho(attempt: Attempt | undefined): Echo {
  const { outcome = "timeout", status = 0, body = "" } = attempt ?? {};
  return {
    outcome,
    status,
    name: /^Hostname: (\S+)/m.exec(body)?.[1],
    source: /^RemoteAddr: \[?(.+?)\]?:\d+$/m.exec(body)?.[1],
    // Envoy tells every endpoint how long it waits.
    throughEnvoy: /^x-envoy-/m.test(body),
  };
}

function deploymentPath(app: string): string {
  return `/apis/apps/v1/namespaces/default/deployments/${app}`;
}

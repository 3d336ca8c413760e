/**
 * The replicas of a scenario: pods on both nodes, the processes in them, and the EndpointSlices that tell of them.
 *
 * In: a cluster, what is to be played, addresses of Services. Out: replicas that answer; slices for the API server at each change.
 * Invariants: replicas take turns on the nodes; each knows the names of the Services of its own namespace. What a Deployment has beyond
 * {@linkcode MOST_PODS} replicas are further addresses of the same pods.
 * @module
 */
import { delay } from "@std/async/delay";
import type { ApiWrite } from "../../lab/api_writer.ts";
import type { Cluster, ClusterNode, Namespace } from "../../lab/mod.ts";
import { podAddresses } from "../../lab/cluster_addresses.ts";
import { type Play, type PlayedDeployment, type PlayedService, selectedBy } from "./manifests.ts";
import { type MockGraph, networkFile } from "./mock_graph.ts";

/** Pods of a Deployment at most: what 400 replicas are to a proxy are their addresses. */
export const MOST_PODS = 20;

/** Where the replicas of mock-graph answer. */
const CONTAINER_PORT = 8080;

/** The first of a node's addresses that replicas have. */
const FIRST_HOST = 10;

/** Pods that are made at the same time. */
const AT_ONCE = 8;

/** A pod in which a replica runs, or can. */
interface Place {
  readonly node: ClusterNode;
  readonly namespace: Namespace;
  /** Stands for its network. */
  readonly network: string;
  readonly addresses: string[];
}

/** The pods of a Deployment. */
interface Replicas {
  readonly deployment: PlayedDeployment;
  readonly running: Place[];
  /** Where the next ones are started in a rolling restart. */
  readonly spare: Place[];
}

/** What replicas are made with. */
export interface ReplicasOptions {
  readonly cluster: Cluster;
  readonly play: Play;
  readonly mockGraph: MockGraph;
  /** Of each namespace, its Services' addresses by name. */
  readonly hosts: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** Sends a change to the API server. */
  readonly write: (write: ApiWrite) => Promise<void>;
}

/** See the module's comment. */
export class ScenarioReplicas {
  readonly #options: ReplicasOptions;
  readonly #replicas: readonly Replicas[];

  private constructor(options: ReplicasOptions, replicas: readonly Replicas[]) {
    this.#options = options;
    this.#replicas = replicas;
  }

  /** Makes the pods and the slices; nothing runs in them yet. */
  static async create(options: ReplicasOptions): Promise<ScenarioReplicas> {
    const { cluster, play: { deployments, loads } } = options;
    const plans = deployments.map((deployment) => {
      const processes = Math.min(deployment.replicas, MOST_PODS);
      const isRestarted = loads.some(({ during }) => during === "rolling-restart");
      return { deployment, processes, places: isRestarted ? 2 * processes : processes };
    });
    const nextHost = new Map(cluster.nodes.map(({ name }) => [name, FIRST_HOST]));
    const takeHost = ({ name }: ClusterNode): number => {
      const host = nextHost.get(name)!;
      nextHost.set(name, host + 1);
      return host;
    };
    let turn = 0;
    const replicas: Replicas[] = [];
    for (const { deployment, processes, places } of plans) {
      const made = await inBatches(Array.from({ length: places }), async () => {
        const node = cluster.nodes[turn++ % cluster.nodes.length]!;
        return await makePlace(cluster, node, takeHost(node));
      });
      for (let further = processes; further < deployment.replicas; further++) {
        const place = made[further % processes]!;
        await addAddress(place, podAddresses(place.node.name, takeHost(place.node)).ipv4);
      }
      replicas.push({ deployment, running: made.slice(0, processes), spare: made.slice(processes) });
    }
    const found = new ScenarioReplicas(options, replicas);
    for (const service of options.play.services) {
      const path = `/apis/discovery.k8s.io/v1/namespaces/${service.namespace}/endpointslices`;
      await options.write({ method: "POST", path, body: found.#slice(service) });
    }
    return found;
  }

  /** Starts all of them, and waits until they answer. */
  async start(): Promise<void> {
    for (const { deployment, place } of this.#running) await this.#start(deployment, place);
  }

  /** Ends all of them: who comes next finds no connection of before. */
  async stop(): Promise<void> {
    for (const { place } of this.#running) await this.#stop(place);
  }

  /** Replaces one after the other, in about so long: the new one serves before the old one is told to end. */
  async restart(durationMs: number): Promise<void> {
    const stepMs = durationMs / this.#running.length;
    for (const { deployment, running, spare } of this.#replicas) {
      for (const old of [...running]) {
        const startMs = performance.now();
        const next = spare.shift()!;
        await this.#start(deployment, next);
        running.push(next);
        running.splice(running.indexOf(old), 1);
        await this.#tell(deployment, old);
        await this.#stop(old);
        await this.#tell(deployment);
        spare.push(old);
        await delay(Math.max(0, stepMs - (performance.now() - startMs)));
      }
    }
  }

  get #running(): { readonly deployment: PlayedDeployment; readonly place: Place }[] {
    return this.#replicas.flatMap(({ deployment, running }) =>
      running.map((place) => ({ deployment, place }))
    );
  }

  async #start({ namespace, environment }: PlayedDeployment, { network }: Place): Promise<void> {
    const { mockGraph, hosts } = this.#options;
    await mockGraph.begin({ name: network, network, hosts: hosts.get(namespace) ?? {}, environment });
  }

  async #stop({ network }: Place): Promise<void> {
    await this.#options.mockGraph.end(network);
  }

  /** Tells of a Deployment's replicas, and of one that is about to end. */
  async #tell(deployment: PlayedDeployment, ending?: Place): Promise<void> {
    const { play: { services, deployments }, write } = this.#options;
    for (const service of services) {
      if (!selectedBy(service, deployments).includes(deployment)) continue;
      const body = this.#slice(service, ending);
      const path =
        `/apis/discovery.k8s.io/v1/namespaces/${service.namespace}/endpointslices/${body.metadata.name}`;
      await write({ method: "PUT", path, body });
    }
  }

  #slice(service: PlayedService, ending?: Place): { readonly metadata: { readonly name: string } } {
    const selected = selectedBy(service, this.#options.play.deployments);
    const places = this.#replicas.filter(({ deployment }) => selected.includes(deployment)).flatMap((
      { running },
    ) => running);
    const { namespace, name, port } = service;
    return {
      ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4" },
      metadata: { name: `${name}-lab`, ...{ namespace, labels: { "kubernetes.io/service-name": name } } },
      ...{ ports: [{ name: port.name, port: CONTAINER_PORT, protocol: "TCP" }] },
      ...{
        endpoints: [
          ...places.flatMap((place) => endpoints(place)),
          ...ending === undefined ? [] : endpoints(ending, true),
        ],
      },
    };
  }
}

async function makePlace(cluster: Cluster, node: ClusterNode, host: number): Promise<Place> {
  const { namespace, ipv4 } = await cluster.addPod(node, { name: `replica-${host}`, host });
  const network = await networkFile(namespace, `${node.name}-${host}`);
  return { node, namespace, network, addresses: [ipv4] };
}

async function addAddress({ node, namespace, addresses }: Place, address: string): Promise<void> {
  await namespace.ip([`addr add ${address}/32 dev eth0`]);
  await node.namespace.ip([`route add ${address}/32 dev ${namespace.name}`]);
  addresses.push(address);
}

function endpoints({ addresses, node }: Place, isEnding = false): unknown[] {
  return addresses.map((address) => ({
    ...{ addresses: [address], nodeName: node.name },
    conditions: { ready: !isEnding, serving: true, terminating: isEnding },
  }));
}

async function inBatches<T, R>(values: readonly T[], each: (value: T) => Promise<R>): Promise<R[]> {
  const found: R[] = [];
  for (let from = 0; from < values.length; from += AT_ONCE) {
    found.push(...await Promise.all(values.slice(from, from + AT_ONCE).map(each)));
  }
  return found;
}

/**
 * Where the cases play: two nodes, the servers behind the Services, and those who ask.
 *
 * In: the nft program. Out: the places; disposing it ends and removes everything.
 * Invariant: servers answer before this is handed out; no proxy runs yet.
 * @module
 */
import { ask, type Attempt, Cluster, type ClusterNode, type Namespace, startWhoami } from "../lab/mod.ts";
import { temporaryFolder } from "../lab/temporary_folder.ts";
import { addressOf, BACKEND_PORTS, CLIENT_HOST, POD_HOSTS, ROUTED_TO_NODE_A } from "./addresses.ts";
import type { Backend, Place, Row } from "./case.ts";
import { questionOf } from "./judge.ts";

/** See the module's comment. */
export class Stage implements AsyncDisposable {
  readonly nodes: readonly [ClusterNode, ClusterNode];
  /** For the files of a run. */
  readonly dir: string;
  readonly #places: ReadonlyMap<Place, Namespace>;
  readonly #made: AsyncDisposableStack;

  private constructor(parts: {
    readonly nodes: readonly [ClusterNode, ClusterNode];
    readonly dir: string;
    readonly places: ReadonlyMap<Place, Namespace>;
    readonly made: AsyncDisposableStack;
  }) {
    this.nodes = parts.nodes;
    this.dir = parts.dir;
    this.#places = parts.places;
    this.#made = parts.made;
  }

  /** Builds it. @throws {Error} When the machine allows no namespaces */
  static async create(options: { readonly nft: string }): Promise<Stage> {
    await using made = new AsyncDisposableStack();
    const dir = await temporaryFolder(made, "lightpath-parity-");
    const cluster = made.use(await Cluster.create({ prefixes: ROUTED_TO_NODE_A, nft: options.nft }));
    const { nodes, outside } = cluster;
    const [nodeA, nodeB] = nodes;
    const pods = await Promise.all([
      cluster.addPod(nodeA, { name: "pod-a", host: CLIENT_HOST }),
      cluster.addPod(nodeB, { name: "pod-b", host: CLIENT_HOST }),
      cluster.addPod(nodeA, { name: "a1", host: POD_HOSTS.a1 }),
      cluster.addPod(nodeA, { name: "a2", host: POD_HOSTS.a2 }),
      cluster.addPod(nodeB, { name: "b1", host: POD_HOSTS.b1 }),
      cluster.addPod(nodeB, { name: "b2", host: POD_HOSTS.b2 }),
    ]);
    const [podA, podB, ...served] = pods.map(({ namespace }) => namespace);
    const [a1, a2, b1, b2] = served;
    const servers = { a1, a2, b1, b2, "node-a": nodeA.namespace, outside };
    await Promise.all(
      Object.entries(servers).map(([name, namespace]) => serve(name as Backend, namespace!)),
    );
    const places = new Map<Place, Namespace>([
      ["pod-a", podA!],
      ["pod-b", podB!],
      ["node-a", nodeA.namespace],
      ["node-b", nodeB.namespace],
      ["outside", outside],
      ["a1", a1!],
    ]);
    return new Stage({ nodes, dir, places, made: made.move() });
  }

  /** Asks rows, all side by side. @returns the attempts of each */
  async ask(rows: readonly Row[]): Promise<Map<Row, readonly Attempt[]>> {
    const asked = await Promise.all(
      [...Map.groupBy(rows, ({ from }) => from)].map(async ([from, ofPlace]) => {
        const attempts = await ask(this.#places.get(from)!, ofPlace.map(questionOf));
        return ofPlace.map((row, index) => [row, attempts[index] ?? []] as const);
      }),
    );
    return new Map(asked.flat());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#made.disposeAsync();
  }
}

async function serve(name: Backend, namespace: Namespace): Promise<void> {
  const { IPv4: ipv4, IPv6: ipv6 } = addressOf(name);
  // The machine beyond stands for a load balancer too, and is asked at the Service's own ports.
  const ports = name === "outside" ? [...BACKEND_PORTS, 80, 8000] : BACKEND_PORTS;
  await startWhoami(namespace, { name, addresses: { ipv4, ipv6 }, ports });
}

/**
 * A real etcd and kube-apiserver that hold a world.
 *
 * In: a shape, changes, the two programs. Out: as every WorldHost; the objects are there before it is handed out.
 * Invariants: only loopback of the namespace this runs in; at most {@linkcode PARALLEL} requests at a time.
 * @module
 */
import type { ControlPlane } from "../lab/control_plane.ts";
import { startControlPlane } from "../lab/control_plane.ts";
import type { ApiAccess } from "../lab/service_account.ts";
import { storedWorld } from "./stored_world.ts";
import { namespaces, type WorldShape } from "./world.ts";
import { type Change, Generations, type ObjectWrite, type WorldHost } from "./world_host.ts";

const PARALLEL = 48;

/** What it needs. */
export interface RealApiOptions {
  readonly shape: WorldShape;
  readonly etcd: string;
  readonly kubeApiserver: string;
  /** A Node object, which kube-proxy wants to see. */
  readonly node: { readonly name: string; readonly address: string };
  /** An empty folder. */
  readonly dir: string;
}

/** The two programs with the world in them. */
export class RealApi implements WorldHost {
  readonly access: ApiAccess;
  readonly #shape: WorldShape;
  readonly #plane: ControlPlane;
  readonly #writer: Writer;
  readonly #generations = new Generations();

  private constructor(
    shape: WorldShape,
    parts: { readonly plane: ControlPlane; readonly access: ApiAccess; readonly writer: Writer },
  ) {
    this.#shape = shape;
    this.#plane = parts.plane;
    this.access = parts.access;
    this.#writer = parts.writer;
  }

  /** Starts both, the objects in etcd already; the API server serves them when it is ready. */
  static async start(options: RealApiOptions): Promise<RealApi> {
    const { shape, etcd, kubeApiserver, dir, node } = options;
    await using made = new AsyncDisposableStack();
    const plane = made.use(
      await startControlPlane({
        etcd,
        kubeApiserver,
        dir,
        etcdEntries: storedWorld(shape),
        signal: AbortSignal.timeout(300_000),
        // The benchmark is one client and does not want to be queued; events of the past are not looked at.
        apiserverFlags: ["--max-requests-inflight=2000", "--max-mutating-requests-inflight=1000"],
      }),
    );
    const access: ApiAccess = {
      host: "127.0.0.1",
      port: plane.apiserverPort,
      token: plane.token("admin"),
      ca: await Deno.readTextFile(plane.caFile),
    };
    const writer = made.use(new Writer(access));
    await writer.all([
      [{
        method: "POST",
        path: "/api/v1/nodes",
        body: {
          metadata: { name: node.name },
          spec: { podCIDR: "10.244.0.0/24", podCIDRs: ["10.244.0.0/24"] },
          status: { addresses: [{ type: "InternalIP", address: node.address }] },
        },
      }],
      ...namespaces(shape).map((name): Write[] => [{
        method: "POST",
        path: "/api/v1/namespaces",
        body: { metadata: { name } },
      }]),
    ]);
    made.move();
    return new RealApi(shape, { plane, access, writer });
  }

  stage(changes: readonly Change[]): () => Promise<void> {
    // What is written for one Service is written in order; Services do not wait for each other.
    const byService = Map.groupBy(changes, ({ index }) => index);
    const writes = [...byService.values()].map((ofOne) =>
      ofOne.flatMap((change) =>
        this.#generations.write(this.#shape, change).map(({ verb, object }) => toWrite(verb, object))
      )
    );
    return () => this.#writer.all(writes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#writer[Symbol.dispose]();
    await this.#plane[Symbol.asyncDispose]();
  }
}

interface Write {
  readonly method: "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
}

const METHODS: Readonly<Record<ObjectWrite["verb"], Write["method"]>> = {
  create: "POST",
  update: "PUT",
  delete: "DELETE",
};

function toWrite(verb: ObjectWrite["verb"], object: ObjectWrite["object"]): Write {
  // Managed fields and uid are the server's to give.
  const { managedFields: _managed, uid: _uid, creationTimestamp: _time, ...metadata } = object.metadata;
  const plural = object.kind === "Service" ? "services" : "endpointslices";
  const group = object.kind === "Service" ? "/api/v1" : "/apis/discovery.k8s.io/v1";
  const collection = `${group}/namespaces/${metadata["namespace"]}/${plural}`;
  const path = verb === "create" ? collection : `${collection}/${metadata["name"]}`;
  return { method: METHODS[verb], path, ...(verb === "delete" ? {} : { body: { ...object, metadata } }) };
}

/** Sends writes over connections that are kept, unlike `ControlPlane.call`. */
class Writer implements Disposable {
  readonly #client: Deno.HttpClient;
  readonly #origin: string;
  readonly #token: string;

  constructor({ host, port, token, ca }: ApiAccess) {
    // Over HTTP/2, Deno 2.9 sends a body in pieces that wait for the server's delayed ACK: 40 ms for each slice.
    this.#client = Deno.createHttpClient({ caCerts: [ca], http2: false });
    this.#origin = `https://${host}:${port}`;
    this.#token = token;
  }

  /** Each list in its order, the lists side by side. @throws {Error} With the server's words at the first refusal. */
  async all(lists: readonly (readonly Write[])[]): Promise<void> {
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < lists.length) {
        for (const write of lists[next++]!) await this.#send(write);
      }
    };
    await Promise.all(Array.from({ length: Math.min(PARALLEL, lists.length) }, worker));
  }

  async #send({ method, path, body }: Write): Promise<void> {
    const response = await fetch(`${this.#origin}${path}`, {
      client: this.#client,
      method,
      headers: { Authorization: `Bearer ${this.#token}`, "Content-Type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(60_000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

/**
 * A real etcd and kube-apiserver that hold a world.
 *
 * In: a shape, changes, the two programs. Out: as every WorldHost; the objects are there before it is handed out.
 * Invariants: only loopback of the namespace this runs in.
 * @module
 */
import { type ApiWrite, ApiWriter } from "../lab/api_writer.ts";
import type { ControlPlane } from "../lab/control_plane.ts";
import { startControlPlane } from "../lab/control_plane.ts";
import type { ApiAccess } from "../lab/service_account.ts";
import { storedWorld } from "./stored_world.ts";
import { namespaces, type WorldShape } from "./world.ts";
import { type Change, Generations, type ObjectWrite, type WorldHost } from "./world_host.ts";

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
  readonly #writer: ApiWriter;
  readonly #generations = new Generations();

  private constructor(
    shape: WorldShape,
    parts: { readonly plane: ControlPlane; readonly access: ApiAccess; readonly writer: ApiWriter },
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
    const writer = made.use(new ApiWriter(access));
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
      ...namespaces(shape).map((name): ApiWrite[] => [{
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

const METHODS: Readonly<Record<ObjectWrite["verb"], ApiWrite["method"]>> = {
  create: "POST",
  update: "PUT",
  delete: "DELETE",
};

function toWrite(verb: ObjectWrite["verb"], object: ObjectWrite["object"]): ApiWrite {
  // Managed fields and uid are the server's to give.
  const { managedFields: _managed, uid: _uid, creationTimestamp: _time, ...metadata } = object.metadata;
  const plural = object.kind === "Service" ? "services" : "endpointslices";
  const group = object.kind === "Service" ? "/api/v1" : "/apis/discovery.k8s.io/v1";
  const collection = `${group}/namespaces/${metadata["namespace"]}/${plural}`;
  const path = verb === "create" ? collection : `${collection}/${metadata["name"]}`;
  return { method: METHODS[verb], path, ...(verb === "delete" ? {} : { body: { ...object, metadata } }) };
}

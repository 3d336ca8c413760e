/**
 * An API server in memory that refuses what the real one refuses: for tests of the list+watch loop over a socket.
 *
 * In: objects put and deleted by a test, and faults to inject. Out: HTTP on a loopback port.
 * Serves Services and EndpointSlices over all namespaces, in protobuf to who accepts it and else in JSON: lists, watches
 * that resume from a resourceVersion, bookmarks, 410 in both its forms, refusals, dropped and silent connections, answers
 * that are cut into pieces or break off anywhere.
 * Source: Kubernetes "API Concepts".
 * @module
 */
import http from "node:http";
import type { KubeObject, NamespacedName } from "../objects.ts";
import { API_VERSIONS } from "../parse.ts";
import { Awaiter } from "./awaiter.ts";
import {
  encodeEnvelope,
  encodeList,
  encodeObject,
  encodeStatus,
  encodeWatchFrame,
  type Json,
} from "./protobuf_encoder.ts";

/** A raw object as JSON would hold it. */
export type RawObject = {
  readonly metadata: { readonly namespace: string; readonly name: string; readonly [key: string]: Json };
  readonly [key: string]: Json;
};

/** How the server tells a watcher that history is lost. */
export type GoneForm = "status" | "event";

interface LogEntry {
  readonly resourceVersion: number;
  readonly kind: KubeObject["kind"];
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: RawObject;
}

/** Somebody who watches. */
interface Watcher {
  readonly kind: KubeObject["kind"];
  readonly inProtobuf: boolean;
  readonly response: http.ServerResponse;
}

/** A request as it arrived. */
export interface SeenRequest {
  readonly verb: "list" | "watch";
  readonly kind: KubeObject["kind"];
  readonly query: URLSearchParams;
  /** The format of the answer. */
  readonly inProtobuf: boolean;
}

/** Answers instead of the regular answer. */
export interface Refusal {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Json;
}

const PATHS: Readonly<Record<string, KubeObject["kind"]>> = {
  "/api/v1/services": "Service",
  "/apis/discovery.k8s.io/v1/endpointslices": "EndpointSlice",
};

const PROTOBUF = "application/vnd.kubernetes.protobuf";
const utf8 = new TextEncoder();

/** The server. Dispose of it with `await using`. */
export class FakeApiserver implements AsyncDisposable {
  /** All requests so far, in order. */
  readonly requests: SeenRequest[] = [];
  /** Asked for each request; an answer here replaces the regular one. */
  refuse: (request: SeenRequest) => Refusal | undefined = () => undefined;
  /** While true, requests are accepted and never answered, and watches get nothing. */
  silent = false;
  /** While true, connections are refused by closing them at once. */
  down = false;
  goneForm: GoneForm = "status";
  /** False for a server, or something before one, that has nothing but JSON. */
  speaksProtobuf = true;
  /** Asked for each list: after how many bytes of its body the connection breaks. */
  breakList: (bytes: number) => number = () => Infinity;
  /** Cut what is sent into pieces of this size; 0 sends whole. */
  chunkBytes = 0;

  readonly #server: http.Server;
  readonly #objects: Record<KubeObject["kind"], Map<NamespacedName, RawObject>> = {
    Service: new Map(),
    EndpointSlice: new Map(),
  };
  readonly #log: LogEntry[] = [];
  readonly #watchers = new Set<Watcher>();
  #resourceVersion = 100;
  #compactedBefore = 100;
  readonly #awaiter = new Awaiter();

  private constructor() {
    this.#server = http.createServer((request, response) => this.#handle(request, response));
  }

  /** Starts listening on a free loopback port. */
  static async start(): Promise<FakeApiserver> {
    const fake = new FakeApiserver();
    await new Promise<void>((resolve) => fake.#server.listen(0, "127.0.0.1", () => resolve()));
    return fake;
  }

  /** `http://127.0.0.1:port`. */
  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    return `http://127.0.0.1:${address.port}`;
  }

  /** Writes a kubeconfig for this server into a folder and returns its path. */
  async kubeconfig(dir: string): Promise<string> {
    const path = `${dir}/fake.kubeconfig`;
    const cluster = { server: this.url, "insecure-skip-tls-verify": true };
    await Deno.writeTextFile(
      path,
      JSON.stringify({
        clusters: [{ name: "fake", cluster }],
        users: [{ name: "tester", user: { token: "secret" } }],
        contexts: [{ name: "fake", context: { cluster: "fake", user: "tester" } }],
        "current-context": "fake",
      }),
    );
    return path;
  }

  /** Number of open watch streams. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /** `namespace/name` of all objects of a kind with their resourceVersion. */
  versions(kind: KubeObject["kind"]): Map<NamespacedName, string> {
    return new Map([...this.#objects[kind]].map(([key, object]) => [key, versionOf(object)]));
  }

  /** Creates or replaces an object and tells the watchers. */
  put(kind: KubeObject["kind"], raw: RawObject): void {
    const key = `${raw.metadata.namespace}/${raw.metadata.name}`;
    const type = this.#objects[kind].has(key) ? "MODIFIED" : "ADDED";
    const object = this.#stamp(raw);
    this.#objects[kind].set(key, object);
    this.#append({ resourceVersion: this.#resourceVersion, kind, type, object });
  }

  /** Deletes an object and tells the watchers. */
  delete(kind: KubeObject["kind"], key: NamespacedName): void {
    const old = this.#objects[kind].get(key);
    if (old === undefined) return;
    this.#objects[kind].delete(key);
    const object = this.#stamp(old);
    this.#append({ resourceVersion: this.#resourceVersion, kind, type: "DELETED", object });
  }

  /** Sends a bookmark with the newest resourceVersion to all watchers. */
  bookmark(): void {
    for (const watcher of this.#watchers) {
      this.#tell(watcher, "BOOKMARK", { metadata: { resourceVersion: String(this.#resourceVersion) } });
    }
  }

  /** Sends any bytes to the watchers of a kind. */
  sendRaw(kind: KubeObject["kind"], bytes: Uint8Array): void {
    for (const watcher of this.#watchers) if (watcher.kind === kind) this.#write(watcher.response, bytes);
  }

  /** Tells the watchers of a kind of an object, or of anything else. */
  tell(kind: KubeObject["kind"], type: string, object: Json): void {
    for (const watcher of this.#watchers) if (watcher.kind === kind) this.#tell(watcher, type, object);
  }

  /** Forgets history: resuming from before now is answered with 410. */
  compact(): void {
    // A version that nobody has seen, as other kinds' writes would make it.
    this.#resourceVersion++;
    this.#compactedBefore = this.#resourceVersion;
  }

  /** Breaks all open connections without a word. */
  drop(): void {
    for (const watcher of this.#watchers) watcher.response.socket?.destroy();
    this.#watchers.clear();
  }

  /** Ends all watches properly, as `timeoutSeconds` does. */
  endWatches(): void {
    for (const watcher of this.#watchers) watcher.response.end();
    this.#watchers.clear();
  }

  /** Resolves when `condition` holds; it is looked at after each request. */
  until(condition: () => boolean): Promise<void> {
    return this.#awaiter.until(condition);
  }

  /** Resolves when both kinds are being watched. */
  async watched(): Promise<void> {
    await this.until(() => new Set([...this.#watchers].map((watcher) => watcher.kind)).size === 2);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #stamp(raw: RawObject): RawObject {
    this.#resourceVersion++;
    return { ...raw, metadata: { ...raw.metadata, resourceVersion: String(this.#resourceVersion) } };
  }

  #append(entry: LogEntry): void {
    this.#log.push(entry);
    this.tell(entry.kind, entry.type, entry.object);
  }

  #handle(incoming: http.IncomingMessage, response: http.ServerResponse): void {
    const url = new URL(incoming.url ?? "/", this.url);
    const kind = PATHS[url.pathname];
    if (this.down || kind === undefined) return void response.socket?.destroy();
    const verb = url.searchParams.get("watch") === "true" ? "watch" : "list";
    const inProtobuf = this.speaksProtobuf && (incoming.headers.accept ?? "").includes(PROTOBUF);
    const request: SeenRequest = { verb, kind, query: url.searchParams, inProtobuf };
    this.requests.push(request);
    try {
      if (this.silent) return;
      const refusal = this.refuse(request);
      if (refusal !== undefined) {
        this.#refuse(request, response, refusal);
      } else if (verb === "list") this.#list(request, response);
      else this.#watch(request, response);
    } finally {
      this.#awaiter.notify();
    }
  }

  #refuse(
    request: SeenRequest,
    response: http.ServerResponse,
    { status: code, headers, body }: Refusal,
  ): void {
    const said = body ?? status(code, "Refused");
    response.writeHead(code, { "Content-Type": contentType(request), ...headers });
    response.end(request.inProtobuf ? encodeStatus(said) : JSON.stringify(said));
  }

  #list(request: SeenRequest, response: http.ServerResponse): void {
    const { kind, inProtobuf } = request;
    const list = {
      metadata: { resourceVersion: String(this.#resourceVersion) },
      items: [...this.#objects[kind].values()],
    };
    const bytes = inProtobuf
      ? encodeList(kind, list)
      : utf8.encode(JSON.stringify({ kind: `${kind}List`, ...list }));
    const end = this.breakList(bytes.length);
    response.writeHead(200, { "Content-Type": contentType(request) });
    this.#write(response, bytes.subarray(0, end));
    if (end >= bytes.length) response.end();
    // What was written so far has to arrive, else there would be no answer at all.
    else response.write("", () => response.socket?.destroy());
  }

  #watch(request: SeenRequest, response: http.ServerResponse): void {
    const from = Number(request.query.get("resourceVersion"));
    const gone = from < this.#compactedBefore;
    if (gone && this.goneForm === "status") {
      return this.#refuse(request, response, { status: 410, body: status(410, "Expired") });
    }
    response.writeHead(200, { "Content-Type": `${contentType(request)};stream=watch` });
    response.flushHeaders();
    const watcher: Watcher = { kind: request.kind, inProtobuf: request.inProtobuf, response };
    if (gone) {
      this.#tell(watcher, "ERROR", status(410, "Expired"));
      return void response.end();
    }
    this.#watchers.add(watcher);
    response.on("close", () => this.#watchers.delete(watcher));
    for (const entry of this.#log) {
      if (entry.kind === request.kind && entry.resourceVersion > from) {
        this.#tell(watcher, entry.type, entry.object);
      }
    }
  }

  #tell({ kind, inProtobuf, response }: Watcher, type: string, object: Json): void {
    const objectKind = type === "ERROR" ? "Status" : kind;
    const apiVersion = objectKind === "Status" ? "v1" : API_VERSIONS[objectKind];
    if (inProtobuf) {
      const envelope = encodeEnvelope(objectKind, apiVersion, encodeObject(objectKind, object));
      return this.#write(response, encodeWatchFrame(type, envelope));
    }
    const line = { type, object: { kind: objectKind, apiVersion, ...object as object } };
    this.#write(response, utf8.encode(`${JSON.stringify(line)}\n`));
  }

  #write(response: http.ServerResponse, bytes: Uint8Array): void {
    if (this.silent) return;
    const size = this.chunkBytes || bytes.length;
    for (let from = 0; from < bytes.length; from += size) response.write(bytes.subarray(from, from + size));
  }
}

function contentType({ inProtobuf }: SeenRequest): string {
  return inProtobuf ? PROTOBUF : "application/json";
}

/** A minimal Service. */
export function rawService(name: string, port = 80): RawObject {
  return { metadata: { namespace: "default", name }, spec: { clusterIP: "10.96.0.10", ports: [{ port }] } };
}

/** A minimal EndpointSlice. */
export function rawSlice(name: string, address = "10.244.0.1"): RawObject {
  return {
    metadata: { namespace: "default", name, labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    ports: [{ port: 8080 }],
    endpoints: [{ addresses: [address] }],
  };
}

/** A Status object as refusals carry it. */
export function status(code: number, reason: string, message = `${reason} (${code})`): Json {
  return { kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message };
}

function versionOf(object: RawObject): string {
  return String(object.metadata["resourceVersion"]);
}

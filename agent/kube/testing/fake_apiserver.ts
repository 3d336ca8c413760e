/**
 * An API server in memory that refuses what the real one refuses: for tests of the list+watch loop over a socket.
 *
 * In: objects put and deleted by a test, and faults to inject. Out: HTTP on a loopback port.
 * Serves Services and EndpointSlices over all namespaces: paged lists with continue tokens, watches that resume from
 * a resourceVersion, bookmarks, 410 in both its forms, refusals, dropped and silent connections, lines cut anywhere.
 * Source: Kubernetes "API Concepts".
 * @module
 */
import http from "node:http";
import type { KubeObject, NamespacedName } from "../objects.ts";
import { Awaiter } from "./awaiter.ts";

/** A raw object as JSON would hold it. */
export interface RawObject {
  readonly metadata: { readonly namespace: string; readonly name: string; readonly [key: string]: unknown };
  readonly [key: string]: unknown;
}

/** How the server tells a watcher that history is lost. */
export type GoneForm = "status" | "event";

interface LogEntry {
  readonly resourceVersion: number;
  readonly kind: KubeObject["kind"];
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: RawObject;
}

interface Watcher {
  readonly kind: KubeObject["kind"];
  readonly response: http.ServerResponse;
}

/** A request as it arrived. */
export interface SeenRequest {
  readonly verb: "list" | "watch";
  readonly kind: KubeObject["kind"];
  readonly query: URLSearchParams;
}

/** Answers instead of the regular answer. */
export interface Refusal {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

const PATHS: Readonly<Record<string, KubeObject["kind"]>> = {
  "/api/v1/services": "Service",
  "/apis/discovery.k8s.io/v1/endpointslices": "EndpointSlice",
};

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
  /** Cut what is sent into pieces of this size; 0 sends whole. */
  chunkBytes = 0;

  readonly #server: http.Server;
  readonly #objects: Record<KubeObject["kind"], Map<NamespacedName, RawObject>> = {
    Service: new Map(),
    EndpointSlice: new Map(),
  };
  readonly #log: LogEntry[] = [];
  readonly #watchers = new Set<Watcher>();
  readonly #snapshots = new Map<
    string,
    { readonly items: readonly RawObject[]; readonly resourceVersion: number }
  >();
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
      const object = { kind: watcher.kind, metadata: { resourceVersion: String(this.#resourceVersion) } };
      this.#send(watcher.response, { type: "BOOKMARK", object });
    }
  }

  /** Sends any text to the watchers of a kind. */
  sendRaw(kind: KubeObject["kind"], text: string): void {
    for (const watcher of this.#watchers) if (watcher.kind === kind) this.#write(watcher.response, text);
  }

  /** Forgets history: resuming from before now, and continue tokens given so far, are answered with 410. */
  compact(): void {
    // A version that nobody has seen, as other kinds' writes would make it.
    this.#resourceVersion++;
    this.#compactedBefore = this.#resourceVersion;
    this.#snapshots.clear();
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
    for (const watcher of this.#watchers) {
      if (watcher.kind === entry.kind) this.#sendEntry(watcher.response, entry);
    }
  }

  #handle(incoming: http.IncomingMessage, response: http.ServerResponse): void {
    const url = new URL(incoming.url ?? "/", this.url);
    const kind = PATHS[url.pathname];
    if (this.down || kind === undefined) return void response.socket?.destroy();
    const verb = url.searchParams.get("watch") === "true" ? "watch" : "list";
    const request: SeenRequest = { verb, kind, query: url.searchParams };
    this.requests.push(request);
    try {
      if (this.silent) return;
      const refusal = this.refuse(request);
      if (refusal !== undefined) {
        response.writeHead(refusal.status, refusal.headers ?? {});
        response.end(JSON.stringify(refusal.body ?? status(refusal.status, "Refused")));
      } else if (verb === "list") this.#list(request, response);
      else this.#watch(request, response);
    } finally {
      this.#awaiter.notify();
    }
  }

  #list(request: SeenRequest, response: http.ServerResponse): void {
    const limit = Number(request.query.get("limit") ?? 0);
    const token = request.query.get("continue") ?? "";
    const [id, from] = token === "" ? [crypto.randomUUID(), "0"] : token.split(":") as [string, string];
    const snapshot = token === ""
      ? { items: [...this.#objects[request.kind].values()], resourceVersion: this.#resourceVersion }
      : this.#snapshots.get(id);
    if (snapshot === undefined) {
      response.writeHead(410);
      return void response.end(JSON.stringify(status(410, "Expired")));
    }
    this.#snapshots.set(id, snapshot);
    const start = Number(from);
    const end = limit === 0 ? snapshot.items.length : start + limit;
    const more = end < snapshot.items.length;
    response.writeHead(200, { "Content-Type": "application/json" });
    response.end(JSON.stringify({
      kind: `${request.kind}List`,
      metadata: {
        resourceVersion: String(snapshot.resourceVersion),
        ...(more ? { continue: `${id}:${end}` } : {}),
      },
      items: snapshot.items.slice(start, end),
    }));
  }

  #watch(request: SeenRequest, response: http.ServerResponse): void {
    const from = Number(request.query.get("resourceVersion"));
    const gone = from < this.#compactedBefore;
    if (gone && this.goneForm === "status") {
      response.writeHead(410);
      return void response.end(JSON.stringify(status(410, "Expired")));
    }
    response.writeHead(200, { "Content-Type": "application/json" });
    response.flushHeaders();
    if (gone) {
      this.#send(response, { type: "ERROR", object: status(410, "Expired") });
      return void response.end();
    }
    const watcher: Watcher = { kind: request.kind, response };
    this.#watchers.add(watcher);
    response.on("close", () => this.#watchers.delete(watcher));
    for (const entry of this.#log) {
      if (entry.kind === request.kind && entry.resourceVersion > from) this.#sendEntry(response, entry);
    }
  }

  #sendEntry(response: http.ServerResponse, entry: LogEntry): void {
    const apiVersion = entry.kind === "Service" ? "v1" : "discovery.k8s.io/v1";
    this.#send(response, { type: entry.type, object: { kind: entry.kind, apiVersion, ...entry.object } });
  }

  #send(response: http.ServerResponse, line: unknown): void {
    this.#write(response, JSON.stringify(line) + "\n");
  }

  #write(response: http.ServerResponse, text: string): void {
    if (this.silent) return;
    const bytes = new TextEncoder().encode(text);
    const size = this.chunkBytes || bytes.length;
    for (let from = 0; from < bytes.length; from += size) response.write(bytes.subarray(from, from + size));
  }
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
export function status(code: number, reason: string, message = `${reason} (${code})`): unknown {
  return { kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message };
}

function versionOf(object: RawObject): string {
  return String(object.metadata["resourceVersion"]);
}

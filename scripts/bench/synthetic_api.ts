/**
 * An API server in memory that serves a world to one agent at full speed.
 *
 * In: a shape, changes. Out: HTTP on loopback: paged lists with continue tokens, watches that resume, bookmarks.
 * Objects are kept as the text that is sent, so that what is measured is the agent and not this server.
 * Deliberately simple where the agent cannot tell: selectors are ignored (nothing in a world would be left out), and a
 * continued list shows later pages as they are now, which the watch from its resourceVersion then repeats.
 * Source: Kubernetes "API Concepts".
 * @module
 */
import http from "node:http";
import { join } from "@std/path/join";
import { type RawObject, serviceObject, sliceObject, UNCHANGED, type WorldShape } from "./world.ts";
import { type Change, Generations, type WorldHost } from "./world_host.ts";

type Kind = RawObject["kind"];

interface Watcher {
  readonly kind: Kind;
  readonly response: http.ServerResponse;
}

interface HistoryEntry {
  readonly kind: Kind;
  readonly version: number;
  readonly line: string;
}

const KIND_BY_PATH: Readonly<Record<string, Kind>> = {
  "/api/v1/services": "Service",
  "/apis/discovery.k8s.io/v1/endpointslices": "EndpointSlice",
};

/** Real ones keep five minutes; older versions are answered with 410. */
const HISTORY = 20_000;
const BOOKMARK_INTERVAL_MS = 60_000;
const FIRST_VERSION = 1_000_000;

/** The server. */
export class SyntheticApi implements WorldHost {
  readonly kubeconfig: string;
  readonly #shape: WorldShape;
  readonly #server: http.Server;
  readonly #texts: Readonly<Record<Kind, string[]>>;
  readonly #generations = new Generations();
  readonly #history: HistoryEntry[] = [];
  readonly #watchers = new Set<Watcher>();
  readonly #bookmarks: ReturnType<typeof setInterval>;
  #version = FIRST_VERSION;

  private constructor(shape: WorldShape, kubeconfig: string) {
    this.#shape = shape;
    this.kubeconfig = kubeconfig;
    const indices = Array.from({ length: shape.services }, (_, index) => index);
    this.#texts = {
      Service: indices.map((index) => this.#stamp(serviceObject(index, UNCHANGED))),
      EndpointSlice: indices.map((index) => this.#stamp(sliceObject(shape, index, UNCHANGED))),
    };
    this.#server = http.createServer((request, response) => this.#answer(request, response));
    this.#bookmarks = setInterval(() => this.#bookmark(), BOOKMARK_INTERVAL_MS);
  }

  /** Makes all objects and listens on a free port of 127.0.0.1. `dir` takes the kubeconfig. */
  static async start(shape: WorldShape, dir: string): Promise<SyntheticApi> {
    const api = new SyntheticApi(shape, join(dir, "synthetic.kubeconfig"));
    await new Promise<void>((resolve) => api.#server.listen(0, "127.0.0.1", resolve));
    const address = api.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    const server = `http://127.0.0.1:${address.port}`;
    await Deno.writeTextFile(
      api.kubeconfig,
      JSON.stringify({
        clusters: [{ name: "bench", cluster: { server, "insecure-skip-tls-verify": true } }],
        users: [{ name: "agent", user: {} }],
        contexts: [{ name: "bench", context: { cluster: "bench", user: "agent" } }],
        "current-context": "bench",
      }),
    );
    return api;
  }

  stage(changes: readonly Change[]): () => Promise<void> {
    const entries = changes.map((change): HistoryEntry & { readonly index: number } => {
      const generation = this.#generations.advance(change);
      const { index } = change;
      const object = change.kind === "port"
        ? serviceObject(index, generation)
        : sliceObject(this.#shape, index, generation);
      const text = this.#stamp(object);
      const line = `{"type":"MODIFIED","object":${text}}\n`;
      this.#texts[object.kind][index] = text;
      return { kind: object.kind, version: this.#version, line, index };
    });
    const byKind = Map.groupBy(entries, ({ kind }) => kind);
    return () => {
      this.#history.push(...entries);
      if (this.#history.length > HISTORY) this.#history.splice(0, this.#history.length - HISTORY);
      for (const watcher of this.#watchers) {
        const lines = byKind.get(watcher.kind);
        if (lines !== undefined) watcher.response.write(lines.map(({ line }) => line).join(""));
      }
      return Promise.resolve();
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#bookmarks);
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #stamp(object: RawObject): string {
    const resourceVersion = String(++this.#version);
    return JSON.stringify({ ...object, metadata: { ...object.metadata, resourceVersion } });
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const url = new URL(request.url ?? "/", "http://127.0.0.1");
    const kind = KIND_BY_PATH[url.pathname];
    if (kind === undefined) {
      response.writeHead(404);
      return void response.end(JSON.stringify({ kind: "Status", code: 404 }));
    }
    response.setHeader("Content-Type", "application/json");
    if (url.searchParams.get("watch") === "true") this.#watch(kind, url.searchParams, response);
    else this.#list(kind, url.searchParams, response);
  }

  #list(kind: Kind, query: URLSearchParams, response: http.ServerResponse): void {
    const texts = this.#texts[kind];
    const [version, from] = (query.get("continue") ?? `${this.#version}:0`).split(":").map(Number) as [
      number,
      number,
    ];
    const end = from + (Number(query.get("limit") ?? 0) || texts.length);
    const metadata = {
      resourceVersion: String(version),
      ...(end < texts.length
        ? { continue: `${version}:${end}`, remainingItemCount: texts.length - end }
        : {}),
    };
    const head = `"kind":"${kind}List","metadata":${JSON.stringify(metadata)}`;
    response.end(`{${head},"items":[${texts.slice(from, end).join(",")}]}`);
  }

  #watch(kind: Kind, query: URLSearchParams, response: http.ServerResponse): void {
    const from = Number(query.get("resourceVersion"));
    const oldest = this.#history[0];
    const lost = oldest !== undefined && this.#history.length === HISTORY && from < oldest.version - 1;
    if (lost) {
      response.writeHead(410);
      return void response.end(JSON.stringify({ kind: "Status", code: 410, reason: "Expired" }));
    }
    response.writeHead(200);
    response.flushHeaders();
    for (const entry of this.#history) {
      if (entry.kind === kind && entry.version > from) response.write(entry.line);
    }
    const watcher: Watcher = { kind, response };
    this.#watchers.add(watcher);
    const timer = setTimeout(() => response.end(), Number(query.get("timeoutSeconds") ?? 300) * 1_000);
    response.on("close", () => {
      clearTimeout(timer);
      this.#watchers.delete(watcher);
    });
  }

  #bookmark(): void {
    for (const { kind, response } of this.#watchers) {
      const object = { kind, metadata: { resourceVersion: String(this.#version) } };
      response.write(JSON.stringify({ type: "BOOKMARK", object }) + "\n");
    }
  }
}

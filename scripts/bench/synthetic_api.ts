/**
 * An API server in memory that serves a world to one agent at full speed.
 *
 * In: a shape, changes. Out: HTTPS on loopback: lists, whole or in pages with continue tokens, watches that resume,
 * bookmarks; in JSON or in protobuf, as asked for.
 * Objects are kept as the bytes that are sent, so that what is measured is the agent and not this server.
 * Deliberately simple where the agent cannot tell: selectors are ignored (nothing in a world would be left out), and a
 * continued list shows later pages as they are now, which the watch from its resourceVersion then repeats.
 * Source: Kubernetes "API Concepts".
 * @module
 */
import type http from "node:http";
import https from "node:https";
import { createServerCertificate } from "../lab/certificate.ts";
import type { ApiAccess } from "../lab/service_account.ts";
import { concat } from "./kube_protobuf.ts";
import { type EventType, type FormatName, negotiate, WIRE_FORMATS } from "./wire_formats.ts";
import { objectsOf, type RawObject, UNCHANGED, type WorldShape } from "./world.ts";
import { type Change, Generations, keyOf, type ObjectWrite, type WorldHost } from "./world_host.ts";

type Kind = RawObject["kind"];
type InEveryFormat = Readonly<Record<FormatName, Uint8Array>>;

interface Watcher {
  readonly kind: Kind;
  readonly format: FormatName;
  readonly response: http.ServerResponse;
}

interface HistoryEntry {
  readonly kind: Kind;
  readonly version: number;
  readonly frame: InEveryFormat;
}

const KIND_BY_PATH: Readonly<Record<string, Kind>> = {
  "/api/v1/services": "Service",
  "/apis/discovery.k8s.io/v1/endpointslices": "EndpointSlice",
};

const EVENT_TYPES: Readonly<Record<ObjectWrite["verb"], EventType>> = {
  create: "ADDED",
  update: "MODIFIED",
  delete: "DELETED",
};

const HOST = "127.0.0.1";
const TOKEN = "bench-token";
/** Real ones keep five minutes; older versions are answered with 410. */
const HISTORY = 20_000;
const BOOKMARK_INTERVAL_MS = 60_000;
const FIRST_VERSION = 1_000_000;

/** The server. */
export class SyntheticApi implements WorldHost {
  readonly access: ApiAccess;
  readonly #shape: WorldShape;
  readonly #server: https.Server;
  /** By `keyOf`. */
  readonly #items: Readonly<Record<Kind, Map<string, InEveryFormat>>> = {
    Service: new Map(),
    EndpointSlice: new Map(),
  };
  readonly #generations = new Generations();
  readonly #history: HistoryEntry[] = [];
  readonly #watchers = new Set<Watcher>();
  readonly #bookmarks: ReturnType<typeof setInterval>;
  #version = FIRST_VERSION;

  private constructor(
    shape: WorldShape,
    parts: { readonly server: https.Server; readonly access: ApiAccess },
  ) {
    this.#shape = shape;
    this.access = parts.access;
    for (let index = 0; index < shape.services; index++) {
      for (const object of objectsOf(shape, index, UNCHANGED)) this.#put(object);
    }
    this.#server = parts.server;
    this.#server.on("request", (request, response) => this.#answer(request, response));
    this.#bookmarks = setInterval(() => this.#bookmark(), BOOKMARK_INTERVAL_MS);
  }

  /** Makes all objects and listens on a free port of 127.0.0.1. */
  static async start(shape: WorldShape): Promise<SyntheticApi> {
    const { ca, certificate, key } = await createServerCertificate(HOST);
    const server = https.createServer({ cert: certificate, key });
    await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    const access = { host: HOST, port: address.port, token: TOKEN, ca };
    return new SyntheticApi(shape, { server, access });
  }

  stage(changes: readonly Change[]): () => Promise<void> {
    const entries = changes.flatMap((change) =>
      this.#generations.write(this.#shape, change).map((write) => this.#perform(write))
    );
    const byKind = Map.groupBy(entries, ({ kind }) => kind);
    return () => {
      this.#history.push(...entries);
      if (this.#history.length > HISTORY) this.#history.splice(0, this.#history.length - HISTORY);
      for (const { kind, format, response } of this.#watchers) {
        const changed = byKind.get(kind);
        if (changed !== undefined) response.write(concat(changed.map(({ frame }) => frame[format])));
      }
      return Promise.resolve();
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#bookmarks);
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #perform({ verb, object }: ObjectWrite): HistoryEntry {
    const { kind } = object;
    const item = this.#put(object);
    if (verb === "delete") this.#items[kind].delete(keyOf(object));
    const frame = inEveryFormat((format) =>
      WIRE_FORMATS[format].event(EVENT_TYPES[verb], kind, item[format])
    );
    return { kind, version: this.#version, frame };
  }

  /** Gives an object the next version. */
  #put(object: RawObject): InEveryFormat {
    const resourceVersion = String(++this.#version);
    const stamped = { ...object, metadata: { ...object.metadata, resourceVersion } };
    const item = inEveryFormat((format) => WIRE_FORMATS[format].item(stamped));
    this.#items[object.kind].set(keyOf(object), item);
    return item;
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const url = new URL(request.url ?? "/", `https://${HOST}`);
    const kind = KIND_BY_PATH[url.pathname];
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return refuse(response, 401, "Unauthorized");
    if (kind === undefined) return refuse(response, 404, "NotFound");
    const format = negotiate(request.headers.accept);
    if (url.searchParams.get("watch") === "true") {
      this.#watch({ kind, format, response }, url.searchParams);
      return;
    }
    const { contentType } = WIRE_FORMATS[format];
    const body = this.#list({ kind, format }, url.searchParams);
    response.writeHead(200, { "Content-Type": contentType }).end(body);
  }

  #list(
    { kind, format }: { readonly kind: Kind; readonly format: FormatName },
    query: URLSearchParams,
  ): Uint8Array {
    const items = [...this.#items[kind].values()];
    const [version, from] = (query.get("continue") || `${this.#version}:0`).split(":").map(Number) as [
      number,
      number,
    ];
    const end = from + (Number(query.get("limit") ?? 0) || items.length);
    const metadata = {
      resourceVersion: String(version),
      ...(end < items.length
        ? { continue: `${version}:${end}`, remainingItemCount: items.length - end }
        : {}),
    };
    return WIRE_FORMATS[format].list(kind, metadata, items.slice(from, end).map((item) => item[format]));
  }

  #watch(watcher: Watcher, query: URLSearchParams): void {
    const { kind, format, response } = watcher;
    const from = Number(query.get("resourceVersion"));
    const oldest = this.#history[0];
    const lost = oldest !== undefined && this.#history.length === HISTORY && from < oldest.version - 1;
    if (lost) return refuse(response, 410, "Expired");
    response.writeHead(200, { "Content-Type": WIRE_FORMATS[format].watchContentType });
    response.flushHeaders();
    for (const entry of this.#history) {
      if (entry.kind === kind && entry.version > from) response.write(entry.frame[format]);
    }
    this.#watchers.add(watcher);
    const timer = setTimeout(() => response.end(), Number(query.get("timeoutSeconds") ?? 300) * 1_000);
    response.on("close", () => {
      clearTimeout(timer);
      this.#watchers.delete(watcher);
    });
  }

  #bookmark(): void {
    for (const { kind, format, response } of this.#watchers) {
      response.write(WIRE_FORMATS[format].bookmark(kind, String(this.#version)));
    }
  }
}

/** A refusal; the agent reads those in JSON whatever it asked for. */
function refuse(response: http.ServerResponse, code: number, reason: string): void {
  const status = { kind: "Status", apiVersion: "v1", status: "Failure", reason, code };
  response.writeHead(code, { "Content-Type": "application/json" }).end(JSON.stringify(status));
}

function inEveryFormat(make: (format: FormatName) => Uint8Array): InEveryFormat {
  return { json: make("json"), protobuf: make("protobuf") };
}

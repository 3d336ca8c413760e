/**
 * Speaks to the Kubernetes API server: lists and watches Services and EndpointSlices, reads ServiceCIDRs, creates Events.
 *
 * In: a kubeconfig (or the service account of the pod we run in). Out: trimmed objects and watch events.
 * Invariants: one request at a time per call, ended by the AbortSignal or by a deadline; every failure is a typed
 * error. Credentials are asked for anew with each request, and after a 401 the kubeconfig itself is read again.
 * Requests go through node:https. `fetch` would leave less garbage of a list, but trusts every public authority besides
 * the cluster's own, and cannot skip verification where a kubeconfig asks for that; client-node's own watch ends every
 * 30 s and cannot resume. Each request has its own connection: dropping that is how a request ends, and a handshake
 * every five to ten minutes is not worth a pool. Nothing asks for compression: an API server would gzip a list, and that
 * is processor time on both sides.
 * Source: Kubernetes "API Concepts".
 * @module
 */
import { Buffer } from "node:buffer";
import http from "node:http";
import https from "node:https";
import {
  errorFromCause,
  errorFromStatus,
  eventsPath,
  KubeApiError,
  type KubeRequestContext,
  type KubeResource,
  type KubeVerb,
  namespacePath,
  resourcePath,
  SERVICE_CIDRS_PATH,
  SilentConnectionError,
} from "./kube_api_error.ts";
import type { KubeEvent } from "./event.ts";
import { type KubeAccess, type KubeAccessOptions, openKubeAccess } from "./access.ts";
import type { KubeObject, NamespacedName } from "./objects.ts";
import type { WatchEvent } from "./watch_protocol.ts";
import {
  ACCEPT,
  ACCEPT_JSON,
  type AnswerFormat,
  formatOf,
  type ListPart,
  readServiceCIDRs,
} from "./wire/mod.ts";

/** What the list+watch loop asks of an API server. */
export interface KubeClient {
  /** The API server's URL, for messages. */
  readonly server: string;
  /**
   * Lists all namespaces, or the one object of that name; yields the parts of the list as they arrive. The last one, and only
   * that, has the collection's resourceVersion; when it does not come, the list has failed.
   * @throws {KubeApiError | SilentConnectionError} @throws the signal's reason when aborted.
   */
  list(
    kind: KubeObject["kind"],
    options: { readonly labelSelector: string; readonly name?: NamespacedName },
    signal: AbortSignal,
  ): AsyncIterable<ListPart>;
  /**
   * Opens a watch stream; yields the events that arrive together, and returns when the server ends the stream.
   * @throws {KubeApiError | SilentConnectionError} @throws the signal's reason when aborted.
   */
  watch(
    kind: KubeObject["kind"],
    options: {
      readonly resourceVersion: string;
      readonly timeoutSeconds: number;
      readonly labelSelector: string;
    },
    signal: AbortSignal,
  ): AsyncIterable<readonly WatchEvent[]>;
}

/** What else is asked of an API server. */
export interface ServiceCIDRClient {
  /**
   * What the cluster's ServiceCIDRs say, as it stands there.
   * @throws {KubeApiError | SilentConnectionError} @throws the signal's reason when aborted.
   */
  serviceCIDRs(signal: AbortSignal): Promise<readonly string[]>;
}

/** What is written to an API server. */
export interface EventClient {
  /**
   * Creates an Event.
   * @returns Whether it is new: false when there is one of that name.
   * @throws {KubeApiError | SilentConnectionError} @throws the signal's reason when aborted.
   */
  createEvent(event: KubeEvent, signal: AbortSignal): Promise<boolean>;
}

/** Where the cluster is, and when a connection is taken for dead. */
export interface KubeClientOptions extends KubeAccessOptions {
  /** Until the response's headers: connecting, TLS and waiting in the server's queue. @default 30000 */
  readonly responseTimeoutMs?: number;
  /**
   * Longest silence on an open response. Where etcd reports its progress (kubeadm and managed clusters have it do so
   * every few seconds), the API server sends a bookmark each 60 s, give or take seconds, so this must be longer. In a
   * quiet cluster without such reports there are no bookmarks: each alarm then is false, costs one request, and loses
   * nothing. @default 90000
   */
  readonly silenceTimeoutMs?: number;
}

/**
 * Finds out where the API server is; does not connect yet.
 * @throws {KubeConfigError} when nothing says so, or what does is of no use.
 */
export async function createKubeClient(
  options: KubeClientOptions = {},
): Promise<KubeClient & ServiceCIDRClient & EventClient> {
  return new HttpKubeClient(await openKubeAccess(options), options);
}

class HttpKubeClient implements KubeClient, ServiceCIDRClient, EventClient {
  readonly server: string;
  readonly #responseTimeoutMs: number;
  readonly #silenceTimeoutMs: number;
  readonly #access: KubeAccess;

  constructor(access: KubeAccess, options: KubeClientOptions) {
    this.#access = access;
    this.server = access.server;
    this.#responseTimeoutMs = options.responseTimeoutMs ?? 30_000;
    this.#silenceTimeoutMs = options.silenceTimeoutMs ?? 90_000;
  }

  async *list(...[kind, options, signal]: Parameters<KubeClient["list"]>): AsyncGenerator<ListPart> {
    const query = new URLSearchParams();
    if (options.labelSelector !== "") query.set("labelSelector", options.labelSelector);
    const [namespace = "", name = ""] = options.name?.split("/") ?? [];
    // A list and no get, for which the agent needs no further right. The API server finds the one object by its key.
    if (name !== "") query.set("fieldSelector", `metadata.name=${name}`);
    const path = name === "" ? resourcePath(kind) : namespacePath(kind, namespace);
    const request = this.#describe("list", kind);
    await using answer = await this.#get(request, { path: `${path}?${query}` }, signal);
    const decoder = answer.format.listDecoder(kind);
    for (;;) {
      let part: ListPart;
      try {
        const chunk = await answer.next();
        part = chunk === undefined ? decoder.end() : decoder.push(chunk);
      } catch (error) {
        throw normalize(request, error, signal);
      }
      yield part;
      if (part.resourceVersion !== "") return;
    }
  }

  async *watch(
    ...[kind, options, signal]: Parameters<KubeClient["watch"]>
  ): AsyncGenerator<readonly WatchEvent[]> {
    const query = new URLSearchParams({
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion: options.resourceVersion,
      timeoutSeconds: String(options.timeoutSeconds),
    });
    if (options.labelSelector !== "") query.set("labelSelector", options.labelSelector);
    const request = this.#describe("watch", kind);
    await using answer = await this.#get(request, { path: `${resourcePath(kind)}?${query}` }, signal);
    const decoder = answer.format.watchDecoder(kind);
    for (;;) {
      let events: readonly WatchEvent[];
      try {
        const chunk = await answer.next();
        if (chunk === undefined) return;
        events = decoder.push(chunk);
      } catch (error) {
        throw normalize(request, error, signal);
      }
      if (events.length > 0) yield events;
    }
  }

  async serviceCIDRs(signal: AbortSignal): Promise<readonly string[]> {
    const request = this.#describe("list", "ServiceCIDR");
    const path = SERVICE_CIDRS_PATH;
    await using answer = await this.#get(request, { path, accept: ACCEPT_JSON }, signal);
    try {
      return readServiceCIDRs(await answer.body());
    } catch (error) {
      throw normalize(request, error, signal);
    }
  }

  async createEvent(event: KubeEvent, signal: AbortSignal): Promise<boolean> {
    const request = this.#describe("create", "Event");
    const body = JSON.stringify(event);
    const path = eventsPath(event.metadata.namespace);
    await using answer = await this.#exchange(request, { path, body }, signal);
    if (answer.status === 201) return true;
    if (answer.status === 409) return false;
    throw await this.#refusal(request, answer, signal);
  }

  #describe(verb: KubeVerb, kind: KubeResource): KubeRequestContext {
    return { verb, kind, server: this.server, identity: this.#access.identity };
  }

  /** Sends a GET and returns its answer, which has status 200. */
  async #get(
    request: KubeRequestContext,
    what: { readonly path: string; readonly accept?: string },
    signal: AbortSignal,
  ): Promise<Answer> {
    const answer = await this.#exchange(request, what, signal);
    if (answer.status === 200) return answer;
    await using refused = answer;
    throw await this.#refusal(request, refused, signal);
  }

  /** The error of an answer that is not what was asked for. */
  async #refusal(request: KubeRequestContext, refused: Answer, signal: AbortSignal): Promise<KubeApiError> {
    if (refused.status === 401) this.#access.reload();
    const body = await refused.body().catch((error) => {
      throw normalize(request, error, signal);
    });
    const { status, retryAfterMs } = refused;
    return errorFromStatus(request, { ...refused.format.readStatus(body), status, retryAfterMs });
  }

  /** Sends a GET, or a POST where there is a body. */
  async #exchange(
    request: KubeRequestContext,
    { path, body, accept = ACCEPT }: {
      readonly path: string;
      readonly body?: string;
      readonly accept?: string;
    },
    signal: AbortSignal,
  ): Promise<Answer> {
    signal.throwIfAborted();
    const url = new URL(this.server);
    const limit = { timeoutMs: this.#responseTimeoutMs, signal };
    let outgoing: http.ClientRequest | undefined;
    try {
      // This may run a credential plugin, so it is under the deadline too.
      const options = await withDeadline(this.#access.requestOptions(), limit);
      outgoing = (url.protocol === "http:" ? http : https).request({
        ...options,
        hostname: url.hostname.replace(/^\[|\]$/g, ""),
        port: url.port || (url.protocol === "http:" ? 80 : 443),
        path: `${url.pathname.replace(/\/$/, "")}${path}`,
        method: body === undefined ? "GET" : "POST",
        headers: {
          ...options.headers,
          Accept: accept,
          "User-Agent": "lightpath",
          ...(body === undefined ? {} : {
            "Content-Type": "application/json",
            "Content-Length": Buffer.byteLength(body),
          }),
        },
      });
      const { promise: responded, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
      outgoing.on("response", resolve);
      // Stays attached: destroying a request that is under way makes it emit a late error.
      outgoing.on("error", reject);
      outgoing.end(body);
      const response = await withDeadline(responded, limit);
      return new Answer(response, { timeoutMs: this.#silenceTimeoutMs, signal });
    } catch (error) {
      outgoing?.destroy();
      throw normalize(request, error, signal);
    }
  }
}

/** How long to wait for one thing, and who may end the wait. */
interface Limit {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** A response whose body is read under the silence deadline. Disposal drops the connection. */
class Answer implements AsyncDisposable {
  readonly status: number;
  readonly retryAfterMs: number;
  readonly format: AnswerFormat;
  readonly #response: http.IncomingMessage;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #limit: Limit;

  constructor(response: http.IncomingMessage, limit: Limit) {
    this.#response = response;
    this.#chunks = response[Symbol.asyncIterator]();
    this.#limit = limit;
    this.status = response.statusCode ?? 0;
    this.format = formatOf(response.headers["content-type"] ?? "");
    const seconds = Number(response.headers["retry-after"] ?? 0);
    this.retryAfterMs = seconds > 0 ? seconds * 1000 : 0;
  }

  /** The next chunk; undefined at the end. */
  async next(): Promise<Uint8Array | undefined> {
    const result = await withDeadline(this.#chunks.next(), this.#limit);
    return result.done ? undefined : result.value;
  }

  /** The rest of the body. */
  async body(): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    for (let chunk = await this.next(); chunk !== undefined; chunk = await this.next()) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#response.destroy();
    return Promise.resolve();
  }
}

async function withDeadline<T>(work: Promise<T>, limit: Limit): Promise<T> {
  const { signal, timeoutMs } = limit;
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  const timer = setTimeout(
    () => reject(new SilentConnectionError(`nothing came from the API server for ${timeoutMs} ms`)),
    timeoutMs,
  );
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, ended]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

function normalize(request: KubeRequestContext, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof KubeApiError || error instanceof SilentConnectionError) return error;
  return errorFromCause(request, error);
}

/**
 * One request to the Kubernetes API server, and its answer.
 *
 * In: who we are (`access.ts`), a path, perhaps a body. Out: an answer whose body is read piece by piece.
 * Invariants: one request at a time per call, ended by the AbortSignal or by a deadline; every failure is a typed
 * error. Credentials are asked for anew with each request, and after a 401 the kubeconfig itself is read again.
 * Requests go through node:https. `fetch` would leave less garbage of a list, but trusts every public authority besides
 * the cluster's own, and cannot skip verification where a kubeconfig asks for that. Each request has its own connection:
 * dropping that is how a request ends, and a handshake every five to ten minutes is not worth a pool. Nothing asks for
 * compression: an API server would gzip a list, and that is processor time on both sides.
 * Source: Kubernetes "API Concepts".
 * @module
 */
import { Buffer } from "node:buffer";
import http from "node:http";
import https from "node:https";
import { type KubeAccess, type KubeAccessOptions, openKubeAccess } from "./access.ts";
import {
  errorFromCause,
  errorFromStatus,
  KubeApiError,
  type KubeRequestContext,
  SilentConnectionError,
} from "./kube_api_error.ts";
import { peerCertificateValidity } from "./peer_certificate.ts";
import { type Credentials, whyCredentialsRefused, whyServerRefused } from "./validity.ts";
import { ACCEPT, type AnswerFormat, formatOf } from "./wire/mod.ts";

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

/** What goes over the wire. */
export interface KubeRequest {
  /** With its query. */
  readonly path: string;
  /** @default "GET" */
  readonly method?: "GET" | "POST" | "PUT" | "PATCH";
  readonly body?: { readonly type: string; readonly text: string };
  /** @default what lists and watches are read in */
  readonly accept?: string;
}

/** Requests to one API server as one user. */
export class KubeTransport {
  /** The API server's URL. */
  readonly server: string;
  /** Where the credentials come from, for messages. */
  readonly identity: string;
  readonly #responseTimeoutMs: number;
  readonly #silenceTimeoutMs: number;
  readonly #access: KubeAccess;
  /** Those of the last request. */
  #credentials: Credentials = { token: undefined, certificate: undefined };

  private constructor(access: KubeAccess, options: KubeClientOptions) {
    this.#access = access;
    this.server = access.server;
    this.identity = access.identity;
    this.#responseTimeoutMs = options.responseTimeoutMs ?? 30_000;
    this.#silenceTimeoutMs = options.silenceTimeoutMs ?? 90_000;
  }

  /**
   * Finds out where the API server is; does not connect yet.
   * @throws {KubeConfigError} when nothing says so, or what does is of no use.
   */
  static async open(options: KubeClientOptions = {}): Promise<KubeTransport> {
    return new KubeTransport(await openKubeAccess(options), options);
  }

  /** Completes what is said of a request in errors. */
  describe(request: Omit<KubeRequestContext, "server" | "identity">): KubeRequestContext {
    return { ...request, server: this.server, identity: this.#access.identity };
  }

  /** Sends a GET and returns its answer, which has status 200. */
  async get(
    request: KubeRequestContext,
    what: Pick<KubeRequest, "path" | "accept">,
    signal: AbortSignal,
  ): Promise<Answer> {
    const answer = await this.send(request, what, signal);
    if (answer.status === 200) return answer;
    await using refused = answer;
    throw await this.refusal(request, refused, signal);
  }

  /** The error of an answer that is not what was asked for. */
  async refusal(request: KubeRequestContext, refused: Answer, signal: AbortSignal): Promise<KubeApiError> {
    if (refused.status === 401) this.#access.reload();
    const because = refused.status === 401
      ? whyCredentialsRefused(this.#credentials, { ownMs: Date.now(), serverMs: refused.dateMs })
      : undefined;
    const body = await refused.body().catch((error) => {
      throw normalize(request, error, signal);
    });
    const { status, retryAfterMs } = refused;
    return errorFromStatus(request, { ...refused.format.readStatus(body), status, retryAfterMs, because });
  }

  /** Sends a request and returns its answer, whatever its status. */
  async send(
    request: KubeRequestContext,
    { path, method = "GET", body, accept = ACCEPT }: KubeRequest,
    signal: AbortSignal,
  ): Promise<Answer> {
    signal.throwIfAborted();
    const url = new URL(this.server);
    const limit = { timeoutMs: this.#responseTimeoutMs, signal };
    let outgoing: http.ClientRequest | undefined;
    try {
      // This may run a credential plugin, so it is under the deadline too.
      const options = await withDeadline(this.#access.requestOptions(), limit);
      this.#credentials = credentialsOf(options);
      outgoing = (url.protocol === "http:" ? http : https).request({
        ...options,
        hostname: url.hostname.replace(/^\[|\]$/g, ""),
        port: url.port || (url.protocol === "http:" ? 80 : 443),
        path: `${url.pathname.replace(/\/$/, "")}${path}`,
        method,
        headers: {
          ...options.headers,
          Accept: accept,
          "User-Agent": "lightpath",
          ...(body === undefined ? {} : {
            "Content-Type": body.type,
            "Content-Length": Buffer.byteLength(body.text),
          }),
        },
      });
      const { promise: responded, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
      outgoing.on("response", resolve);
      // Stays attached: destroying a request that is under way makes it emit a late error.
      outgoing.on("error", reject);
      outgoing.end(body?.text);
      const response = await withDeadline(responded, limit);
      return new Answer(response, { timeoutMs: this.#silenceTimeoutMs, signal });
    } catch (error) {
      outgoing?.destroy();
      throw normalize(request, await this.#explain(error, url, signal), signal);
    }
  }

  /** A certificate that is not trusted because of the time is said to be so. */
  async #explain(error: unknown, url: URL, signal: AbortSignal): Promise<unknown> {
    if (signal.aborted || url.protocol !== "https:" || !isDistrust(error)) return error;
    const validity = await peerCertificateValidity(url);
    const because = validity && whyServerRefused(validity, Date.now());
    return because === undefined ? error : new Error(because, { cause: error });
  }
}

/** Codes of OpenSSL's verdicts, as Node.js spells them; Deno has the first for most of them. */
const DISTRUST: ReadonlySet<string> = new Set([
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_NOT_YET_VALID",
  "CERT_HAS_EXPIRED",
]);

function isDistrust(error: unknown): boolean {
  return error instanceof Error && "code" in error && DISTRUST.has(String(error.code));
}

function credentialsOf({ headers, cert }: https.RequestOptions): Credentials {
  const authorization = Object.entries(headers ?? {}).find(([name]) => name.toLowerCase() === "authorization")
    ?.[1];
  const [, token] = /^Bearer (.+)$/.exec(String(authorization ?? "")) ?? [];
  return { token, certificate: cert === undefined ? undefined : String(cert) };
}

/** How long to wait for one thing, and who may end the wait. */
interface Limit {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** A response whose body is read under the silence deadline. Disposal drops the connection. */
export class Answer implements AsyncDisposable {
  readonly status: number;
  readonly retryAfterMs: number;
  readonly format: AnswerFormat;
  /** When the server answered, by its clock, in milliseconds since the epoch; undefined when it does not say. */
  readonly dateMs: number | undefined;
  readonly #response: http.IncomingMessage;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #limit: Limit;

  constructor(response: http.IncomingMessage, limit: Limit) {
    this.#response = response;
    this.#chunks = response[Symbol.asyncIterator]();
    this.#limit = limit;
    this.status = response.statusCode ?? 0;
    this.format = formatOf(response.headers["content-type"] ?? "");
    const dateMs = Date.parse(response.headers.date ?? "");
    this.dateMs = Number.isNaN(dateMs) ? undefined : dateMs;
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

/** The error for what was thrown while an answer was waited for or read; the signal's reason when that has aborted. */
export function normalize(request: KubeRequestContext, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof KubeApiError || error instanceof SilentConnectionError) return error;
  return errorFromCause(request, error);
}

/**
 * The API server as the suite and the local backend use it: whole objects, by path.
 *
 * In: where it is and how to prove who we are. Out: decoded objects, or an `ApiError` with the server's words.
 * Invariant: a request ends within {@linkcode TIMEOUT_MS}; nothing is tried again here.
 * Source: Kubernetes API concepts ("Server-side apply", "Patches").
 * @module
 */
import { parseAllDocuments } from "yaml";
import { type KubeObject, objectPath } from "../lab/object_path.ts";

const TIMEOUT_MS = 30_000;

/** Owns what `apply` writes. */
const FIELD_MANAGER = "lightpath-e2e";

/** The API server's refusal. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;

  constructor(what: string, { status, text }: { readonly status: number; readonly text: string }) {
    super(`${what}: ${status} ${text}`);
    this.status = status;
  }
}

/** Where the API server is, and a bearer token or a client certificate. All certificates in PEM. */
export interface ApiCredentials {
  readonly origin: string;
  readonly ca: string;
  readonly token?: string;
  readonly certificate?: { readonly cert: string; readonly key: string };
}

/** See the module's comment. */
export class KubeApi implements Disposable {
  readonly #client: Deno.HttpClient;
  readonly #origin: string;
  readonly #token: string | undefined;

  constructor({ origin, ca, token, certificate }: ApiCredentials) {
    // Over HTTP/2, Deno 2.9 sends a body in pieces that wait for the server's delayed ACK.
    this.#client = Deno.createHttpClient({ caCerts: [ca], http2: false, ...certificate });
    this.#origin = origin;
    this.#token = token;
  }

  /** @throws {ApiError} also when there is none */
  async get<T>(path: string): Promise<T> {
    return await this.#request("GET", path) as T;
  }

  /** The objects of a collection. */
  async list<T>(path: string): Promise<readonly T[]> {
    return (await this.get<{ readonly items: readonly T[] }>(path)).items;
  }

  /** Creates it. @returns it, as the API server has it now */
  async create<T = KubeObject>(path: string, object: unknown): Promise<T> {
    return await this.#request("POST", path, object) as T;
  }

  /** Makes these objects what they say, in their order; what others have written into them stays. */
  async apply(...objects: readonly KubeObject[]): Promise<void> {
    for (const object of objects) {
      const query = `fieldManager=${FIELD_MANAGER}&force=true`;
      await this.#request("PATCH", `${objectPath(object)}?${query}`, object, "application/apply-patch+yaml");
    }
  }

  /** A merge patch (RFC 7386): what is null is removed. */
  async patch(path: string, body: unknown): Promise<void> {
    await this.#request("PATCH", path, body, "application/merge-patch+json");
  }

  /** Deletes it with all that depends on it; one that is not there is deleted. */
  async remove(path: string, options: { readonly gracePeriodSeconds?: number } = {}): Promise<void> {
    try {
      await this.#request("DELETE", path, { propagationPolicy: "Background", ...options });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    }
  }

  async #request(method: string, path: string, body?: unknown, type = "application/json"): Promise<unknown> {
    const response = await fetch(`${this.#origin}${path}`, {
      client: this.#client,
      method,
      headers: {
        "Content-Type": type,
        ...(this.#token === undefined ? {} : { Authorization: `Bearer ${this.#token}` }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    if (!response.ok) throw new ApiError(`${method} ${path}`, { status: response.status, text });
    return JSON.parse(text);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

/** The objects of a file of manifests. */
export function parseManifests(text: string): KubeObject[] {
  return parseAllDocuments(text).map((document) => document.toJS() as KubeObject);
}

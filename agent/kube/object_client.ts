/**
 * Reads and writes whole objects, one at a time or as a list: for commands that act once or seldom.
 *
 * In: which object. Out: the object as the API server has it, in JSON and unread.
 * Invariants: those of `transport.ts`. A write says which version it was made for, so that of two who write at the same time
 * one is refused with 409 ({@linkcode isConflict}) and nothing is lost.
 * Source: Kubernetes "API Concepts": resource versions, server-side apply, retrieving large results in chunks.
 * @module
 */
import { type Fields, isFields } from "./_fields.ts";
import {
  apiVersionOf,
  KubeApiError,
  type KubeRequestContext,
  type KubeVerb,
  namespacePath,
  resourcePath,
} from "./kube_api_error.ts";
import {
  type Answer,
  type KubeClientOptions,
  type KubeRequest,
  KubeTransport,
  normalize,
} from "./transport.ts";

/** The kinds that are read and written as a whole. */
export type ObjectKind = "Service" | "Secret" | "MutatingWebhookConfiguration";

/** One object. */
export interface ObjectName {
  readonly kind: ObjectKind;
  /** None for kinds that have no namespaces. */
  readonly namespace?: string;
  readonly name: string;
}

/** A patch and how it is meant. */
export type ObjectPatch =
  /** RFC 7386. With a `metadata.resourceVersion` it holds for that version only. */
  | { readonly kind: "merge"; readonly fields: Fields; readonly fieldManager: string }
  /** Server-side apply: these fields become the manager's own, whoever had them. */
  | { readonly kind: "apply"; readonly fields: Fields; readonly fieldManager: string };

/** What commands ask of an API server. Each method throws {@linkcode KubeApiError}, or the signal's reason when aborted. */
export interface ObjectClient {
  /** The API server's URL, for messages. */
  readonly server: string;
  /** How far the API server's clock was ahead of ours when it last answered, to the second; 0 before. */
  readonly clockAheadMs: number;
  /** Yields the objects of one namespace or of all in parts. Order and completeness are the API server's. */
  list(
    kind: ObjectKind,
    options: { readonly namespace?: string },
    signal: AbortSignal,
  ): AsyncIterable<readonly Fields[]>;
  get(name: ObjectName, signal: AbortSignal): Promise<Fields>;
  /** Creates an object; 409 when there is one of that name. */
  create(name: ObjectName, fields: Fields, signal: AbortSignal): Promise<Fields>;
  /** Replaces an object; 409 when it has another version than `fields` says. */
  update(name: ObjectName, fields: Fields, signal: AbortSignal): Promise<Fields>;
  patch(name: ObjectName, patch: ObjectPatch, signal: AbortSignal): Promise<Fields>;
}

/** What {@linkcode createObjectClient} needs. */
export interface ObjectClientOptions extends KubeClientOptions {
  /** All verbs that will be used on a kind, so that an error names the whole grant. @default the one that was refused */
  readonly needed?: Readonly<Partial<Record<ObjectKind, readonly KubeVerb[]>>>;
  /** Services of all namespaces are asked for, so that a right to them is one at cluster scope. @default false */
  readonly clusterWide?: boolean;
  /** Objects of one part of a list. @default 500 */
  readonly pageSize?: number;
}

/**
 * Finds out where the API server is; does not connect yet.
 * @throws {KubeConfigError} when nothing says so, or what does is of no use.
 */
export async function createObjectClient(options: ObjectClientOptions = {}): Promise<ObjectClient> {
  return new HttpObjectClient(await KubeTransport.open(options), options);
}

/** Whether a write came too late: the object is another, or is there already. */
export function isConflict(error: unknown): boolean {
  return error instanceof KubeApiError && error.status === 409;
}

/** Whether there is no such object. */
export function isNotFound(error: unknown): boolean {
  return error instanceof KubeApiError && error.status === 404;
}

const PATCH_TYPES: Readonly<Record<ObjectPatch["kind"], string>> = {
  merge: "application/merge-patch+json",
  // The API server reads it as YAML, of which JSON is a part.
  apply: "application/apply-patch+yaml",
};

class HttpObjectClient implements ObjectClient {
  readonly server: string;
  clockAheadMs = 0;
  readonly #transport: KubeTransport;
  readonly #options: ObjectClientOptions;

  constructor(transport: KubeTransport, options: ObjectClientOptions) {
    this.#transport = transport;
    this.#options = options;
    this.server = transport.server;
  }

  async *list(
    ...[kind, { namespace }, signal]: Parameters<ObjectClient["list"]>
  ): AsyncGenerator<readonly Fields[]> {
    const request = this.#describe("list", { kind, ...(namespace === undefined ? {} : { namespace }) });
    const path = namespace === undefined ? resourcePath(kind) : namespacePath(kind, namespace);
    let token = "";
    do {
      const query = new URLSearchParams({ limit: String(this.#options.pageSize ?? 500) });
      if (token !== "") query.set("continue", token);
      const { items, metadata } = await this.#ask(request, { path: `${path}?${query}` }, signal);
      // Items of a list carry neither; whoever reads one on its own wants both.
      const whose = { apiVersion: apiVersionOf(kind), kind };
      yield Array.isArray(items) ? items.filter(isFields).map((item) => ({ ...whose, ...item })) : [];
      token = isFields(metadata) ? String(metadata["continue"] ?? "") : "";
    } while (token !== "");
  }

  async get(name: ObjectName, signal: AbortSignal): Promise<Fields> {
    return await this.#ask(this.#describe("get", name), { path: pathOf(name) }, signal);
  }

  async create(...[name, fields, signal]: Parameters<ObjectClient["create"]>): Promise<Fields> {
    const request: KubeRequest = { path: collectionOf(name), method: "POST", body: json(name, fields) };
    return await this.#ask(this.#describe("create", name), request, signal);
  }

  async update(...[name, fields, signal]: Parameters<ObjectClient["update"]>): Promise<Fields> {
    const request: KubeRequest = { path: pathOf(name), method: "PUT", body: json(name, fields) };
    return await this.#ask(this.#describe("update", name), request, signal);
  }

  async patch(...[name, patch, signal]: Parameters<ObjectClient["patch"]>): Promise<Fields> {
    const query = new URLSearchParams({ fieldManager: patch.fieldManager });
    if (patch.kind === "apply") query.set("force", "true");
    const body = { ...json(name, patch.fields), type: PATCH_TYPES[patch.kind] };
    const request: KubeRequest = { path: `${pathOf(name)}?${query}`, method: "PATCH", body };
    return await this.#ask(this.#describe("patch", name), request, signal);
  }

  #describe(
    verb: KubeVerb,
    about: { readonly kind: ObjectKind; readonly namespace?: string; readonly name?: string },
  ): KubeRequestContext {
    const needed = this.#options.needed?.[about.kind];
    const { kind, namespace, name } = about;
    const isOneOfMany = kind === "Service";
    const place = {
      ...(namespace === undefined || (isOneOfMany && this.#options.clusterWide === true)
        ? {}
        : { namespace }),
      ...(name === undefined || isOneOfMany ? {} : { name }),
    };
    return this.#transport.describe({
      verb,
      kind,
      ...place,
      ...(needed?.includes(verb) === true ? { needed } : {}),
    });
  }

  async #ask(request: KubeRequestContext, sent: KubeRequest, signal: AbortSignal): Promise<Fields> {
    await using answer = await this.#transport.send(request, { ...sent, accept: "application/json" }, signal);
    // The header has whole seconds, and was written in the middle of one on average.
    if (answer.dateMs !== undefined) this.clockAheadMs = answer.dateMs + 500 - Date.now();
    if (answer.status >= 300) throw await this.#transport.refusal(request, answer, signal);
    return await readObject(request, answer, signal);
  }
}

async function readObject(request: KubeRequestContext, answer: Answer, signal: AbortSignal): Promise<Fields> {
  try {
    const object: unknown = JSON.parse(new TextDecoder().decode(await answer.body()));
    if (!isFields(object)) throw new SyntaxError("the answer is no object");
    return object;
  } catch (error) {
    throw normalize(request, error, signal);
  }
}

function collectionOf({ kind, namespace }: ObjectName): string {
  return namespace === undefined ? resourcePath(kind) : namespacePath(kind, namespace);
}

function pathOf(name: ObjectName): string {
  return `${collectionOf(name)}/${encodeURIComponent(name.name)}`;
}

function json({ kind, namespace, name }: ObjectName, fields: Fields): NonNullable<KubeRequest["body"]> {
  const metadata = {
    ...(isFields(fields["metadata"]) ? fields["metadata"] : {}),
    name,
    ...(namespace === undefined ? {} : { namespace }),
  };
  const object = { apiVersion: apiVersionOf(kind), kind, ...fields, metadata };
  return { type: "application/json", text: JSON.stringify(object) };
}

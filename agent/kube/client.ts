/**
 * What the agent asks of the Kubernetes API server: lists and watches Services and EndpointSlices, follows its Node, reads ServiceCIDRs,
 * creates Events.
 *
 * In: a kubeconfig (or the service account of the pod we run in). Out: trimmed objects and watch events.
 * Invariants: those of `transport.ts`; client-node's own watch is not used, because it ends every 30 s and cannot resume.
 * Source: Kubernetes "API Concepts".
 * @module
 */
import type { KubeEvent } from "./event.ts";
import {
  ACCESS_REVIEW_API_VERSION,
  errorFromStatus,
  type KubeRequestContext,
  type KubeResource,
  type KubeVerb,
  namespacePath,
  resourceOf,
  resourcePath,
} from "./kube_api_error.ts";
import { isFields } from "./_fields.ts";
import type { RightsClient } from "./rights.ts";
import type { KubeObject, NamespacedName } from "./objects.ts";
import type { NodeFacts } from "./node_facts.ts";
import type { NodeClient } from "./node_object.ts";
import { type Answer, type KubeClientOptions, KubeTransport, normalize } from "./transport.ts";
import type { WatchEvent } from "./watch_protocol.ts";
import { ACCEPT_JSON, type ListPart, NodeWatchDecoder, readNodeList, readServiceCIDRs } from "./wire/mod.ts";

export type { KubeClientOptions } from "./transport.ts";

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

/**
 * Finds out where the API server is; does not connect yet.
 * @throws {KubeConfigError} when nothing says so, or what does is of no use.
 */
export async function createKubeClient(
  options: KubeClientOptions = {},
): Promise<KubeClient & ServiceCIDRClient & EventClient & RightsClient & NodeClient> {
  return new HttpKubeClient(await KubeTransport.open(options));
}

class HttpKubeClient implements KubeClient, ServiceCIDRClient, EventClient, RightsClient, NodeClient {
  readonly server: string;
  readonly identity: string;
  readonly #transport: KubeTransport;

  constructor(transport: KubeTransport) {
    this.#transport = transport;
    this.server = transport.server;
    this.identity = transport.identity;
  }

  async *list(...[kind, options, signal]: Parameters<KubeClient["list"]>): AsyncGenerator<ListPart> {
    const query = new URLSearchParams();
    if (options.labelSelector !== "") query.set("labelSelector", options.labelSelector);
    const [namespace = "", name = ""] = options.name?.split("/") ?? [];
    // A list and no get, for which the agent needs no further right. The API server finds the one object by its key.
    if (name !== "") query.set("fieldSelector", `metadata.name=${name}`);
    const path = name === "" ? resourcePath(kind) : namespacePath(kind, namespace);
    const request = this.#reads("list", kind);
    await using answer = await this.#transport.get(request, { path: `${path}?${query}` }, signal);
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
    const query = watchQuery(options);
    if (options.labelSelector !== "") query.set("labelSelector", options.labelSelector);
    const request = this.#reads("watch", kind);
    await using answer = await this.#transport.get(
      request,
      { path: `${resourcePath(kind)}?${query}` },
      signal,
    );
    yield* decoded({ answer, decoder: answer.format.watchDecoder(kind), request }, signal);
  }

  async serviceCIDRs(signal: AbortSignal): Promise<readonly string[]> {
    const request = this.#transport.describe({ verb: "list", kind: "ServiceCIDR" });
    return await this.#getJson(
      { request, path: resourcePath("ServiceCIDR"), read: readServiceCIDRs },
      signal,
    );
  }

  async createEvent(event: KubeEvent, signal: AbortSignal): Promise<boolean> {
    const request = this.#transport.describe({ verb: "create", kind: "Event" });
    const body = JSON.stringify(event);
    const path = namespacePath("Event", event.metadata.namespace);
    await using answer = await this.#transport.send(request, {
      path,
      method: "POST",
      body: { type: "application/json", text: body },
    }, signal);
    if (answer.status === 201) return true;
    if (answer.status === 409) return false;
    throw await this.#transport.refusal(request, answer, signal);
  }

  async *followNode(
    ...[name, { timeoutSeconds }, signal]: Parameters<NodeClient["followNode"]>
  ): AsyncGenerator<NodeFacts | undefined> {
    // The API server finds the one object by its key, and sends the changes of no other.
    const fieldSelector = `metadata.name=${name}`;
    const { facts, resourceVersion } = await this.#getJson({
      request: this.#reads("list", "Node"),
      path: `${resourcePath("Node")}?${new URLSearchParams({ fieldSelector })}`,
      read: readNodeList,
    }, signal);
    yield facts;
    const query = watchQuery({ resourceVersion, timeoutSeconds });
    query.set("fieldSelector", fieldSelector);
    const request = this.#reads("watch", "Node");
    const path = `${resourcePath("Node")}?${query}`;
    await using answer = await this.#transport.get(request, { path, accept: ACCEPT_JSON }, signal);
    for await (const events of decoded({ answer, decoder: new NodeWatchDecoder(), request }, signal)) {
      for (const event of events) {
        if (event.type === "ERROR") throw errorFromStatus(request, { ...event.failure, reason: "" });
        yield event.facts;
      }
    }
  }

  async mayDo(verb: KubeVerb, kind: KubeResource, signal: AbortSignal): Promise<boolean> {
    const request = this.#transport.describe({ verb, kind });
    const { group, plural: resource } = resourceOf(kind);
    const review = {
      apiVersion: ACCESS_REVIEW_API_VERSION,
      kind: "SelfSubjectAccessReview",
      spec: { resourceAttributes: { verb, group, resource } },
    };
    await using answer = await this.#transport.send(request, {
      path: `/apis/${ACCESS_REVIEW_API_VERSION}/selfsubjectaccessreviews`,
      method: "POST",
      body: { type: "application/json", text: JSON.stringify(review) },
      accept: ACCEPT_JSON,
    }, signal);
    if (answer.status !== 201) throw await this.#transport.refusal(request, answer, signal);
    try {
      const { status } = JSON.parse(new TextDecoder().decode(await answer.body())) as { status?: unknown };
      return isFields(status) && status["allowed"] === true;
    } catch (error) {
      throw normalize(request, error, signal);
    }
  }

  /** Gets what is small, and reads it when it is there. */
  async #getJson<T>(
    { request, path, read }: {
      readonly request: KubeRequestContext;
      readonly path: string;
      readonly read: (body: Uint8Array) => T;
    },
    signal: AbortSignal,
  ): Promise<T> {
    await using answer = await this.#transport.get(request, { path, accept: ACCEPT_JSON }, signal);
    try {
      return read(await answer.body());
    } catch (error) {
      throw normalize(request, error, signal);
    }
  }

  /** Both are needed of a kind, so one grant names both. */
  #reads(verb: "list" | "watch", kind: KubeObject["kind"] | "Node"): KubeRequestContext {
    return this.#transport.describe({ verb, kind, needed: ["list", "watch"] });
  }
}

/** What is asked of a watch that goes on from a version. */
function watchQuery(
  { resourceVersion, timeoutSeconds }: { readonly resourceVersion: string; readonly timeoutSeconds: number },
): URLSearchParams {
  return new URLSearchParams({
    watch: "true",
    allowWatchBookmarks: "true",
    resourceVersion,
    timeoutSeconds: String(timeoutSeconds),
  });
}

/** The events of a watch as their chunks arrive, never none of them, until the server ends it. */
async function* decoded<E>(
  { answer, decoder, request }: {
    readonly answer: Answer;
    readonly decoder: { push(chunk: Uint8Array): readonly E[] };
    readonly request: KubeRequestContext;
  },
  signal: AbortSignal,
): AsyncGenerator<readonly E[]> {
  for (;;) {
    let events: readonly E[];
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

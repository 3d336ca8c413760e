/**
 * A scripted delta ADS client over a real connection: does exactly what a test tells it, in Envoy's place.
 *
 * In: an address as `createAdsServer` takes it. Out: responses one by one, in the order in which they came.
 * It acknowledges nothing by itself.
 * @module
 */
import * as grpc from "@grpc/grpc-js";
import { DeltaDiscoveryRequest, type DeltaDiscoveryResponse } from "../../protos/mod.ts";
import { ADS_SERVICE } from "../ads_service.ts";
import { TYPE_URLS, type XdsType } from "../type_urls.ts";

/** How the server ended the stream. */
export interface StreamStatusObject {
  readonly code: number;
  readonly details: string;
}

/** A request, as far as a test wants to fill it in. */
export interface ScriptedRequest {
  readonly subscribe?: readonly string[];
  readonly unsubscribe?: readonly string[];
  readonly initialVersions?: Readonly<Record<string, string>>;
  readonly nonce?: string;
  /** Makes it a NACK. */
  readonly error?: string;
}

type Call = grpc.ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

/** One client with one stream. */
export class DeltaClient implements AsyncDisposable {
  readonly #client: grpc.Client;
  readonly #call: Call;
  readonly #nodeId: string;
  readonly #responses: DeltaDiscoveryResponse[] = [];
  readonly #ended = Promise.withResolvers<StreamStatusObject>();
  #waiting: (() => void) | undefined;
  #first = true;
  #isOver = false;

  private constructor(client: grpc.Client, call: Call, nodeId: string) {
    this.#client = client;
    this.#call = call;
    this.#nodeId = nodeId;
    call.on("data", (response: DeltaDiscoveryResponse) => {
      this.#responses.push(response);
      this.#wake();
    });
    // The status arrives by the event of that name, whether it is an error or not.
    call.on("error", () => {});
    call.on("status", ({ code, details }: grpc.StatusObject) => {
      this.#isOver = true;
      this.#ended.resolve({ code, details });
      this.#wake();
    });
  }

  /** Opens a stream. `method` lets a test call the method that is refused. */
  static connect(
    address: string,
    options: { readonly nodeId?: string; readonly method?: keyof typeof ADS_SERVICE } = {},
  ): DeltaClient {
    const client = new grpc.Client(address, grpc.credentials.createInsecure(), {
      "grpc.max_receive_message_length": -1,
      "grpc.use_local_subchannel_pool": 1,
    });
    const { requestSerialize, responseDeserialize } = ADS_SERVICE.DeltaAggregatedResources;
    const path = ADS_SERVICE[options.method ?? "DeltaAggregatedResources"].path;
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    return new DeltaClient(client, call, options.nodeId ?? "node-a");
  }

  /** How the stream ended, once it has. */
  get ended(): Promise<StreamStatusObject> {
    return this.#ended.promise;
  }

  /** Responses that arrived and were not taken yet. */
  get waitingResponses(): number {
    return this.#responses.length;
  }

  send(type: XdsType | { readonly typeUrl: string }, request: ScriptedRequest = {}): void {
    const { subscribe, unsubscribe, initialVersions, nonce, error } = request;
    this.#call.write(DeltaDiscoveryRequest.fromPartial({
      typeUrl: typeof type === "string" ? TYPE_URLS[type] : type.typeUrl,
      resourceNamesSubscribe: [...subscribe ?? []],
      resourceNamesUnsubscribe: [...unsubscribe ?? []],
      initialResourceVersions: { ...initialVersions },
      responseNonce: nonce ?? "",
      ...(error === undefined ? {} : { errorDetail: { code: grpc.status.INTERNAL, message: error } }),
      ...(this.#first ? { node: this.#node() } : {}),
    }));
    this.#first = false;
  }

  /** The next response, of any type. Rejects when the stream ends, or a long time passes, before one comes. */
  async next(timeoutMs = 10_000): Promise<DeltaDiscoveryResponse> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#wake();
    }, timeoutMs);
    try {
      return await this.#take(() => isLate);
    } finally {
      clearTimeout(timer);
    }
  }

  async #take(isLate: () => boolean): Promise<DeltaDiscoveryResponse> {
    while (true) {
      if (isLate()) throw new Error("no response came");
      const response = this.#responses.shift();
      if (response !== undefined) return response;
      if (this.#isOver) {
        const { code, details } = await this.ended;
        throw new Error(`the stream ended with ${code}: ${details}`);
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting = resolve;
      await promise;
    }
  }

  ack(response: DeltaDiscoveryResponse): void {
    this.send(response, { nonce: response.nonce });
  }

  nack(response: DeltaDiscoveryResponse, error: string): void {
    this.send(response, { nonce: response.nonce, error });
  }

  /** Stops reading, so that flow control holds the server back. */
  pause(): void {
    this.#call.pause();
  }

  resume(): void {
    this.#call.resume();
  }

  /** Ends the stream and the connection. */
  async close(): Promise<void> {
    this.#call.cancel();
    await this.ended;
    this.#client.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #node(): Partial<NonNullable<DeltaDiscoveryRequest["node"]>> {
    return {
      id: this.#nodeId,
      userAgentName: "envoy",
      userAgentBuildVersion: { version: { majorNumber: 1, minorNumber: 40, patch: 0 }, metadata: undefined },
    };
  }

  #wake(): void {
    this.#waiting?.();
    this.#waiting = undefined;
  }
}

/** Names and versions of a response. */
export function versionsOf(response: DeltaDiscoveryResponse): Record<string, string> {
  return Object.fromEntries(response.resources.map(({ name, version }) => [name, version]));
}

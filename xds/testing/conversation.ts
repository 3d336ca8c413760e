/**
 * One type of one stream without a stream: a test plays the client against the pure parts and reads each answer.
 * @module
 */
import { type Answer, applyRequest } from "../apply_request.ts";
import { nextResponse } from "../next_response.ts";
import { applyStoreChange, createSubscription, type Subscription } from "../subscription.ts";
import type { XdsType } from "../type_urls.ts";
import type { WildcardScope } from "../wildcard_scope.ts";
import type { ScriptedRequest } from "./delta_client.ts";
import { MemorySource } from "./memory_source.ts";

/** What a response held: versions by name in the order sent, and names removed. */
export interface Heard {
  readonly nonce: string;
  readonly resources: Readonly<Record<string, string>>;
  readonly removed: readonly string[];
}

/** A client's side of a subscription. */
export class Conversation {
  readonly source: MemorySource;
  readonly subscription: Subscription;
  /** What the last request said about the response in flight. */
  answer: Answer = { kind: "none" };
  /** What the last request asked for without holding it. */
  asked: readonly string[] = [];
  nowMs = 0;
  mayRemove = true;
  maxBytes = 1024 * 1024;
  /** What the client's wildcard means. */
  wildcardScope: WildcardScope = "all";
  #nonces = 0;

  constructor(type: XdsType, source: MemorySource = new MemorySource()) {
    this.source = source;
    this.subscription = createSubscription(type);
    source.onChange((changed) => applyStoreChange(this.subscription, changed.get(type) ?? [], source));
  }

  /** Sends a request and reads the answer, if there is one. */
  request(request: ScriptedRequest): Heard | undefined {
    const { answer, asked } = applyRequest(this.subscription, {
      subscribe: request.subscribe ?? [],
      unsubscribe: request.unsubscribe ?? [],
      initialVersions: request.initialVersions ?? {},
      nonce: request.nonce ?? "",
      error: request.error,
      wildcardScope: this.wildcardScope,
    }, this.nowMs);
    this.answer = answer;
    this.asked = asked;
    return this.read();
  }

  ack(heard: Heard | undefined): Heard | undefined {
    return this.request({ nonce: heard?.nonce ?? "" });
  }

  nack(heard: Heard | undefined, error: string): Heard | undefined {
    return this.request({ nonce: heard?.nonce ?? "", error });
  }

  /** What the server sends now. */
  read(): Heard | undefined {
    const response = nextResponse(this.subscription, this.source, {
      maxBytes: this.maxBytes,
      nonce: `n${this.#nonces + 1}`,
      nowMs: this.nowMs,
      mayRemove: () => this.mayRemove,
    });
    if (response === undefined) return undefined;
    this.#nonces++;
    return {
      nonce: response.nonce,
      resources: Object.fromEntries(response.resources.map(({ name, version }) => [name, version])),
      removed: response.removed,
    };
  }
}

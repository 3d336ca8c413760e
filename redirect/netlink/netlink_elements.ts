/**
 * Writes changes of elements straight to the kernel, without a program in between.
 *
 * In: PlanDeltas, one after the other. Out: one transaction each, or a `RedirectError`.
 *
 * nft reads all sets and chains of the table before it writes an element, to know of which types it is, and does so again after each
 * of its own changes: 1.5 ms of a processor each time, and this takes 0.02. The types are known here, because the layout is ours
 * (`containers.ts`). Should somebody have made a map of the same name with other keys, the kernel refuses ours by their length.
 * @module
 */

import type { ElementContainer } from "../containers.ts";
import type { PlanDelta } from "../diff.ts";
import type { ElementWriter } from "../element_route.ts";
import { RedirectError } from "../redirect_error.ts";
import { type Outcome, outcomeOf, parseAnswers } from "./answers.ts";
import { type Batch, encodeBatch, UnencodableElement } from "./encode_batch.ts";
import { isEncodable } from "./encode_element.ts";
import { NetlinkError, type NetlinkSocket } from "./netlink_socket.ts";
import { refusalError } from "./refusal.ts";

/** See the module's comment. */
export class NetlinkElements implements ElementWriter {
  readonly #socket: NetlinkSocket;
  #sequence = 0;

  /** Writes over this socket, which remains the caller's. */
  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  takes(container: ElementContainer): boolean {
    return isEncodable(container);
  }

  async write(delta: PlanDelta): Promise<void> {
    const batch = this.#encode(delta);
    const outcome = await this.#perform(batch);
    switch (outcome.kind) {
      case "done":
        return;
      case "refused":
        throw refusalError(outcome);
      case "unknown":
        throw new RedirectError("The kernel did not tell whether a change was made", { kind: "unknown" });
      default: {
        const unknown: never = outcome;
        throw new TypeError(`Unknown outcome ${JSON.stringify(unknown)}`);
      }
    }
  }

  #encode(delta: PlanDelta): Batch {
    let batch: Batch;
    try {
      batch = encodeBatch(delta, this.#sequence);
    } catch (cause) {
      if (!(cause instanceof UnencodableElement)) throw cause;
      const { container, key, value } = cause.element;
      throw new RedirectError(`An element of ${container} is none: ${cause.message}`, {
        kind: "other",
        line: value === "" ? key : `${key} : ${value}`,
        cause,
      });
    }
    const { byteLength } = batch.bytes;
    if (byteLength > this.#socket.longestMessage) {
      const message = `A change of ${byteLength} bytes is more than the kernel takes at a time`;
      throw new RedirectError(message, { kind: "too-large" });
    }
    // With its begin and its end. Numbers of messages are of 32 bits.
    this.#sequence = (this.#sequence + batch.messages.length + 2) >>> 0;
    return batch;
  }

  async #perform(batch: Batch): Promise<Outcome> {
    try {
      return outcomeOf(batch, (await this.#socket.exchange(batch.bytes)).flatMap(parseAnswers));
    } catch (cause) {
      if (!(cause instanceof NetlinkError)) throw cause;
      throw new RedirectError(cause.message, { kind: cause.kind, cause });
    }
  }
}

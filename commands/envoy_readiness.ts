/**
 * When the condition `envoyConnected` is met: an Envoy has what it needs, and the kernel sends connections to it.
 *
 * In: both, in any order. Out: the condition, with the reason for what is not met. Pure.
 * @module
 */
import type { Readiness } from "../agent/readiness.ts";

/** See the module's comment. */
export class EnvoyReadiness implements Pick<Readiness, "met" | "unmet"> {
  readonly #readiness: Pick<Readiness, "met" | "unmet">;
  #isFed = false;
  #isSentConnections: boolean;

  /** @param isSentConnections From the beginning: where the kernel is left alone, nobody asks. */
  constructor(readiness: Pick<Readiness, "met" | "unmet">, isSentConnections: boolean) {
    this.#readiness = readiness;
    this.#isSentConnections = isSentConnections;
  }

  met(): void {
    this.#isFed = true;
    this.#report();
  }

  unmet(_name: "envoyConnected", reason: string): void {
    this.#isFed = false;
    this.#readiness.unmet("envoyConnected", reason);
  }

  /** The kernel sends connections to Envoy, or does not any more. */
  sendsConnections(does: boolean): void {
    this.#isSentConnections = does;
    if (this.#isFed) this.#report();
  }

  #report(): void {
    if (this.#isSentConnections) this.#readiness.met("envoyConnected");
    else {
      this.#readiness.unmet(
        "envoyConnected",
        "Envoy is connected, but the kernel does not send it connections yet",
      );
    }
  }
}

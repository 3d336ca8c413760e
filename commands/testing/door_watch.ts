/**
 * Watches from a pod whether a destination is open: connects to it again and again, and keeps how each attempt ended.
 *
 * In: a vantage point, a destination, a protocol. Out: the outcomes in their order.
 * Where the kernel refuses a destination its door is shut, where a backend answers it is open. Anything else means that the
 * kernel sent a connection to an Envoy that had nothing to answer it with.
 * @module
 */
import { until } from "./until.ts";
import type { Probe } from "./prober.ts";
import type { VantagePoint } from "./vantage_point.ts";

/** How a door can be. */
export type DoorState = "open" | "shut" | "faulty";

/** What an attempt says about the door. */
export function doorState(outcome: string): DoorState {
  if (outcome.startsWith("backend-")) return "open";
  return outcome === "refused" ? "shut" : "faulty";
}

/** The attempts that went wrong after the door was shut and before it was open. */
export function faultsOfOpening(outcomes: readonly string[]): string[] {
  let last: DoorState = "shut";
  return outcomes.filter((outcome) => {
    const state = doorState(outcome);
    if (state === "faulty") return last === "shut";
    last = state;
    return false;
  });
}

/** One attempt after the other until the disposal. */
export class DoorWatch implements AsyncDisposable {
  readonly outcomes: string[] = [];
  readonly #end = new AbortController();
  readonly #running: Promise<void>;

  constructor(from: VantagePoint, door: { readonly target: string; readonly protocol: Probe["protocol"] }) {
    this.#running = this.#watch(from, door);
  }

  /** Waits until an attempt finds the door like this. */
  async seen(state: DoorState): Promise<void> {
    await until(`an attempt that finds it ${state}`, () => this.outcomes.at(-1) ?? "", {
      wanted: (outcome) => outcome !== "" && doorState(outcome) === state,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#running;
  }

  async #watch(
    from: VantagePoint,
    { target, protocol }: { readonly target: string; readonly protocol: Probe["protocol"] },
  ): Promise<void> {
    while (!this.#end.signal.aborted) this.outcomes.push(await from.who(target, protocol));
  }
}

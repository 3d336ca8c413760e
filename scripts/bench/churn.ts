/**
 * Random changes without end, as a busy cluster makes them.
 *
 * In: a world's shape, how many Services have clients, a seed. Out: batches of changes; in a batch every Service occurs
 * once at most, so that its writes may overlap with others'. Pure but for its own state: equal seeds give equal changes.
 * Invariants: Services with clients keep their port and at least one ready endpoint, so that no request has a reason to
 * fail; what is away or not ready comes back before it is changed otherwise, so that the world stays about as large.
 * @module
 */
import { Random } from "../../agent/model/testing/random.ts";
import { type ChangeKind, type Generation, isPresent, type WorldShape } from "./world.ts";
import { type Change, Generations } from "./world_host.ts";

/** Changes of a Service without clients, each kind as often as it occurs here. */
const ANY: readonly ChangeKind[] = [
  ...Array<ChangeKind>(8).fill("endpoints"),
  ...Array<ChangeKind>(4).fill("slices"),
  ...Array<ChangeKind>(3).fill("port"),
  ...Array<ChangeKind>(2).fill("readiness"),
  ...Array<ChangeKind>(2).fill("presence"),
];
/** For Services with clients. */
const HARMLESS: readonly ChangeKind[] = ["endpoints", "endpoints", "slices"];
/** Every so many changes concern one of those. */
const CLIENTS_EVERY = 5;

/** What it is made for. */
export interface ChurnOptions {
  readonly shape: WorldShape;
  /** The first so many Services have clients; at least one has not. */
  readonly withClients: number;
  readonly seed: number;
}

/** See the module's comment. */
export class Churn {
  readonly #options: ChurnOptions;
  readonly #random: Random;
  readonly #generations = new Generations();

  constructor(options: ChurnOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  /** How a Service is after all batches so far. */
  of(index: number): Generation {
    return this.#generations.of(index);
  }

  /** The next changes; fewer than asked for in a small world. */
  next(count: number): Change[] {
    const { shape, withClients } = this.#options;
    const changes = new Map<number, Change>();
    for (let number = 0; number < count; number++) {
      const hasClients = number % CLIENTS_EVERY === 0;
      const index = hasClients
        ? this.#random.integer(0, withClients - 1)
        : this.#random.integer(withClients, shape.services - 1);
      if (changes.has(index)) continue;
      const change = { index, kind: this.#kind(index, hasClients) };
      this.#generations.advance(change);
      changes.set(index, change);
    }
    return [...changes.values()];
  }

  #kind(index: number, hasClients: boolean): ChangeKind {
    const generation = this.#generations.of(index);
    if (!isPresent(generation)) return "presence";
    if (generation.readiness % 2 !== 0) return "readiness";
    return this.#random.pick(hasClients ? HARMLESS : ANY);
  }
}

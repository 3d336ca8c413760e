/**
 * Random changes of the store against a client of random habits: late ACKs, NACKs in all forms, unsubscribing,
 * forgetting, reconnecting. In the end the client must hold what the store holds, and must never have been sent what it
 * already had without having asked for it.
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { Conversation, type Heard } from "./testing/conversation.ts";
import { MemorySource } from "./testing/memory_source.ts";
import { SEND_ORDER, type XdsType } from "./type_urls.ts";
import type { WildcardScope } from "./wildcard_scope.ts";

const ROUNDS = 300;
const STEPS = 60;
const NAMES = ["a", "b", "c", "d", "e", "f"];
/** Content the client never accepts. */
const BAD = "bad";

/** Pseudo-random numbers from a seed (mulberry32), so that a failure can be repeated. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6D2B79F5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** A client that behaves as Envoy does (delta_subscription_state.cc), driven by dice. */
class RandomClient {
  readonly #source: MemorySource;
  readonly #type: XdsType;
  readonly #random: (below: number) => number;
  readonly #log: string[];
  #server: Conversation;
  #wildcard: boolean;
  /** What its wildcard means. */
  readonly #scope: WildcardScope;
  readonly #names = new Set<string>();
  readonly #held = new Map<string, string>();
  /** Names the server may send at a version the client holds. */
  readonly #prompted = new Set<string>();
  /** The version refused last, until another one or the removal is offered. */
  readonly #refused = new Map<string, string>();
  #unanswered: Heard | undefined;

  constructor(options: {
    readonly source: MemorySource;
    readonly type: XdsType;
    readonly random: (below: number) => number;
    readonly log: string[];
  }) {
    this.#source = options.source;
    this.#type = options.type;
    this.#random = options.random;
    this.#log = options.log;
    this.#wildcard = options.type === "Cluster" && this.#random(3) > 0;
    this.#scope = this.#random(2) === 0 ? "all" : "used";
    this.#server = this.#connect();
  }

  step(): void {
    switch (this.#random(7)) {
      case 0:
        return this.#subscribe();
      case 1:
        return this.#unsubscribe();
      case 2:
      case 3:
      case 4:
        return this.answer();
      case 5:
        this.#take(this.#server.read());
        return;
      case 6:
        if (this.#random(6) === 0) this.#reconnect();
        return;
    }
  }

  /** Answers the response it has, if it has one. */
  answer(): void {
    const heard = this.#unanswered;
    if (heard === undefined) {
      this.#take(this.#server.read());
      return;
    }
    this.#unanswered = undefined;
    const bad = Object.entries(heard.resources).filter(([, version]) => version.startsWith(BAD));
    if (bad.length === 0) {
      this.#accept(heard);
      this.#take(this.#server.ack(heard));
      return;
    }
    // Envoy applies none, some, or all of the good ones, and remembers none of their versions.
    for (const [name, version] of bad) this.#refused.set(name, version);
    for (const name of [...Object.keys(heard.resources), ...heard.removed]) this.#prompted.add(name);
    const listed = bad.slice(0, 1 + this.#random(bad.length)).map(([name]) => `${name}: refused`);
    const form = this.#random(3);
    const error = form === 0
      ? `Error adding/updating cluster(s) ${listed.join(", ")}`
      : form === 1
      ? `Error adding/updating cluster ${bad[0]![0]} - ${listed[0]}`
      : "Proto constraint validation failed";
    this.#log.push(`nack ${heard.nonce} ${error}`);
    this.#take(this.#server.nack(heard, error));
  }

  /** What it must hold in the end: all that the store has for it, but for what it refuses. */
  check(): void {
    const expected = this.#source.view(this.#type, this.#names);
    if (this.#wildcard) {
      // What it was given is followed as if it had asked for it.
      const pushed = NAMES.filter((name) => this.#source.isPushed(name));
      const covered = this.#scope === "all" ? "all" : [...this.#held.keys(), ...pushed];
      for (const [name, version] of this.#source.view(this.#type, covered)) expected.set(name, version);
    }
    const bad = new Set([...expected].filter(([, version]) => version.startsWith(BAD)).map(([name]) => name));
    const good = (entries: Iterable<[string, string]>): object =>
      Object.fromEntries([...entries].filter(([name]) => !bad.has(name)).sort());
    assertEquals(good(this.#held), good(expected));
    for (const name of bad) assert(this.#server.subscription.rejected.has(name), `${name} was never offered`);
    assertEquals(this.#server.subscription.owed.size, 0);
  }

  get isIdle(): boolean {
    return this.#unanswered === undefined;
  }

  #connect(): Conversation {
    this.#unanswered = undefined;
    this.#refused.clear();
    // The first request names what it holds; the rest of its names it asks for.
    this.#prompted.clear();
    for (const name of this.#names) if (!this.#held.has(name)) this.#prompted.add(name);
    const server = new Conversation(this.#type, this.#source);
    server.maxBytes = 100 + this.#random(400);
    server.wildcardScope = this.#scope;
    this.#server = server;
    // Envoy sends nothing while it wants nothing.
    if (this.#wildcard || this.#names.size > 0) {
      const isLegacy = this.#wildcard && this.#names.size === 0;
      const subscribe = isLegacy ? [] : [...this.#wildcard ? ["*"] : [], ...this.#names];
      this.#log.push(`connect ${subscribe.join(" ")}`);
      this.#take(server.request({ subscribe, initialVersions: Object.fromEntries(this.#held) }));
    }
    return server;
  }

  #reconnect(): void {
    this.#connect();
  }

  #subscribe(): void {
    const name = NAMES[this.#random(NAMES.length)]!;
    this.#names.add(name);
    this.#prompted.add(name);
    this.#log.push(`subscribe ${name}`);
    if (!this.#server.subscription.requested) this.#connect();
    else this.#take(this.#server.request({ subscribe: [name] }));
  }

  #unsubscribe(): void {
    const name = NAMES[this.#random(NAMES.length)]!;
    if (!this.#names.delete(name)) return;
    this.#log.push(`unsubscribe ${name}`);
    if (this.#wildcard) this.#prompted.add(name);
    else this.#held.delete(name);
    this.#take(this.#server.request({ unsubscribe: [name] }));
  }

  #take(heard: Heard | undefined): void {
    if (heard === undefined) return;
    this.#log.push(`heard ${JSON.stringify(heard)}`);
    assertEquals(this.#unanswered, undefined, "a second response in flight");
    for (const [name, version] of Object.entries(heard.resources)) {
      const isNews = this.#held.get(name) !== version && this.#refused.get(name) !== version;
      assert(isNews || this.#prompted.has(name), `${name}@${version} was sent again unasked`);
      this.#prompted.delete(name);
      this.#refused.delete(name);
    }
    for (const name of heard.removed) {
      assert(this.#held.has(name) || this.#prompted.has(name), `${name} was removed but never held`);
      this.#prompted.delete(name);
      this.#refused.delete(name);
    }
    this.#unanswered = heard;
  }

  #accept(heard: Heard): void {
    for (const [name, version] of Object.entries(heard.resources)) {
      if (this.#wildcard || this.#names.has(name)) this.#held.set(name, version);
    }
    for (const name of heard.removed) this.#held.delete(name);
  }
}

function runRound(type: XdsType, seed: number): void {
  const random = randomFrom(seed);
  const source = new MemorySource();
  source.used = NAMES.filter(() => random(2) === 0);
  if (type === "Cluster") { for (const name of NAMES) if (random(4) === 0) source.pushed.add(name); }
  const log: string[] = [];
  const client = new RandomClient({ source, type, random, log });
  try {
    for (let step = 0; step < STEPS; step++) {
      if (random(2) === 0) client.step();
      else changeStore(source, { type, random, log });
    }
    for (let round = 0; round < 100; round++) client.answer();
    assert(client.isIdle, "the server goes on and on");
    client.check();
  } catch (error) {
    throw new Error(`seed ${seed}:\n${log.join("\n")}`, { cause: error });
  }
}

function changeStore(
  source: MemorySource,
  { type, random, log }: {
    readonly type: XdsType;
    readonly random: (below: number) => number;
    readonly log: string[];
  },
): void {
  source.batch(() => {
    for (let count = 1 + random(3); count > 0; count--) {
      const name = NAMES[random(NAMES.length)]!;
      const dice = random(10);
      const version = dice === 0 ? undefined : dice < 3 ? `${BAD}${random(3)}` : `v${random(3)}`;
      log.push(`store ${name} = ${version ?? "gone"}`);
      if (version === undefined) source.delete(type, name);
      else source.set(type, name, version);
    }
  });
}

for (const type of SEND_ORDER) {
  Deno.test(`random changes, random client: ${type}`, () => {
    for (let seed = 1; seed <= ROUNDS; seed++) runRound(type, seed);
  });
}

/** The gate before a real redirector, whose nft is in memory; Envoy's answers and the clock are in the test's hands. */
import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { createLogger } from "../agent/log.ts";
import type { NodeAddresses, ServicePort, ServicePortKey } from "../agent/model/mod.ts";
import { Random } from "../agent/model/testing/random.ts";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import { createNftablesBackend, createRedirector, RedirectError, type Redirector } from "../redirect/mod.ts";
import { servedPath } from "../redirect/served_value.ts";
import { FakeNft } from "../redirect/testing/fake_nft.ts";
import { ManualTimers, settle } from "../redirect/testing/manual_timers.ts";
import { changes, RandomPorts } from "../redirect/testing/random_ports.ts";
import { OpeningGate } from "./opening_gate.ts";
import { openings } from "./openings.ts";

const NODE: NodeAddresses = { IPv4: ["192.168.0.2"], IPv6: ["2001:db8::2"] };
const VIP = "10.96.0.10 . tcp . 80";
const SHUT = servicePort({ endpoints: [] });
const OPEN = servicePort();

class Bench implements AsyncDisposable {
  readonly model = new Map<ServicePortKey, ServicePort>();
  readonly nft = new FakeNft();
  readonly timers = new ManualTimers();
  readonly redirector: Redirector;
  readonly gate: OpeningGate;
  readonly released: string[] = [];
  readonly errors: string[] = [];
  readonly drifts: number[] = [];
  readonly lines: string[] = [];
  /** Whether Envoy can answer at an address. */
  isPrepared: (address: string) => boolean = () => false;
  readonly #end = new AbortController();
  readonly #running: Promise<void>;

  constructor(servicePorts: () => Iterable<ServicePort> = () => this.model.values()) {
    const logger = createLogger({ level: "info", format: "text", write: (line) => this.lines.push(line) });
    this.redirector = createRedirector({
      backend: createNftablesBackend({ nft: this.nft, ports: { tcp: 1666, http: 1667 } }),
      logger,
      timers: this.timers,
      random: () => 0.5,
      observer: {
        onError: (_kind, error) => this.errors.push(error.kind),
        onDrift: (differences) => this.drifts.push(differences),
      },
    });
    this.gate = new OpeningGate({
      model: { servicePorts },
      redirector: this.redirector,
      mayPass: (change) => openings(change, NODE).every(({ address }) => this.isPrepared(address)),
      logger,
      timers: this.timers,
      onReleased: ({ result, waitedMs }) => this.released.push(`${result} ${waitedMs}`),
    });
    this.#running = this.redirector.run(this.#end.signal);
  }

  /** Starts with these ports in the kernel. */
  async started(...ports: readonly ServicePort[]): Promise<void> {
    for (const port of ports) this.model.set(port.key, port);
    this.redirector.start(this.gate, NODE);
    await this.redirector.flushed();
  }

  /** Changes the model and hands the change over. */
  async change(
    ...pairs: readonly (readonly [ServicePort | undefined, ServicePort | undefined])[]
  ): Promise<void> {
    const batch = changes(...pairs);
    for (const [key, { after }] of batch) {
      if (after === undefined) this.model.delete(key);
      else this.model.set(key, after);
    }
    this.gate.update(batch);
    await settle();
  }

  /** Envoy answers at all addresses from now on. */
  async prepared(): Promise<void> {
    this.isPrepared = () => true;
    this.gate.progressed();
    await settle();
  }

  /** What the kernel does with Services: `10.96.0.10 . tcp . 80 : envoy-http`. */
  kernel(): string[] {
    return this.nft.elements().flatMap((line) => {
      const [, container, destination, value = ""] =
        /^(service|no-endpoint)-(?:ips|nodeports)-\d (.*?)(?: : (.*))?$/.exec(line) ?? [];
      if (destination === undefined) return [];
      return [`${destination} : ${container === "service" ? servedPath(value) : container}`];
    }).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#running;
    this.gate[Symbol.dispose]();
    assertEquals(this.timers.nextMs, undefined, "a timer is left");
  }
}

Deno.test("OpeningGate: the kernel opens when Envoy can answer, and shuts at once", async () => {
  await using bench = new Bench();
  await bench.started(SHUT);
  await bench.change([SHUT, OPEN]);
  assertEquals(bench.kernel(), [`${VIP} : no-endpoint`]);
  await bench.timers.advance(3);
  await bench.prepared();
  assertEquals(bench.kernel(), [`${VIP} : envoy-http`]);
  bench.isPrepared = () => false;
  await bench.change([OPEN, SHUT]);
  assertEquals(bench.kernel(), [`${VIP} : no-endpoint`]);
  assertEquals(bench.released, ["taken 3"]);
});

Deno.test("OpeningGate: what is not opened goes at once, also beside what is", async () => {
  await using bench = new Bench();
  const other = servicePort({ name: "other", vips: ["10.96.0.11 80"] });
  const third = servicePort({ name: "third", vips: ["10.96.0.12 80"] });
  bench.isPrepared = (address) => address === "10.96.0.12";
  await bench.started(SHUT, other);
  await bench.change([SHUT, OPEN], [other, undefined], [undefined, third]);
  assertEquals(bench.kernel(), [
    `${VIP} : no-endpoint`,
    "10.96.0.12 . tcp . 80 : envoy-http",
  ]);
  await bench.prepared();
  assertEquals(bench.kernel(), [`${VIP} : envoy-http`, "10.96.0.12 . tcp . 80 : envoy-http"]);
});

Deno.test("OpeningGate: later changes of a held port merge into it", async () => {
  await using bench = new Bench();
  await bench.started(SHUT);
  const moved = servicePort({ vips: ["10.96.0.10 80", "10.96.0.11 80"] });
  await bench.change([SHUT, OPEN]);
  await bench.change([OPEN, moved]);
  assertEquals(bench.kernel(), [`${VIP} : no-endpoint`]);
  const { length } = bench.nft.applied;
  await bench.prepared();
  assertEquals(bench.kernel(), [`${VIP} : envoy-http`, "10.96.0.11 . tcp . 80 : envoy-http"]);
  assertEquals(bench.nft.applied.length - length, 1);
});

Deno.test("OpeningGate: a port that shuts again while it waits leaves the kernel as it was", async () => {
  await using bench = new Bench();
  await bench.started();
  await bench.change([undefined, SHUT]);
  const { length } = bench.nft.applied;
  await bench.change([SHUT, OPEN]);
  await bench.change([OPEN, SHUT]);
  await bench.gate.flushed();
  assertEquals(bench.nft.applied.length - length, 0);
  await bench.change([SHUT, OPEN]);
  await bench.change([OPEN, undefined]);
  await bench.gate.flushed();
  assertEquals(bench.kernel(), []);
  assertEquals(bench.released, ["overtaken 0", "overtaken 0"]);
});

Deno.test("OpeningGate: an Envoy that does not answer holds nothing back for longer than the bound", async () => {
  await using bench = new Bench();
  const second = servicePort({ name: "second", vips: ["10.96.0.11 80"] });
  await bench.started(SHUT);
  await bench.change([SHUT, OPEN]);
  await bench.timers.advance(400);
  await bench.change([undefined, second]);
  // Its changes go on; the bound is counted from the first.
  await bench.change([OPEN, servicePort({ vips: ["10.96.0.10 80", "10.96.0.12 80"] })]);
  await bench.timers.advance(99);
  assertEquals(bench.kernel(), [`${VIP} : no-endpoint`]);
  await bench.timers.advance(1);
  assertEquals(bench.kernel(), [`${VIP} : envoy-http`, "10.96.0.12 . tcp . 80 : envoy-http"]);
  await bench.timers.advance(400);
  assertEquals(bench.kernel().length, 3);
  assertEquals(bench.released, ["timeout 500", "timeout 500"]);
  assertEquals(bench.lines.filter((line) => line.includes("has not taken")).length, 2);
});

Deno.test("OpeningGate: a VIP that moves takes what is held along, in one step", async () => {
  await using bench = new Bench();
  const heir = servicePort({ name: "heir", endpoints: [] });
  await bench.started(SHUT);
  await bench.change([SHUT, OPEN]);
  const { length } = bench.nft.applied;
  await bench.change([OPEN, servicePort({ vips: [] })], [undefined, heir]);
  assertEquals(bench.kernel(), [`${VIP} : no-endpoint`]);
  await bench.prepared();
  await bench.gate.flushed();
  assertEquals(bench.kernel(), [`${VIP} : no-endpoint`]);
  assertEquals(bench.nft.applied.length - length, 0);
});

Deno.test("OpeningGate: a comparison with the whole plan leaves shut what is held, and finds nothing missing later", async () => {
  await using bench = new Bench();
  const other = servicePort({ name: "other", vips: ["10.96.0.11 80"] });
  await bench.started(SHUT);
  await bench.timers.advance(599_900);
  await bench.change([SHUT, OPEN], [undefined, other]);
  await bench.timers.advance(100);
  assertEquals([bench.nft.listings, bench.kernel().join()], [2, `${VIP} : no-endpoint`]);
  await bench.prepared();
  assertEquals(bench.kernel(), [`${VIP} : envoy-http`, "10.96.0.11 . tcp . 80 : envoy-http"]);
  assertEquals([bench.errors, bench.drifts], [[], []]);
});

Deno.test("OpeningGate: flushed() waits for what is held", async () => {
  await using bench = new Bench();
  await bench.started(SHUT);
  await bench.change([SHUT, OPEN]);
  let flushed = false;
  const flushing = bench.gate.flushed().then(() => flushed = true);
  await bench.timers.advance(100);
  assertEquals(flushed, false);
  await bench.prepared();
  await flushing;
  assertEquals(bench.kernel(), [`${VIP} : envoy-http`]);
});

Deno.test("OpeningGate: the end leaves shut what was held, and answers who waits; the next start opens it", async () => {
  let flushing: Promise<void>;
  let nft: FakeNft;
  {
    await using bench = new Bench();
    nft = bench.nft;
    await bench.started(SHUT);
    await bench.change([SHUT, OPEN]);
    flushing = assertRejects(() => bench.gate.flushed(), Error, "end came before").then(() => {});
  }
  await flushing;
  await using next = new Bench();
  next.nft.table = nft.table;
  assertEquals(next.kernel(), [`${VIP} : no-endpoint`]);
  await next.started(OPEN);
  assertEquals(next.kernel(), [`${VIP} : envoy-http`]);
});

Deno.test("OpeningGate: random changes, faults and answers; the kernel ends up as a rebuild would", async () => {
  let held = 0;
  for (let seed = 1; seed <= 40; seed++) {
    const random = new Random(seed);
    const model = new RandomPorts(random);
    await using bench = new Bench(() => model.servicePorts());
    bench.isPrepared = () => random.chance(0.4);
    bench.redirector.start(bench.gate, NODE);
    const faulty = seed % 2 === 0;
    if (faulty) {
      bench.nft.beforeApply = () =>
        random.chance(0.1) ? Promise.reject(new RedirectError("no", { kind: "busy" })) : Promise.resolve();
    }
    for (let step = 0; step < 80; step++) {
      bench.gate.update(model.step());
      if (random.chance(0.5)) await settle();
      if (random.chance(0.5)) bench.gate.progressed();
      if (random.chance(0.2)) await bench.timers.advance(random.integer(0, 300));
      if (random.chance(0.02)) await bench.timers.advance(600_000);
    }
    bench.nft.beforeApply = () => Promise.resolve();
    await bench.timers.advance(500);
    await bench.timers.advance(5_000);
    await bench.gate.flushed();
    await using rebuilt = new Bench();
    await rebuilt.started(...model.servicePorts());
    assertEquals(bench.nft.elements(), rebuilt.nft.elements(), `seed ${seed}`);
    // Without faults of nft nothing may ever be refused or found different: each change met the state it was made for.
    if (!faulty) assertEquals([bench.errors, bench.drifts], [[], []], `seed ${seed}`);
    held += bench.released.length;
  }
  assertEquals(held > 200, true, `${held} changes were held`);
});

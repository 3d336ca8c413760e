import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { createLogger } from "../agent/log.ts";
import { Random } from "../agent/model/testing/random.ts";
import type { NodeAddresses } from "../agent/model/mod.ts";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import { diffPlans } from "./diff.ts";
import { createLayout } from "./layout.ts";
import { renderReplacement } from "./nft_script.ts";
import { RedirectError, type RedirectErrorKind } from "./redirect_error.ts";
import type { Applied } from "./observer.ts";
import { planNode, planServicePort } from "./plan.ts";
import { createNftablesBackend } from "./nftables_backend.ts";
import { createRedirector, type Redirector } from "./redirector.ts";
import { FakeNft } from "./testing/fake_nft.ts";
import { ManualTimers, settle } from "./testing/manual_timers.ts";
import { changes, RandomPorts } from "./testing/random_ports.ts";

const PORTS = { tcp: 1666, http: 1667 };
const NODE: NodeAddresses = { IPv4: ["192.168.0.2"], IPv6: [] };

/** A redirector at work on a fake, with its clock in the test's hands. */
class Bench implements AsyncDisposable {
  readonly nft = new FakeNft();
  readonly timers = new ManualTimers();
  readonly applied: Applied[] = [];
  readonly errors: RedirectErrorKind[] = [];
  readonly drifts: number[] = [];
  readonly lines: string[] = [];
  readonly redirector: Redirector;
  readonly #end = new AbortController();
  readonly #running: Promise<void>;

  /**
   * @param prepare Called before the redirector is at work.
   * @param look What the backend is to see each second; by default it cannot look.
   */
  constructor(
    prepare: (nft: FakeNft) => void = () => {},
    look: ((nft: FakeNft) => Promise<string | undefined>) | undefined = undefined,
  ) {
    prepare(this.nft);
    const backend = createNftablesBackend({ nft: this.nft, ports: PORTS });
    if (look !== undefined) {
      Object.defineProperties(backend, {
        lookIntervalMs: { value: 1_000 },
        look: { value: () => look(this.nft) },
      });
    }
    this.redirector = createRedirector({
      backend,
      logger: createLogger({ level: "info", format: "text", write: (line) => this.lines.push(line) }),
      observer: {
        onApplied: (applied) => this.applied.push(applied),
        onError: (_kind, error) => this.errors.push(error.kind),
        onDrift: (differences) => this.drifts.push(differences),
      },
      timers: this.timers,
      random: () => 0.5,
    });
    this.#running = this.redirector.run(this.#end.signal);
  }

  /** Starts with these ports and waits until they are in the kernel. */
  async started(...ports: readonly ReturnType<typeof servicePort>[]): Promise<void> {
    this.redirector.start({ servicePorts: () => ports }, NODE);
    await this.redirector.flushed();
  }

  /** Fails the next scripts with these kinds of fault. */
  failNext(...kinds: readonly RedirectErrorKind[]): void {
    const remaining = [...kinds];
    this.nft.beforeApply = () => {
      const kind = remaining.shift();
      return kind === undefined ? Promise.resolve() : Promise.reject(new RedirectError("refused", { kind }));
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#running;
    assertEquals(this.timers.nextMs, undefined, "a timer outlived the loop");
  }
}

Deno.test("start: one listing, one transaction; a second agent on the same table writes nothing", async () => {
  await using first = new Bench();
  await first.started(servicePort());
  assertEquals([first.nft.listings, first.nft.applied.length], [1, 1]);
  await using second = new Bench((nft) => nft.table = first.nft.table);
  await second.started(servicePort());
  assertEquals([second.nft.listings, second.nft.applied.length], [1, 0]);
  assertEquals(second.applied.map(({ kind, transactions }) => [kind, transactions]), [["start", 0]]);
});

Deno.test("before the model is handed over the table is read, and nothing is written", async () => {
  await using bench = new Bench();
  bench.redirector.update(changes([undefined, servicePort()]));
  await settle();
  assertEquals([bench.nft.listings, bench.nft.applied.length], [1, 0]);
  await bench.started(servicePort());
  assertEquals([bench.nft.listings, bench.nft.applied.length], [1, 1]);
});

Deno.test("a first reading that fails is made again when it is needed, and counts as no failure", async () => {
  const kinds: RedirectErrorKind[] = ["busy"];
  await using bench = new Bench((nft) =>
    nft.beforeList = () => {
      const kind = kinds.shift();
      return kind === undefined ? Promise.resolve() : Promise.reject(new RedirectError("refused", { kind }));
    }
  );
  await settle();
  await bench.started(servicePort());
  assertEquals([bench.nft.listings, bench.nft.applied.length, bench.errors.length], [2, 1, 0]);
});

for (
  const [what, tamper] of [
    ["the table is deleted", (nft: FakeNft): void => void (nft.table = undefined)],
    ["an element is deleted that has to go", (nft: FakeNft): void => {
      nft.table?.containers.get("service-ips-4")?.elements.delete("10.96.0.10 . tcp . 80");
    }],
  ] as const
) {
  Deno.test(`between the first reading and the model ${what}: read again at once`, async () => {
    await using before = new Bench();
    await before.started(servicePort());
    await using bench = new Bench((nft) => nft.table = before.nft.table);
    await settle();
    tamper(bench.nft);
    bench.redirector.start({ servicePorts: () => [servicePort({ vips: ["10.96.0.11 80"] })] }, NODE);
    await settle();
    await bench.timers.advance(0);
    await bench.redirector.flushed();
    assertEquals(bench.nft.elements(), [
      "cluster-ips-4 10.96.0.11",
      "endpoints-ips-4 10.96.0.11 . tcp . 80 . 4c54:1 : 10.244.0.5 . 8080",
      "envoy-address-4 tcp : 192.168.0.2",
      "envoy-ready tcp",
      "node-addresses-4 192.168.0.2",
      "service-ips-4 10.96.0.11 . tcp . 80 : 4c51:1",
    ]);
    assertEquals([bench.nft.listings, bench.errors.length], [2, 1]);
  });
}

Deno.test("the end waits for the first reading", async () => {
  const gate = Promise.withResolvers<void>();
  const bench = new Bench((nft) => nft.beforeList = () => gate.promise);
  let ended = false;
  const ending = bench[Symbol.asyncDispose]().then(() => ended = true);
  await settle();
  assertEquals(ended, false);
  gate.resolve();
  await ending;
});

Deno.test("a change goes out at once, as its difference, without reading the table", async () => {
  await using bench = new Bench();
  const before = servicePort();
  await bench.started(before);
  bench.redirector.update(changes([before, servicePort({ endpoints: [] })]));
  await settle();
  assertEquals(
    bench.nft.applied.slice(1),
    [`delete element inet lightpath service-ips-4 { 10.96.0.10 . tcp . 80 }
delete element inet lightpath endpoints-ips-4 { 10.96.0.10 . tcp . 80 . 4c54:1 }
add element inet lightpath no-endpoint-ips-4 { 10.96.0.10 . tcp . 80 }
`],
  );
  assertEquals(bench.nft.listings, 1);
  assertEquals(bench.applied.at(-1), {
    kind: "update",
    durationMs: 0,
    transactions: 1,
    elementsAdded: 1,
    elementsDeleted: 2,
  });
});

Deno.test("a change that means nothing to the kernel makes no transaction, yet counts as flushed", async () => {
  await using bench = new Bench();
  const port = servicePort();
  await bench.started(port);
  bench.redirector.update(changes([port, { ...port }]));
  await bench.redirector.flushed();
  assertEquals(bench.nft.applied.length, 1);
});

Deno.test("changes that come during a transaction merge into one", async () => {
  await using bench = new Bench();
  await bench.started();
  const gate = Promise.withResolvers<void>();
  bench.nft.beforeApply = () => gate.promise;
  const [a, b, c] = ["a", "b", "c"].map((name, index) =>
    servicePort({ name, vips: [`10.96.0.${index + 1} 80`] })
  );
  bench.redirector.update(changes([undefined, a]));
  await settle();
  bench.redirector.update(changes([undefined, b]));
  bench.redirector.update(changes([undefined, c]));
  bench.redirector.update(changes([b, undefined]));
  let flushed = false;
  const flushing = bench.redirector.flushed().then(() => flushed = true);
  await settle();
  assert(!flushed);
  gate.resolve();
  await flushing;
  const added = (host: number): string =>
    `add element inet lightpath cluster-ips-4 { 10.96.0.${host} }
add element inet lightpath service-ips-4 { 10.96.0.${host} . tcp . 80 : 4c51:1 }
add element inet lightpath endpoints-ips-4 { 10.96.0.${host} . tcp . 80 . 4c54:1 : 10.244.0.5 . 8080 }
`;
  assertEquals(bench.nft.applied.slice(1), [added(1), added(3)]);
});

Deno.test("service CIDRs are replaced by their difference, and stay when Envoy comes and goes", async () => {
  await using bench = new Bench();
  await bench.started();
  bench.redirector.setServiceCIDRs({ IPv4: ["10.96.0.0/16"], IPv6: ["fd00:96::/108"] });
  bench.redirector.setEnvoyReady(false);
  await bench.redirector.flushed();
  bench.redirector.setServiceCIDRs({ IPv4: ["10.96.0.0/16", "10.97.0.0/16"], IPv6: [] });
  bench.redirector.setEnvoyReady(true);
  await bench.redirector.flushed();
  assertEquals(
    bench.nft.applied.at(-1),
    `delete element inet lightpath service-cidrs-6 { fd00:96::/108 }
add element inet lightpath envoy-ready { tcp }
add element inet lightpath service-cidrs-4 { 10.97.0.0/16 }
flush set inet lightpath envoy-gone
`,
  );
});

Deno.test("node addresses are replaced by their difference", async () => {
  await using bench = new Bench();
  await bench.started();
  bench.redirector.setNodeAddresses({ IPv4: ["192.168.0.9"], IPv6: ["2001:db8::9"] });
  await bench.redirector.flushed();
  assertEquals(
    bench.nft.applied.at(-1),
    `delete element inet lightpath envoy-address-4 { tcp }
delete element inet lightpath node-addresses-4 { 192.168.0.2 }
add element inet lightpath envoy-address-4 { tcp : 192.168.0.9 }
add element inet lightpath node-addresses-4 { 192.168.0.9 }
add element inet lightpath envoy-address-6 { tcp : 2001:db8::9 }
add element inet lightpath node-addresses-6 { 2001:db8::9 }
`,
  );
});

Deno.test("node addresses that change twice are replaced by the second difference", async () => {
  await using bench = new Bench();
  await bench.started();
  for (const address of ["192.168.0.9", "192.168.0.10"]) {
    bench.redirector.setNodeAddresses({ IPv4: [address], IPv6: [] });
    await bench.redirector.flushed();
  }
  assertEquals(bench.errors, []);
  assertEquals(bench.nft.elements(), [
    "envoy-address-4 tcp : 192.168.0.10",
    "envoy-ready tcp",
    "node-addresses-4 192.168.0.10",
  ]);
});

Deno.test("whether Envoy is ready is one element, whatever the number of Services", async () => {
  await using bench = new Bench();
  const ports = Array.from(
    { length: 50 },
    (_, index) => servicePort({ name: `s${index}`, vips: [`10.96.1.${index} 80`] }),
  );
  bench.redirector.setEnvoyReady(false);
  await bench.started(...ports);
  assert(!bench.nft.elements().includes("envoy-ready tcp"));
  for (const ready of [true, false]) {
    bench.redirector.setEnvoyReady(ready);
    await bench.redirector.flushed();
    const verb = ready ? "add" : "delete";
    const flush = ready ? "flush set inet lightpath envoy-gone\n" : "";
    assertEquals(bench.nft.applied.at(-1), `${verb} element inet lightpath envoy-ready { tcp }\n${flush}`);
  }
  assertEquals(bench.nft.applied.length, 3);
  // A comparison wants it as it was said last.
  await bench.timers.advance(700_000);
  assertEquals([bench.nft.applied.length, bench.drifts], [3, []]);
});

Deno.test("changes still pending at the long interval are no drift", async () => {
  await using bench = new Bench();
  const [a, b] = ["a", "b"].map((name, index) => servicePort({ name, vips: [`10.96.0.${index + 1} 80`] }));
  const ports = [a, b].filter((port) => port !== undefined);
  const current: typeof ports = [];
  bench.redirector.start({ servicePorts: () => current }, NODE);
  await bench.redirector.flushed();
  const gate = Promise.withResolvers<void>();
  bench.nft.beforeApply = () => gate.promise;
  for (const port of ports) {
    current.push(port);
    bench.redirector.update(changes([undefined, port]));
    await settle();
  }
  bench.redirector.setNodeAddresses({ IPv4: [], IPv6: [] });
  await bench.timers.advance(600_000);
  gate.resolve();
  await bench.redirector.flushed();
  assertEquals(bench.applied.map(({ kind, transactions }) => [kind, transactions]), [
    ["start", 1],
    ["update", 1],
    ["resync", 1],
  ]);
  assertEquals(bench.drifts, []);
});

Deno.test("a kernel that holds something else than assumed is read and mended without a delay", async () => {
  await using bench = new Bench();
  const before = servicePort();
  let current = before;
  bench.redirector.start({ servicePorts: () => [current] }, NODE);
  await bench.redirector.flushed();
  bench.nft.table?.containers.get("service-ips-4")?.elements.clear();
  current = servicePort({ appProtocol: "tcp" });
  bench.redirector.update(changes([before, current]));
  await settle();
  await bench.timers.advance(0);
  await bench.redirector.flushed();
  assertEquals(bench.errors, ["not-found"]);
  assertEquals(bench.applied.map(({ kind }) => kind), ["start", "repair"]);
  assertEquals(bench.nft.elements().filter((line) => line.startsWith("service")), [
    "service-ips-4 10.96.0.10 . tcp . 80 : 4c52:1",
  ]);
});

for (const happened of [true, false]) {
  Deno.test(`a change that ${happened ? "was" : "was not"} made, which nft did not tell: read, no delay`, async () => {
    await using bench = new Bench();
    const before = servicePort();
    let current = before;
    bench.redirector.start({ servicePorts: () => [current] }, NODE);
    await bench.redirector.flushed();
    bench.nft.beforeApply = async (script) => {
      bench.nft.beforeApply = () => Promise.resolve();
      if (happened) await bench.nft.apply(script);
      throw new RedirectError("nft died", { kind: "unknown" });
    };
    current = servicePort({ appProtocol: "tcp" });
    bench.redirector.update(changes([before, current]));
    await settle();
    await bench.timers.advance(0);
    await bench.redirector.flushed();
    assertEquals(bench.errors, ["unknown"]);
    assertEquals(bench.applied.map(({ kind, transactions }) => [kind, transactions]), [
      ["start", 1],
      ["repair", happened ? 0 : 1],
    ]);
    assertEquals(bench.nft.elements().filter((line) => line.startsWith("service")), [
      "service-ips-4 10.96.0.10 . tcp . 80 : 4c52:1",
    ]);
  });
}

Deno.test("failures are repeated with growing delays up to 5 s; changes meanwhile do not hurry them", async () => {
  await using bench = new Bench();
  let ports = [servicePort()];
  bench.failNext(...Array<RedirectErrorKind>(9).fill("busy"));
  bench.redirector.start({ servicePorts: () => ports }, NODE);
  await settle();
  const delays: number[] = [];
  while (bench.errors.length < 9) {
    const next = servicePort({ name: "later", vips: [`10.96.1.${delays.length} 80`] });
    bench.redirector.update(changes([ports[1], next]));
    ports = [servicePort(), next];
    await settle();
    delays.push(bench.timers.nextMs ?? NaN);
    await bench.timers.advance(bench.timers.nextMs ?? 0);
  }
  // Three quarters of 100 ms, doubling: the middle of the jitter.
  assertEquals(delays, [75, 150, 300, 600, 1200, 2400, 3750, 3750]);
  await bench.timers.advance(bench.timers.nextMs ?? 0);
  await bench.redirector.flushed();
  assertEquals(bench.applied.map(({ kind }) => kind), ["start"]);
  assertEquals(bench.nft.elements().filter((line) => line.startsWith("service")), [
    "service-ips-4 10.96.0.10 . tcp . 80 : 4c51:1",
    "service-ips-4 10.96.1.7 . tcp . 80 : 4c51:1",
  ]);
});

Deno.test("drift is found at the long interval, mended, and told", async () => {
  await using bench = new Bench();
  await bench.started(servicePort());
  await bench.timers.advance(599_999);
  assertEquals(bench.nft.listings, 1);
  await bench.timers.advance(1);
  assertEquals([bench.nft.listings, bench.nft.applied.length, bench.drifts.length], [2, 1, 0]);
  bench.nft.table?.containers.get("service-ips-4")?.elements.clear();
  await bench.timers.advance(600_000);
  assertEquals(bench.drifts, [1]);
  assert(bench.lines.some((line) => line.includes("missing: service-ips-4 10.96.0.10 . tcp . 80")));
  bench.nft.table = undefined;
  await bench.timers.advance(600_000);
  assertEquals(bench.drifts, [1, 1]);
  assertEquals(bench.nft.elements().length, 6);
  assertEquals(bench.applied.map(({ kind }) => kind), ["start", "resync", "resync", "resync"]);
});

/** Sees that there is no table. */
function seeIfGone(nft: FakeNft): Promise<string | undefined> {
  return Promise.resolve(nft.table === undefined ? "the table is gone" : undefined);
}

Deno.test("what a look sees is mended at once, and told", async () => {
  await using bench = new Bench(() => {}, seeIfGone);
  await bench.started(servicePort());
  await bench.timers.advance(10_000);
  assertEquals(
    [bench.nft.listings, bench.nft.applied.length],
    [1, 1],
    "looks that see nothing cost no listing",
  );
  bench.nft.table = undefined;
  await bench.timers.advance(999);
  assertEquals(bench.nft.listings, 1);
  await bench.timers.advance(1);
  assertEquals([bench.nft.listings, bench.drifts, bench.nft.elements().length], [2, [1], 6]);
  assert(bench.lines.some((line) => line.includes("missing: the table")));
});

Deno.test("what a look sees is mended between changes that succeed", async () => {
  await using bench = new Bench(
    () => {},
    // Changes of elements succeed there.
    (nft) => Promise.resolve(nft.table?.chains.get("services")?.rules.length === 0 ? "no rules" : undefined),
  );
  await bench.started(servicePort());
  bench.nft.table?.chains.get("services")?.rules.splice(0);
  for (let second = 0; second < 10 && bench.drifts.length === 0; second++) {
    const [before, after] = second % 2 === 0
      ? [undefined, servicePort({ name: "x", vips: ["10.96.0.11 80"] })]
      : [
        servicePort({ name: "x", vips: ["10.96.0.11 80"] }),
        undefined,
      ];
    bench.redirector.update(changes([before, after]));
    await bench.timers.advance(300);
  }
  assertEquals(bench.drifts.length, 1);
});

Deno.test("looks that prove wrong become rarer, and are told", async () => {
  await using bench = new Bench(() => {}, () => Promise.resolve("it looks strange"));
  await bench.started(servicePort());
  await bench.timers.advance(1_000);
  assertEquals(bench.nft.listings, 2);
  await bench.timers.advance(1_999);
  assertEquals(bench.nft.listings, 2);
  for (const ms of [1, 4_000, 8_000]) await bench.timers.advance(ms);
  assertEquals([bench.nft.listings, bench.drifts], [5, []]);
  assert(bench.lines.some((line) => line.includes("holds what it should") && line.includes("strange")));
});

Deno.test("a table that a change finds gone counts as somebody else's doing", async () => {
  await using bench = new Bench();
  await bench.started(servicePort());
  bench.nft.table = undefined;
  bench.redirector.update(changes([undefined, servicePort({ name: "x", vips: ["10.96.0.11 80"] })]));
  await settle();
  await bench.timers.advance(0);
  assertEquals(bench.drifts, [1]);
});

Deno.test("a refused element is named and left out, at each comparison again; it is no drift", async () => {
  await using bench = new Bench();
  bench.nft.refusedTexts.add("10.96.0.10 . tcp . 80 : 4c51:1");
  await bench.started(servicePort(), servicePort({ name: "good", vips: ["10.96.0.11 80"] }));
  const complaints = (): number => bench.lines.filter((line) => line.includes("ERROR")).length;
  assertEquals(complaints(), 1);
  assert(bench.lines.some((line) => line.includes('key="10.96.0.10 . tcp . 80"')));
  assert(bench.nft.elements().includes("service-ips-4 10.96.0.11 . tcp . 80 : 4c51:1"));
  await bench.timers.advance(600_000);
  assertEquals([complaints(), bench.drifts.length], [2, 0]);
});

Deno.test("the end finishes the transaction that runs, leaves the table, and answers waiters", async () => {
  const bench = new Bench();
  await bench.started(servicePort());
  const gate = Promise.withResolvers<void>();
  bench.nft.beforeApply = () => gate.promise;
  const added = servicePort({ name: "b", vips: ["10.96.0.2 80"] });
  bench.redirector.update(changes([undefined, added]));
  await settle();
  const flushed = bench.redirector.flushed();
  bench.redirector.update(changes([added, undefined]));
  const refused = assertRejects(() => bench.redirector.flushed(), Error, "ended before");
  const ended = bench[Symbol.asyncDispose]();
  gate.resolve();
  await ended;
  await flushed;
  await refused;
  await assertRejects(() => bench.redirector.flushed(), Error, "ended before");
  assertEquals(bench.nft.elements().length, 9);
});

Deno.test("random changes, random faults: the kernel ends up as a rebuild would", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new Random(seed);
    const model = new RandomPorts(random);
    await using bench = new Bench();
    bench.nft.beforeApply = () =>
      random.chance(0.2)
        ? Promise.reject(
          new RedirectError("no", {
            kind: random.pick(["busy", "timeout", "unknown", "exists", "permission"]),
          }),
        )
        : Promise.resolve();
    bench.redirector.start(model, NODE);
    for (let step = 0; step < 60; step++) {
      bench.redirector.update(model.step());
      if (random.chance(0.5)) await settle();
      if (random.chance(0.1)) bench.nft.table?.containers.get("service-ips-4")?.elements.clear();
      if (random.chance(0.3)) await bench.timers.advance(random.integer(0, 3_000));
    }
    bench.nft.beforeApply = () => Promise.resolve();
    // Once more past the long interval, for what was cleared behind the redirector's back.
    await bench.timers.advance(5_000);
    await bench.timers.advance(700_000);
    await bench.redirector.flushed();
    const rebuilt = new FakeNft();
    const plan = [
      ...planNode({ addresses: NODE, envoyReady: true }),
      ...[...model.servicePorts()].flatMap(planServicePort),
    ];
    await rebuilt.apply(renderReplacement(createLayout(PORTS), diffPlans([], plan).add));
    assertEquals(bench.nft.elements(), rebuilt.elements(), `seed ${seed}`);
  }
});

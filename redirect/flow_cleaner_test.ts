import { assertEquals } from "@std/assert/equals";
import { createLogger, silentLogger } from "../agent/log.ts";
import type { IPFamily, ServicePort } from "../agent/model/mod.ts";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import { ConntrackError } from "./conntrack.ts";
import { FlowCleaner } from "./flow_cleaner.ts";
import { withEndpoints } from "./testing/endpoints.ts";
import { FakeConntrack } from "./testing/fake_conntrack.ts";
import { ManualTimers, settle } from "./testing/manual_timers.ts";
import { flowTo } from "./testing/udp_flows.ts";

const VIP = "10.96.0.10 53";
const [A, B] = ["10.244.0.5 5353", "10.244.0.6 5353"];
const NODE = { IPv4: ["192.168.77.2"], IPv6: [] };

function dns(...endpoints: readonly string[]): ServicePort {
  return withEndpoints(servicePort({ protocol: "UDP", vips: [VIP], nodePort: 30053 }), endpoints);
}

/** A cleaner that runs, with a model of one ServicePort and a kernel that takes changes at once, unless told otherwise. */
class RunningCleaner implements AsyncDisposable {
  readonly conntrack = new FakeConntrack();
  readonly timers = new ManualTimers();
  readonly log: string[] = [];
  readonly events: unknown[] = [];
  flushed: () => Promise<void> = () => Promise.resolve();
  now: ServicePort | undefined;
  readonly cleaner: FlowCleaner;
  readonly #end = new AbortController();
  readonly #running: Promise<void>;

  constructor(now: ServicePort | undefined, families: readonly IPFamily[] = ["IPv4"]) {
    this.now = now;
    const owner = (protocol: string | undefined): ServicePort | undefined =>
      this.now?.name.protocol === protocol ? this.now : undefined;
    this.cleaner = new FlowCleaner({
      conntrack: this.conntrack,
      view: {
        servicePorts: () => this.now === undefined ? [] : [this.now],
        vipOwner: (address, _, protocol) => address === "10.96.0.10" ? owner(protocol) : undefined,
        nodePortOwner: (_, port, protocol) => port === 30053 ? owner(protocol) : undefined,
      },
      families,
      flushed: () => this.flushed(),
      timers: this.timers,
      logger: createLogger({ level: "info", format: "text", write: (line) => this.log.push(line) }),
      observer: {
        onCleaned: ({ family, deleted }) => this.events.push([family, deleted]),
        onFailed: ({ kind }) => this.events.push(kind),
      },
    });
    this.#running = this.cleaner.run(this.#end.signal);
  }

  /** Starts it, and lets the pass of the start and the pause after it go by. */
  async start(): Promise<void> {
    this.cleaner.start(NODE);
    await settle();
    await this.timers.advance(1_000);
  }

  /** The flows that are left, by who answers them. */
  get answeredBy(): string[] {
    return this.conntrack.flows.map(({ answeredBy: { address, port } }) => `${address} ${port}`);
  }

  change(after: ServicePort | undefined): void {
    const before = this.now;
    this.now = after;
    this.cleaner.update(new Map([["dns", { before, after }]]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#running;
  }
}

Deno.test("FlowCleaner deletes stale flows after a change, and lets the others be", async () => {
  await using running = new RunningCleaner(dns(A, B));
  running.conntrack.flows = [flowTo(VIP, A), flowTo(VIP, B), flowTo("8.8.8.8 53", "8.8.8.8 53")];
  running.cleaner.start(NODE);
  await settle();
  assertEquals(running.events, [["IPv4", 0]]);
  running.change(dns(A));
  await running.timers.advance(1_000);
  assertEquals(running.answeredBy, [A, "8.8.8.8 53"]);
  assertEquals(running.events.slice(1), [["IPv4", 1]]);
});

Deno.test("FlowCleaner passes over the table only for changes that leave flows behind, a second apart at least", async () => {
  await using running = new RunningCleaner(dns(A));
  running.cleaner.start(NODE);
  await settle();
  for (const next of [dns(A, B), dns(A, B, "10.244.0.7 5353")]) running.change(next);
  await running.timers.advance(5_000);
  assertEquals(running.conntrack.readings, 1);
  running.change(dns(A));
  await settle();
  assertEquals(running.conntrack.readings, 2, "at once");
  for (const next of [dns(B), dns(A), dns(B)]) {
    running.change(next);
    await running.timers.advance(300);
  }
  assertEquals(running.conntrack.readings, 2);
  await running.timers.advance(100);
  assertEquals(running.conntrack.readings, 3, "all of them together");
  await running.timers.advance(5_000);
  assertEquals(running.conntrack.readings, 3);
});

Deno.test("FlowCleaner looks again after it has deleted something: a flow may have been made anew meanwhile", async () => {
  await using running = new RunningCleaner(dns(A, B));
  await running.start();
  running.conntrack.flows = [flowTo(VIP, A)];
  running.change(dns(B));
  await settle();
  assertEquals(running.answeredBy, []);
  running.conntrack.flows = [flowTo(VIP, A)];
  await running.timers.advance(1_000);
  assertEquals(running.answeredBy, []);
  await running.timers.advance(5_000);
  assertEquals(running.events, [["IPv4", 0], ["IPv4", 1], ["IPv4", 1], ["IPv4", 0]]);
});

Deno.test("FlowCleaner takes half of the time at most, however long a pass takes", async () => {
  await using running = new RunningCleaner(dns(A));
  const read = Promise.withResolvers<void>();
  running.conntrack.onRead = async () => {
    await running.timers.advance(5_000);
    read.resolve();
  };
  running.cleaner.start(NODE);
  await read.promise;
  await settle();
  assertEquals([running.conntrack.readings, running.timers.nextMs], [1, 5_000]);
});

Deno.test("FlowCleaner waits until a change is in the kernel", async () => {
  await using running = new RunningCleaner(dns(A, B));
  running.conntrack.flows = [flowTo(VIP, B)];
  await running.start();
  const { promise, resolve } = Promise.withResolvers<void>();
  running.flushed = () => promise;
  running.change(dns(A));
  await settle();
  assertEquals(running.conntrack.readings, 1);
  resolve();
  await settle();
  assertEquals(running.answeredBy, []);
});

Deno.test("FlowCleaner spares a flow whose endpoint comes back while the table is read", async () => {
  await using running = new RunningCleaner(dns(A, B));
  await running.start();
  running.conntrack.flows = [flowTo(VIP, A), flowTo(VIP, B)];
  running.conntrack.onRead = () => {
    running.conntrack.onRead = () => {};
    running.change(dns(A, B));
  };
  running.change(dns(A));
  await settle();
  assertEquals([running.conntrack.readings, ...running.answeredBy], [2, A, B]);
});

Deno.test("FlowCleaner looks everywhere at a start and when the node's addresses change, if there is UDP at all", async () => {
  await using running = new RunningCleaner(undefined);
  running.conntrack.flows = [flowTo("192.168.77.3 30053", "192.168.77.3 30053")];
  await running.start();
  assertEquals(running.conntrack.readings, 0);
  running.now = servicePort();
  running.cleaner.setNodeAddresses(NODE);
  await running.timers.advance(1_000);
  assertEquals(running.conntrack.readings, 0);
  running.now = dns(A);
  running.cleaner.setNodeAddresses(NODE);
  await running.timers.advance(1_000);
  assertEquals(running.events, [["IPv4", 0]]);
  running.cleaner.setNodeAddresses({ IPv4: ["192.168.77.2", "192.168.77.3"], IPv6: [] });
  await running.timers.advance(1_000);
  assertEquals(running.answeredBy, []);
});

Deno.test("FlowCleaner looks at every family it serves", async () => {
  await using running = new RunningCleaner(dns(A), ["IPv4", "IPv6"]);
  running.cleaner.start(NODE);
  await settle();
  assertEquals(running.events, [["IPv4", 0], ["IPv6", 0]]);
});

Deno.test("FlowCleaner says once what is wrong, tries again, and then deletes what it could not", async () => {
  await using running = new RunningCleaner(dns(A, B));
  running.conntrack.flows = [flowTo(VIP, B)];
  running.conntrack.error = new ConntrackError("no program", { kind: "missing-binary" });
  running.cleaner.start(NODE);
  await settle();
  running.change(dns(A));
  const waits: (number | undefined)[] = [];
  for (let attempt = 0; attempt < 8; attempt++) {
    waits.push(running.timers.nextMs);
    await running.timers.advance(running.timers.nextMs ?? 0);
  }
  assertEquals(waits, [2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1_000));
  assertEquals(running.events, Array(9).fill("missing-binary"));
  assertEquals(running.log.length, 1);
  running.conntrack.error = undefined;
  await running.timers.advance(60_000);
  assertEquals(running.answeredBy, []);
  assertEquals(running.log.length, 2);
});

Deno.test("FlowCleaner ends when the redirect ends before its changes are in the kernel", async () => {
  const conntrack = new FakeConntrack();
  const cleaner = new FlowCleaner({
    conntrack,
    view: { servicePorts: () => [dns(A)], vipOwner: () => undefined, nodePortOwner: () => undefined },
    families: ["IPv4"],
    flushed: () => Promise.reject(new Error("ended")),
    logger: silentLogger,
  });
  cleaner.start(NODE);
  await cleaner.run(new AbortController().signal);
  assertEquals(conntrack.readings, 0);
});

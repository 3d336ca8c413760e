import { assertEquals } from "@std/assert/equals";
import type { ObjectEvent, Service } from "../agent/kube/mod.ts";
import { service, slice } from "../agent/model/testing/objects.ts";
import { ManualTimers } from "../redirect/testing/manual_timers.ts";
import { MovingServices } from "./moving_services.ts";

const OURS = "lightpath.cloud";

function own(fields: Partial<Service> = {}): Service {
  return service({ proxyName: OURS, annotations: { "config.lightpath.cloud/num-retries": "1" }, ...fields });
}

function apply(object: Service): ObjectEvent {
  return { type: "apply", object };
}

function gone(name: string): ObjectEvent {
  return { type: "delete", kind: "Service", namespacedName: `default/${name}` };
}

/** What came out, in a word each. */
function words(event: ObjectEvent): string {
  if (event.type === "delete") return `delete ${event.namespacedName}`;
  const { kind, namespacedName } = event.object;
  if (kind !== "Service") return `${kind} ${namespacedName}`;
  const { proxyName, annotations } = event.object;
  return `apply ${namespacedName} of ${proxyName || "nobody"} ${Object.entries(annotations).join()}`;
}

class Bench implements Disposable {
  readonly timers = new ManualTimers();
  readonly said: string[] = [];
  readonly leaving = new MovingServices({
    sink: {
      take: (events) => void this.said.push(...events.map(words), "."),
      synced: () => void this.said.push("synced"),
    },
    serviceProxyName: OURS,
    timers: this.timers,
  });

  /** What comes out of these at once. */
  take(...events: readonly ObjectEvent[]): string[] {
    this.leaving.take(events);
    return this.said.splice(0);
  }

  /** What comes out as time passes. */
  async after(ms: number): Promise<string[]> {
    await this.timers.advance(ms);
    return this.said.splice(0);
  }

  [Symbol.dispose](): void {
    this.leaving[Symbol.dispose]();
  }
}

const SERVED = "apply default/echo of lightpath.cloud config.lightpath.cloud/num-retries,1";
const BY_THE_KERNEL = "apply default/echo of lightpath.cloud lightpath.cloud/path,kernel";

function synced(...events: readonly ObjectEvent[]): Bench {
  const bench = new Bench();
  bench.leaving.take(events);
  bench.leaving.synced();
  bench.said.length = 0;
  return bench;
}

Deno.test("a Service that leaves is the kernel's for a while, whichever way that is said, and then goes", async () => {
  for (
    const [event, end] of [
      [gone("echo"), "delete default/echo"],
      [apply(service({ proxyName: "" })), "apply default/echo of nobody "],
    ] as const
  ) {
    using bench = synced(apply(own()));
    assertEquals(bench.take(event), [BY_THE_KERNEL, "."]);
    assertEquals(bench.take(apply(service({ proxyName: "example.com" }))), []);
    assertEquals(bench.take(event), []);
    assertEquals(await bench.after(9_999), []);
    assertEquals(await bench.after(1), [end, "."]);
    assertEquals(bench.timers.nextMs, undefined);
    assertEquals(bench.take(event), [end, "."], "nobody's any more");
  }
});

Deno.test("one that comes back stays, and what else is said passes", async () => {
  using bench = synced(apply(own()));
  assertEquals(bench.take(gone("echo"), { type: "apply", object: slice() }), [
    BY_THE_KERNEL,
    `EndpointSlice ${slice().namespacedName}`,
    ".",
  ]);
  assertEquals(bench.take(apply(own())), [SERVED, "."]);
  assertEquals(await bench.after(60_000), []);
});

Deno.test("a Service that comes is the kernel's first, as a change of its own", () => {
  using bench = synced();
  const foreign = apply(service({ name: "other", namespacedName: "default/other", proxyName: "" }));
  assertEquals(bench.take(foreign, apply(own()), { type: "apply", object: slice() }), [
    "apply default/other of nobody ",
    BY_THE_KERNEL,
    ".",
    SERVED,
    `EndpointSlice ${slice().namespacedName}`,
    ".",
  ]);
  assertEquals(bench.take(apply(own())), [SERVED, "."], "it is here already");
});

Deno.test("one whose address or NodePort is another's now goes at once", async () => {
  const ports = own().ports.map((port) => ({ ...port, nodePort: 30_080 }));
  for (
    const heir of [
      own({ name: "heir", namespacedName: "default/heir" }),
      own({ name: "heir", namespacedName: "default/heir", clusterIPs: ["10.96.0.99"], ports }),
    ]
  ) {
    using bench = synced(apply(own({ ports })));
    bench.take(gone("echo"));
    const said = bench.take(apply(heir)).map((word) => word.split(" of ")[0]);
    assertEquals(said, ["delete default/echo", "apply default/heir", ".", "apply default/heir", "."]);
    assertEquals(await bench.after(60_000), []);
  }
});

Deno.test("nothing waits before the first state is complete, nor at the end", async () => {
  const bench = new Bench();
  assertEquals(bench.take(apply(own()), gone("echo")), [SERVED, "delete default/echo", "."]);
  bench.leaving.synced();
  bench.take(apply(own()), gone("echo"));
  bench[Symbol.dispose]();
  assertEquals(await bench.after(60_000), []);
});

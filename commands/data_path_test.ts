/** The way of a change with a real ADS server and a scripted client; nft is in memory, so that what it gets can be counted. */
import { assertEquals } from "@std/assert/equals";
import type { KubeObject, ObjectEvent } from "../agent/kube/mod.ts";
import { silentLogger } from "../agent/log.ts";
import { createMetrics } from "../agent/metrics.ts";
import { ServiceModel, type ServicePort } from "../agent/model/mod.ts";
import { endpoint, portSpec, service, slice } from "../agent/model/testing/objects.ts";
import { createProblemReporter } from "../agent/problems.ts";
import { createProxyHealthTracker } from "../agent/proxy_health.ts";
import { createNftablesBackend, createRedirector, FlowCleaner, type Redirector } from "../redirect/mod.ts";
import { FakeConntrack } from "../redirect/testing/fake_conntrack.ts";
import { FakeNft } from "../redirect/testing/fake_nft.ts";
import { ManualTimers } from "../redirect/testing/manual_timers.ts";
import { type AdsServer, createAdsServer, ResourceStore } from "../xds/mod.ts";
import { DeltaClient } from "../xds/testing/delta_client.ts";
import { observeEnvoys } from "./observe_envoys.ts";
import { DataPath } from "./data_path.ts";

/** What one change made the program do. */
interface Cost {
  /** Resources translated and encoded. */
  translated: number;
  /** Resources sent, and their bytes. */
  sent: number;
  bytes: number;
  /** Map elements written. */
  added: number;
  deleted: number;
  /** ServicePorts visited by walks over all of them. */
  walked: number;
  /** Listings of the kernel's table. */
  listings: number;
  /** Readings of the connections it tracks. */
  readings: number;
}

const NO_COST: Cost = {
  translated: 0,
  sent: 0,
  bytes: 0,
  added: 0,
  deleted: 0,
  walked: 0,
  listings: 0,
  readings: 0,
};
const NODE = { IPv4: ["192.0.2.10"], IPv6: [] } as const;
const USED = 10;
/** The names the test itself asks for begin like this. */
const MARKER = "203.0.113.1:";

/** Counts what is walked. */
class CountingModel extends ServiceModel {
  walked = 0;

  override *servicePorts(): Generator<ServicePort> {
    for (const servicePort of super.servicePorts()) {
      this.walked++;
      yield servicePort;
    }
  }
}

function vipOf(index: number): string {
  return `10.96.${index >> 8}.${index & 255}`;
}

function serviceAt(index: number, port = 80, nodePort = 0): KubeObject {
  return service({ name: `s${index}`, clusterIPs: [vipOf(index)], ports: [portSpec({ port, nodePort })] });
}

function sliceAt(index: number, ...addresses: readonly string[]): KubeObject {
  return slice({
    name: `s${index}-1`,
    serviceName: `s${index}`,
    endpoints: addresses.map((address) => endpoint(address, { nodeName: "node-2" })),
  });
}

const DNS = service({
  name: "dns",
  clusterIPs: ["10.97.0.53"],
  ports: [portSpec({ protocol: "UDP", port: 53 })],
});

function dnsSlice(...addresses: readonly string[]): KubeObject {
  return slice({
    name: "dns-1",
    serviceName: "dns",
    ports: [{ name: "http", protocol: "UDP", port: 5353 }],
    endpoints: addresses.map((address) => endpoint(address, { nodeName: "node-2" })),
  });
}

function apply(...objects: readonly KubeObject[]): ObjectEvent[] {
  return objects.map((object) => ({ type: "apply", object }));
}

/** A node of a cluster of so many Services, of which one Envoy uses the first few. */
class CountedNode implements AsyncDisposable {
  readonly #model = new CountingModel({ serviceProxyName: "", families: ["IPv4"] }, { nodeName: "node-1" });
  readonly #nft = new FakeNft();
  readonly #conntrack = new FakeConntrack();
  readonly #cleaning = new ManualTimers();
  readonly #end = new AbortController();
  readonly #disposing = new AsyncDisposableStack();
  #cost: Cost = { ...NO_COST };
  #markers = 0;
  #path!: DataPath;
  #ads!: AdsServer;
  #redirector!: Redirector;
  #envoy!: DeltaClient;

  static async start(services: number): Promise<CountedNode> {
    const node = new CountedNode();
    await node.#start(services);
    return node;
  }

  /** Hands a batch over, waits until Envoy and kernel have it, and says what that took. */
  costOf(events: readonly ObjectEvent[]): Promise<Cost> {
    return this.#costOf(() => this.#path.take(events));
  }

  /** The same of another zone of the node. */
  costOfZone(zone: string): Promise<Cost> {
    return this.#costOf(() => this.#path.setZone(zone));
  }

  async #costOf(act: () => void): Promise<Cost> {
    this.#cost = { ...NO_COST };
    this.#model.walked = 0;
    const { listings } = this.#nft;
    const { readings } = this.#conntrack;
    act();
    await this.#settle();
    return {
      ...this.#cost,
      walked: this.#model.walked,
      listings: this.#nft.listings - listings,
      readings: this.#conntrack.readings - readings,
    };
  }

  async #start(services: number): Promise<void> {
    const directory = await Deno.makeTempDir({ prefix: "lightpath-data-path-" });
    this.#disposing.defer(() => Deno.remove(directory, { recursive: true }));
    const families = ["IPv4"] as const;
    const metrics = createMetrics({ families, build: { version: "", envoyVersion: "", mode: "" } });
    const store = new ResourceStore({
      view: this.#model,
      nodeAddresses: NODE,
      onTranslate: () => void this.#cost.translated++,
    });
    this.#redirector = createRedirector({
      backend: createNftablesBackend({ nft: this.#nft, ports: { tcp: 1666, http: 1667 } }),
      logger: silentLogger,
      observer: {
        onApplied: ({ elementsAdded, elementsDeleted }) => {
          this.#cost.added += elementsAdded;
          this.#cost.deleted += elementsDeleted;
        },
      },
    });
    const flows = new FlowCleaner({
      conntrack: this.#conntrack,
      view: this.#model,
      families,
      flushed: () => this.#redirector.flushed(),
      logger: silentLogger,
      timers: this.#cleaning,
    });
    this.#path = new DataPath({
      model: this.#model,
      store,
      redirector: this.#redirector,
      flows,
      nodeAddresses: NODE,
      hasTaken: (clusters) => this.#ads.hasTaken(clusters),
      problems: createProblemReporter({ logger: silentLogger, counter: metrics }),
      metrics,
      health: createProxyHealthTracker({ families }),
      serviceHealth: { update: () => {}, setNodeAddresses: () => {} },
      logger: silentLogger,
      onSynced: () => {},
    });
    const address = `unix:${directory}/ads.sock`;
    this.#ads = await createAdsServer({
      source: store,
      address,
      logger: silentLogger,
      observer: observeEnvoys({
        metrics: metrics.xds,
        readiness: { met: () => {}, unmet: () => {} } as never,
        workingSet: { used: () => {}, held: () => {} },
        logger: silentLogger,
        adsAddress: address,
        onProgress: () => this.#path.envoyProgressed(),
      }),
    });
    const running = Promise.all([this.#redirector.run(this.#end.signal), flows.run(this.#end.signal)]);
    this.#disposing.defer(async () => void await running);
    for (let index = 0; index < services; index++) {
      this.#path.take(apply(serviceAt(index), sliceAt(index, "10.244.0.5", "10.244.0.6")));
    }
    this.#path.take(apply(DNS, dnsSlice("10.244.0.5", "10.244.0.6")));
    this.#path.synced();
    this.#envoy = DeltaClient.connect(address);
    const used = Array.from({ length: USED }, (_, index) => index);
    this.#envoy.send("Cluster", { subscribe: used.map((index) => `${vipOf(index)}:80`) });
    this.#envoy.send("ClusterLoadAssignment", {
      subscribe: used.map((index) => `default/s${index}:http/IPv4`),
    });
    await this.#settle();
    if (this.#cost.sent < 2 * USED) throw new Error(`only ${this.#cost.sent} resources came`);
  }

  /** Until Envoy has taken all there was for it, and the kernel has what waited for that. */
  async #settle(): Promise<void> {
    // A second time, because an answer may cause another one.
    await this.#drain();
    await this.#drain();
    await this.#redirector.flushed();
    // Longer than the cleaner pauses between two passes.
    await this.#cleaning.advance(1_000);
  }

  /**
   * Asks for names that nobody has, and acknowledges until they are answered: then all that was to be sent before has come,
   * and all that was acknowledged before has been read.
   */
  async #drain(): Promise<void> {
    const number = ++this.#markers;
    const markers = new Set([`${MARKER}${number}`, `default/marker:p${number}/TCP/IPv4`]);
    const [cluster = "", assignment = ""] = markers;
    this.#envoy.send("Cluster", { subscribe: [cluster] });
    this.#envoy.send("ClusterLoadAssignment", { subscribe: [assignment] });
    while (markers.size > 0) {
      const response = await this.#envoy.next();
      for (const { name, resource } of response.resources) {
        if (markers.delete(name)) continue;
        this.#cost.sent++;
        this.#cost.bytes += resource?.value.length ?? 0;
      }
      this.#envoy.ack(response);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#envoy.close();
    this.#path[Symbol.dispose]();
    await this.#ads.close();
    this.#end.abort();
    await this.#disposing.disposeAsync();
  }
}

/** Changes in the order in which they happen, by what they are. */
const CHANGES: readonly (readonly [what: string, events: readonly ObjectEvent[]])[] = [
  ["an endpoint of a used Service", apply(sliceAt(1, "10.244.0.5", "10.244.0.7"))],
  ["an endpoint of a Service that is not used", apply(sliceAt(20, "10.244.0.5", "10.244.0.7"))],
  ["the port of a used Service", apply(serviceAt(2, 8080))],
  ["the last endpoint of a used Service goes", apply(sliceAt(3))],
  ["the first endpoint of a used Service comes", apply(sliceAt(3, "10.244.0.9"))],
  ["a used Service goes", [{ type: "delete", kind: "Service", namespacedName: "default/s4" }]],
  ["a used Service comes back", apply(serviceAt(4))],
  ["a NodePort comes", apply(serviceAt(5, 80, 30_080))],
  [
    "another Service asks for a VIP that is taken",
    apply(
      service({
        name: "late",
        clusterIPs: ["10.97.0.1"],
        externalIPs: [vipOf(6)],
        creationTimestampMs: 9_000,
      }),
    ),
  ],
  ["an endpoint of a UDP Service comes", apply(dnsSlice("10.244.0.5", "10.244.0.6", "10.244.0.7"))],
  ["an endpoint of a UDP Service goes", apply(dnsSlice("10.244.0.5", "10.244.0.6"))],
  ["nothing that is served", apply(sliceAt(7, "10.244.0.6", "10.244.0.5"))],
];

Deno.test("another zone of the node costs what asks for zones, and the same zone nothing", async () => {
  await using node = await CountedNode.start(40);
  const asking = slice({
    name: "s0-1",
    serviceName: "s0",
    endpoints: ["a", "b"].map((zone, index) =>
      endpoint(`10.244.0.${index + 1}`, { nodeName: "node-2", zone, hintedZones: [zone] })
    ),
  });
  await node.costOf(apply(asking));
  const costs: Record<string, Omit<Cost, "bytes">> = {};
  for (const zone of ["a", "b", "c"]) {
    const { bytes: _, ...cost } = await node.costOfZone(zone);
    costs[zone] = cost;
    assertEquals(await node.costOfZone(zone), NO_COST);
  }
  assertEquals(costs, {
    // That some may be nearer than others is part of the Cluster.
    "a": { ...COUNT, translated: 2, sent: 2, added: 1, deleted: 2 },
    "b": { ...COUNT, translated: 1, sent: 1, added: 1, deleted: 1 },
    // Nobody is there: all endpoints again.
    "c": { ...COUNT, translated: 1, sent: 1, added: 3, deleted: 2 },
  });
});

Deno.test("what a change costs does not depend on the number of Services", async () => {
  const costs: Record<string, Cost>[] = [];
  for (const services of [40, 400, 4_000]) {
    await using node = await CountedNode.start(services);
    const costOf: Record<string, Cost> = {};
    for (const [what, events] of CHANGES) costOf[what] = await node.costOf(events);
    costs.push(costOf);
  }
  const [few = {}, more, most] = costs;
  assertEquals(more, few);
  assertEquals(most, few);
  const counted = Object.entries(few).map(([what, { bytes: _, ...cost }]) => [what, cost]);
  assertEquals(Object.fromEntries(counted), {
    "an endpoint of a used Service": { ...COUNT, translated: 1, sent: 1, added: 1, deleted: 1 },
    "an endpoint of a Service that is not used": { ...COUNT, added: 1, deleted: 1 },
    // The Cluster without owner is encoded too, but not kept, and so not counted.
    // The destination, and its two endpoints.
    "the port of a used Service": { ...COUNT, sent: 1, added: 3, deleted: 3 },
    "the last endpoint of a used Service goes": { ...COUNT, translated: 1, sent: 1, added: 1, deleted: 3 },
    "the first endpoint of a used Service comes": { ...COUNT, translated: 1, sent: 1, added: 2, deleted: 1 },
    // And its address.
    "a used Service goes": { ...COUNT, sent: 2, deleted: 4 },
    "a used Service comes back": { ...COUNT, translated: 2, sent: 2, added: 4 },
    "a NodePort comes": { ...COUNT, added: 4 },
    "another Service asks for a VIP that is taken": { ...COUNT, added: 2 },
    // The endpoint, the class of the destination, and a place that falls to another.
    "an endpoint of a UDP Service comes": { ...COUNT, added: 3, deleted: 2 },
    "an endpoint of a UDP Service goes": { ...COUNT, added: 2, deleted: 3, readings: 1 },
    "nothing that is served": COUNT,
  });
});

const { bytes: _, ...COUNT } = NO_COST;

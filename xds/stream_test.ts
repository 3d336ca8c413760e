import { assertEquals } from "@std/assert/equals";
import { createLogger } from "../agent/log.ts";
import { DeltaDiscoveryRequest, type DeltaDiscoveryResponse } from "../protos/mod.ts";
import { type DeltaCall, DeltaStream, type StreamEnd } from "./stream.ts";
import type { StreamObserver } from "./stream_observer.ts";
import { type ScriptedRequest, versionsOf } from "./testing/delta_client.ts";
import { MemorySource } from "./testing/memory_source.ts";
import { TYPE_URLS, type XdsType } from "./type_urls.ts";
import { wildcardMetadata } from "./wildcard_scope.ts";

/** A call that takes responses into a list and is full when told to be. */
class FakeCall implements DeltaCall {
  readonly sent: DeltaDiscoveryResponse[] = [];
  full = false;
  ended: StreamEnd | undefined;
  drain: () => void = () => {};

  send(response: DeltaDiscoveryResponse): boolean {
    this.sent.push(response);
    return !this.full;
  }

  onDrain(listener: () => void): void {
    this.drain = listener;
  }

  end(end: StreamEnd): void {
    this.ended = end;
  }
}

/** A stream under test with everything around it. */
class Setup {
  readonly source: MemorySource;
  readonly call: FakeCall = new FakeCall();
  readonly lines: string[] = [];
  readonly stream: DeltaStream;
  nowMs = 0;

  constructor(options: { readonly source?: MemorySource; readonly observer?: StreamObserver } = {}) {
    this.source = options.source ?? new MemorySource();
    this.stream = new DeltaStream({
      streamId: 7,
      call: this.call,
      source: this.source,
      observer: options.observer ?? {},
      logger: createLogger({
        level: "debug",
        format: "text",
        write: (line) => this.lines.push(line),
        now: () => 0,
      }),
      now: () => this.nowMs,
      maxResponseBytes: 1024 * 1024,
    });
  }

  /** Hands over a request and lets the turn end. */
  async request(
    type: XdsType,
    request: ScriptedRequest = {},
    node: { readonly id: string; readonly metadata?: Record<string, unknown> } = { id: "node-a" },
  ): Promise<void> {
    this.stream.receive(DeltaDiscoveryRequest.fromPartial({
      node: {
        ...node,
        userAgentBuildVersion: { version: { majorNumber: 1, minorNumber: 40, patch: 2 } },
      },
      typeUrl: TYPE_URLS[type],
      resourceNamesSubscribe: [...request.subscribe ?? []],
      resourceNamesUnsubscribe: [...request.unsubscribe ?? []],
      initialResourceVersions: { ...request.initialVersions },
      responseNonce: request.nonce ?? "",
      ...(request.error === undefined ? {} : { errorDetail: { message: request.error } }),
    }));
    await turn();
  }

  /** What was sent since the last call, one line per response. */
  heard(): string[] {
    return this.call.sent.splice(0).map((response) => {
      const type = response.typeUrl.split(".").at(-1);
      const versions = Object.entries(versionsOf(response)).map(([name, version]) => `${name}@${version}`);
      return [
        `${response.nonce} ${type}`,
        ...versions,
        ...response.removedResources.map((name) => `-${name}`),
      ]
        .join(" ");
    });
  }
}

/** Lets everything run that this turn of the event loop has scheduled. */
function turn(): Promise<void> {
  return new Promise((resolve) => queueMicrotask(resolve));
}

Deno.test("DeltaStream puts the stored bytes into the response as they are", async () => {
  const setup = new Setup();
  const bytes = new Uint8Array([1, 2, 3]);
  setup.source.set("Cluster", "a", { version: "1", bytes });
  await setup.request("Cluster", { subscribe: ["a"] });
  const response = setup.call.sent[0]!;
  assertEquals(response.typeUrl, TYPE_URLS.Cluster);
  assertEquals(response.resources[0]?.resource?.typeUrl, TYPE_URLS.Cluster);
  assertEquals(response.resources[0]?.resource?.value === bytes, true);
});

Deno.test("DeltaStream sends what happens within one turn together", async () => {
  const setup = new Setup();
  await setup.request("Cluster", {});
  await setup.request("Cluster", { nonce: "7.1" });
  assertEquals(setup.heard(), ["7.1 Cluster"]);
  setup.source.set("Cluster", "a", "1");
  setup.source.set("Cluster", "a", "2");
  setup.source.set("Cluster", "b", "1");
  assertEquals(setup.heard(), []);
  await turn();
  assertEquals(setup.heard(), ["7.2 Cluster a@2 b@1"]);
});

Deno.test("DeltaStream: a flight of one type does not hold back another", async () => {
  const setup = new Setup();
  await setup.request("Cluster", { subscribe: ["a"] });
  await setup.request("ClusterLoadAssignment", { subscribe: ["e"] });
  assertEquals(setup.heard(), ["7.1 Cluster a@absent", "7.2 ClusterLoadAssignment e@absent"]);
  setup.source.set("Cluster", "a", "1");
  setup.source.set("ClusterLoadAssignment", "e", "1");
  await turn();
  assertEquals(setup.heard(), []);
  await setup.request("ClusterLoadAssignment", { nonce: "7.2" });
  assertEquals(setup.heard(), ["7.3 ClusterLoadAssignment e@1"]);
});

Deno.test("DeltaStream sends Cluster, then ClusterLoadAssignment, then Listener", async () => {
  const setup = new Setup({ source: new MemorySource({ ready: false }) });
  for (const type of ["Listener", "ClusterLoadAssignment", "Cluster"] as const) {
    setup.source.set(type, "x", "1");
    await setup.request(type, { subscribe: ["x"] });
  }
  assertEquals(setup.heard(), []);
  setup.source.becomeReady();
  await turn();
  assertEquals(setup.heard(), ["7.1 Cluster x@1", "7.2 ClusterLoadAssignment x@1", "7.3 Listener x@1"]);
});

Deno.test("DeltaStream: an Envoy whose wildcard means the used Clusters is given all Listeners, and follows them", async () => {
  const setup = new Setup();
  const node = { id: "node-a", metadata: wildcardMetadata("used") };
  setup.source.set("Cluster", "c", "1");
  setup.source.set("Listener", "l", "1");
  await setup.request("Cluster", {}, node);
  await setup.request("Listener");
  assertEquals(setup.heard(), ["7.1 Cluster", "7.2 Listener l@1"]);
  await setup.request("Listener", { nonce: "7.2" });
  setup.source.batch(() => {
    setup.source.set("Listener", "m", "1");
    setup.source.delete("Listener", "l");
  });
  await turn();
  assertEquals(setup.heard(), ["7.3 Listener m@1 -l"]);
});

Deno.test("DeltaStream removes a Cluster only after the Listeners that go with it are gone", async () => {
  const setup = new Setup();
  setup.source.set("Cluster", "c", "1");
  setup.source.set("Listener", "l", "1");
  await setup.request("Cluster");
  await setup.request("Listener");
  await setup.request("Cluster", { nonce: "7.1" });
  await setup.request("Listener", { nonce: "7.2" });
  setup.heard();
  setup.source.batch(() => {
    setup.source.delete("Cluster", "c");
    setup.source.delete("Listener", "l");
  });
  await turn();
  assertEquals(setup.heard(), ["7.3 Listener -l"]);
  await setup.request("Listener", { nonce: "7.3" });
  assertEquals(setup.heard(), ["7.4 Cluster -c"]);
});

Deno.test("DeltaStream sends endpoints again after a Cluster that takes them (envoyproxy/envoy#47302)", async (t) => {
  const setup = new Setup();
  setup.source.set("ClusterLoadAssignment", "svc", "1");
  for (const name of ["a", "b"]) {
    setup.source.set("Cluster", name, { version: "1", loadAssignment: "svc" });
  }
  await t.step("asked for after its Cluster: once", async () => {
    await setup.request("Cluster", { subscribe: ["a"] });
    await setup.request("ClusterLoadAssignment", { subscribe: ["svc"] });
    await setup.request("Cluster", { nonce: "7.1" });
    await setup.request("ClusterLoadAssignment", { nonce: "7.2" });
    assertEquals(setup.heard(), ["7.1 Cluster a@1", "7.2 ClusterLoadAssignment svc@1"]);
  });
  await t.step("a second Cluster shares it", async () => {
    await setup.request("Cluster", { subscribe: ["b"] });
    assertEquals(setup.heard(), ["7.3 Cluster b@1", "7.4 ClusterLoadAssignment svc@1"]);
  });
  await t.step("a Cluster changes while the endpoints are in flight", async () => {
    await setup.request("Cluster", { nonce: "7.3" });
    setup.source.set("Cluster", "a", { version: "2", loadAssignment: "svc" });
    await turn();
    assertEquals(setup.heard(), ["7.5 Cluster a@2"]);
    await setup.request("ClusterLoadAssignment", { nonce: "7.4" });
    assertEquals(setup.heard(), ["7.6 ClusterLoadAssignment svc@1"]);
  });
  await t.step("endpoints change: no Cluster is sent", async () => {
    await setup.request("Cluster", { nonce: "7.5" });
    await setup.request("ClusterLoadAssignment", { nonce: "7.6" });
    setup.source.set("ClusterLoadAssignment", "svc", "2");
    await turn();
    assertEquals(setup.heard(), ["7.7 ClusterLoadAssignment svc@2"]);
  });
});

Deno.test("DeltaStream: after a reconnect a changed Cluster brings its endpoints, an unchanged one nothing", async () => {
  const setup = new Setup();
  setup.source.set("Cluster", "changed", { version: "2", loadAssignment: "x" });
  setup.source.set("Cluster", "same", { version: "1", loadAssignment: "y" });
  for (const name of ["x", "y"]) setup.source.set("ClusterLoadAssignment", name, "1");
  await setup.request("Cluster", {
    subscribe: ["changed", "same"],
    initialVersions: { changed: "1", same: "1" },
  });
  await setup.request("ClusterLoadAssignment", {
    subscribe: ["x", "y"],
    initialVersions: { x: "1", y: "1" },
  });
  assertEquals(setup.heard(), ["7.1 Cluster changed@2", "7.2 ClusterLoadAssignment x@1"]);
});

Deno.test("DeltaStream waits while the call is full, and then sends only the latest", async () => {
  const setup = new Setup();
  setup.call.full = true;
  await setup.request("Cluster", { subscribe: ["a"] });
  await setup.request("ClusterLoadAssignment", { subscribe: ["e"] });
  await setup.request("Cluster", { nonce: "7.1" });
  for (const version of ["1", "2", "3"]) {
    setup.source.set("Cluster", "a", version);
    await turn();
  }
  assertEquals(setup.heard(), ["7.1 Cluster a@absent"]);
  setup.call.full = false;
  setup.call.drain();
  await turn();
  assertEquals(setup.heard(), ["7.2 Cluster a@3", "7.3 ClusterLoadAssignment e@absent"]);
});

Deno.test("DeltaStream: what a wildcard means is what the first node said", async () => {
  for (const [scope, expected] of [["used", "7.1 Cluster b@1"], ["all", "7.1 Cluster a@1 b@1"]] as const) {
    const setup = new Setup();
    for (const name of ["a", "b"]) setup.source.set("Cluster", name, "1");
    setup.source.used = ["b"];
    await setup.request("Listener", { subscribe: ["x"] }, {
      id: "node-a",
      metadata: wildcardMetadata(scope),
    });
    setup.heard();
    await setup.request("Cluster", {}, { id: "node-a" });
    assertEquals(setup.heard().map((line) => line.replace("7.2", "7.1")), [expected]);
  }
});

Deno.test("DeltaStream: a wildcard of an Envoy that does not say what it means takes all", async () => {
  const setup = new Setup();
  setup.source.set("Cluster", "a", "1");
  await setup.request("Cluster");
  assertEquals(setup.heard(), ["7.1 Cluster a@1"]);
});

Deno.test("DeltaStream tells of what a client holds when it connects, unless it takes all", async () => {
  const told: string[] = [];
  const observer: StreamObserver = { onHeld: ({ type, names }) => void told.push(`${type} ${names.join()}`) };
  const initialVersions = { a: "1", b: "1" };
  for (const scope of ["used", "all"] as const) {
    const setup = new Setup({ observer });
    await setup.request("Cluster", { initialVersions }, { id: scope, metadata: wildcardMetadata(scope) });
    await setup.request("Cluster", { initialVersions });
  }
  const setup = new Setup({ observer });
  await setup.request("Cluster", { subscribe: ["a"], initialVersions });
  assertEquals(told, ["Cluster a,b", "Cluster a"]);
});

Deno.test("DeltaStream tells the observer what happens", async () => {
  const events: unknown[] = [];
  const record = (name: string) => (event: object): void => {
    const { streamId, nodeId, envoyVersion, takesSourceFilter, ...rest } = event as Record<string, unknown>;
    assertEquals([streamId, nodeId, envoyVersion, takesSourceFilter], [7, "node-a", "1.40", false]);
    events.push([name, rest]);
  };
  const setup = new Setup({
    observer: {
      onStreamOpen: record("open"),
      onStreamClosed: record("closed"),
      onRequest: record("request"),
      onSubscribe: record("subscribe"),
      onResponse: record("response"),
      onAck: record("ack"),
      onNack: record("nack"),
    },
  });
  setup.source.set("Cluster", "a", "1");
  await setup.request("Cluster", { subscribe: ["a"] });
  setup.nowMs = 4;
  await setup.request("Cluster", { nonce: "7.1" }, { id: "another-name" });
  setup.source.set("Cluster", "a", "2");
  await turn();
  await setup.request("Cluster", { nonce: "7.2", error: "no" });
  setup.stream.close("gone");
  setup.stream.close("twice");
  assertEquals(events, [
    ["open", {}],
    ["request", { type: "Cluster", subscribed: 1, unsubscribed: 0 }],
    ["subscribe", { type: "Cluster", names: ["a"] }],
    ["response", { type: "Cluster", resources: 1, removed: 0, bytes: 99 }],
    ["request", { type: "Cluster", subscribed: 0, unsubscribed: 0 }],
    ["ack", { type: "Cluster", names: ["a"], latencyMs: 4, waitedMs: [4] }],
    ["response", { type: "Cluster", resources: 1, removed: 0, bytes: 99 }],
    ["request", { type: "Cluster", subscribed: 0, unsubscribed: 0 }],
    ["nack", { type: "Cluster", name: "a", version: "2", reason: "no" }],
    ["closed", { reason: "gone" }],
  ]);
});

Deno.test("DeltaStream logs a NACK with name, version, nonce and Envoy's reason", async () => {
  const setup = new Setup();
  setup.source.set("Cluster", "a", "1");
  await setup.request("Cluster", { subscribe: ["a"] });
  await setup.request("Cluster", { nonce: "7.1", error: "no good" });
  const line = setup.lines.find((line) => line.includes("WARN"));
  for (const part of ["node=node-a", "name=a", "version=1", "nonce=7.1", 'reason="no good"']) {
    assertEquals(line?.includes(part), true, `${part} in ${line}`);
  }
});

Deno.test("DeltaStream says once which type it does not serve, and goes on", async () => {
  const setup = new Setup();
  const request = DeltaDiscoveryRequest.fromPartial({
    typeUrl: "type.googleapis.com/envoy.service.runtime.v3.Runtime",
    resourceNamesSubscribe: ["r"],
  });
  setup.stream.receive(request);
  setup.stream.receive(request);
  assertEquals(setup.lines.filter((line) => line.includes("v3.Runtime")).length, 1);
  await setup.request("Cluster", { subscribe: ["a"] });
  assertEquals(setup.heard(), ["7.1 Cluster a@absent"]);
});

Deno.test("DeltaStream: once closed it sends nothing and no longer listens to the store", async () => {
  const setup = new Setup();
  await setup.request("Cluster");
  await setup.request("Cluster", { nonce: "7.1" });
  setup.heard();
  setup.source.set("Cluster", "a", "1");
  setup.stream.close("gone");
  await turn();
  assertEquals(setup.heard(), []);
  assertEquals(setup.source.listenerCount, 0);
  assertEquals(setup.call.ended, undefined);
});

Deno.test("DeltaStream.end() ends the call with the status", async () => {
  const setup = new Setup();
  await setup.request("Cluster");
  setup.stream.end({ code: "UNAVAILABLE", details: "bye" });
  assertEquals(setup.call.ended, { code: "UNAVAILABLE", details: "bye" });
  assertEquals(setup.source.listenerCount, 0);
});

Deno.test("DeltaStream.status() counts what Envoy took, has not answered, and refused", async () => {
  const setup = new Setup();
  for (const name of ["a", "b", "c"]) setup.source.set("Cluster", name, "1");
  await setup.request("Cluster", { subscribe: ["a", "b"] });
  await setup.request("Cluster", {
    nonce: "7.1",
    error: "Error adding/updating cluster(s) a: no",
    subscribe: ["c"],
  });
  await setup.request("Cluster", { nonce: "7.2" });
  const { types, nodeId } = setup.stream.status();
  assertEquals(nodeId, "node-a");
  assertEquals(types.Cluster, {
    wildcard: "none",
    subscribed: 3,
    acked: 1,
    inFlight: 1,
    owed: 0,
    rejected: [{ name: "a", version: "1", reason: "no", atMs: 0, inUse: undefined }],
  });
});

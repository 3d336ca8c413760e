/** The server over real sockets, with a scripted client in Envoy's place. */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { join } from "@std/path/join";
import * as grpc from "@grpc/grpc-js";
import { silentLogger } from "../agent/log.ts";
import { AdsAddressError } from "./ads_address_error.ts";
import { ADS_SERVICE } from "./ads_service.ts";
import { type AdsServerOptions, createAdsServer } from "./server.ts";
import type { ResponseEvent } from "./stream_observer.ts";
import { DeltaClient, versionsOf } from "./testing/delta_client.ts";
import { MemorySource } from "./testing/memory_source.ts";

/** A directory that goes away with the scope. */
async function tempDir(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir({ prefix: "lightpath-xds-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

function serve(
  source: MemorySource,
  options: Partial<AdsServerOptions> = {},
): ReturnType<typeof createAdsServer> {
  return createAdsServer({ source, address: "127.0.0.1:0", logger: silentLogger, ...options });
}

Deno.test("server: on-demand subscription over a Unix socket", async () => {
  await using directory = await tempDir();
  const source = new MemorySource();
  source.set("Cluster", "10.0.0.1:80", { version: "1", bytes: new Uint8Array([9, 8, 7]) });
  const address = `unix:${join(directory.path, "xds.sock")}`;
  await using server = await serve(source, { address });
  await using client = DeltaClient.connect(server.addresses[0]!);
  client.send("Cluster", { subscribe: ["10.0.0.1:80", "10.0.0.2:80"] });
  const first = await client.next();
  assertEquals(versionsOf(first), { "10.0.0.1:80": "1", "10.0.0.2:80": "absent" });
  assertEquals([...first.resources[0]!.resource!.value], [9, 8, 7]);
  client.ack(first);
  source.set("Cluster", "10.0.0.2:80", "1");
  assertEquals(versionsOf(await client.next()), { "10.0.0.2:80": "1" });
});

Deno.test("server: over IPv6 loopback", async () => {
  await using server = await serve(new MemorySource(), { address: "[::1]:0" });
  await using client = DeltaClient.connect(server.addresses[0]!);
  client.send("Cluster", { subscribe: ["a"] });
  assertEquals(versionsOf(await client.next()), { a: "absent" });
});

Deno.test("server: a client that comes back to a restarted server is sent only what changed", async () => {
  const source = new MemorySource();
  const held: Record<string, string> = {};
  for (let index = 0; index < 50; index++) {
    source.set("Cluster", `c${index}`, "1");
    held[`c${index}`] = "1";
  }
  source.set("Cluster", "c7", "2");
  const sent: ResponseEvent[] = [];
  await using server = await serve(source, { observer: { onResponse: (event) => sent.push(event) } });
  await using client = DeltaClient.connect(server.addresses[0]!);
  client.send("Cluster", { subscribe: Object.keys(held), initialVersions: held });
  const first = await client.next();
  assertEquals(versionsOf(first), { c7: "2" });
  client.ack(first);
  source.set("Cluster", "c8", "2");
  assertEquals(versionsOf(await client.next()), { c8: "2" });
  assertEquals(sent.map(({ resources }) => resources), [1, 1]);
});

Deno.test("server: NACK of one of two, and a nonce that is not in flight", async () => {
  const source = new MemorySource();
  for (const name of ["bad", "good"]) source.set("Cluster", name, "1");
  const rejected: string[] = [];
  await using server = await serve(source, {
    observer: { onNack: ({ name, reason }) => rejected.push(`${name}: ${reason}`) },
  });
  await using client = DeltaClient.connect(server.addresses[0]!);
  client.send("Cluster", { subscribe: ["bad", "good"] });
  const first = await client.next();
  client.send("Cluster", { nonce: "not-in-flight", error: "Error adding/updating cluster(s) good: no" });
  client.nack(first, "Error adding/updating cluster(s) bad: no");
  const second = await client.next();
  assertEquals(versionsOf(second), { good: "1" });
  assertEquals(rejected, ["bad: no"]);
  client.ack(second);
  source.set("Cluster", "good", "2");
  const third = await client.next();
  assertEquals(versionsOf(third), { good: "2" });
  client.ack(third);
  source.set("Cluster", "bad", "2");
  assertEquals(versionsOf(await client.next()), { bad: "2" });
});

Deno.test("server: two clients, each with its own names and its own pace", async () => {
  const source = new MemorySource();
  await using server = await serve(source);
  await using one = DeltaClient.connect(server.addresses[0]!, { nodeId: "one" });
  await using two = DeltaClient.connect(server.addresses[0]!, { nodeId: "two" });
  one.send("Cluster", { subscribe: ["a"] });
  two.send("Cluster", { subscribe: ["a", "b"] });
  const first = await one.next();
  // `two` never answers its first response; `one` is not held back.
  assertEquals(Object.keys(versionsOf(await two.next())), ["a", "b"]);
  one.ack(first);
  source.set("Cluster", "b", "1");
  source.set("Cluster", "a", "1");
  assertEquals(versionsOf(await one.next()), { a: "1" });
  assertEquals(server.streams().map(({ nodeId }) => nodeId).sort(), ["one", "two"]);
  await one.close();
  assertEquals(two.waitingResponses, 0);
});

Deno.test("server: a client that does not read costs one response per type, and then gets the latest", async () => {
  const source = new MemorySource();
  const big = (version: string): { version: string; bytes: Uint8Array } => ({
    version,
    bytes: new Uint8Array(512 * 1024),
  });
  let sentBytes = 0;
  await using server = await serve(source, { observer: { onResponse: ({ bytes }) => sentBytes += bytes } });
  await using client = DeltaClient.connect(server.addresses[0]!);
  client.send("Cluster", { subscribe: ["a"] });
  const first = await client.next();
  client.pause();
  client.ack(first);
  // The ACK is on its way: the first of these is sent when it arrives, the others merge.
  for (let version = 1; version <= 50; version++) {
    source.set("Cluster", "a", big(`${version}`));
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  assert(sentBytes < 1024 * 1024, `${sentBytes} bytes for a client that does not read`);
  client.resume();
  const second = await client.next();
  client.ack(second);
  let latest = second;
  if (versionsOf(second)["a"] !== "50") latest = await client.next();
  assertEquals(versionsOf(latest), { a: "50" });
});

Deno.test("server: thousands of changes for a client that does not read cost nothing but its names", async () => {
  const source = new MemorySource();
  const names = Array.from({ length: 500 }, (_, index) => `c${index}`);
  const content = (version: string): { version: string; bytes: Uint8Array } => ({
    version,
    bytes: new Uint8Array(1_000),
  });
  const change = (version: string): void =>
    source.batch(() => {
      for (const type of ["Cluster", "ClusterLoadAssignment"] as const) {
        for (const name of names) source.set(type, name, content(version));
      }
    });
  change("0");
  const sent = { responses: 0, bytes: 0 };
  await using server = await serve(source, {
    observer: {
      onResponse: ({ bytes }) => {
        sent.responses++;
        sent.bytes += bytes;
      },
    },
  });
  await using stuck = DeltaClient.connect(server.addresses[0]!, { nodeId: "stuck" });
  await using other = DeltaClient.connect(server.addresses[0]!, { nodeId: "other" });
  for (const type of ["Cluster", "ClusterLoadAssignment"] as const) {
    stuck.send(type, { subscribe: names });
    stuck.ack(await stuck.next());
  }
  other.send("Cluster", { subscribe: ["c7"] });
  other.ack(await other.next());
  stuck.pause();
  const before = { ...sent };
  for (let version = 1; version <= 1_000; version++) {
    change(`${version}`);
    if (version % 250 === 0) {
      // The one that reads is not held up by the one that does not.
      const response = await other.next();
      other.ack(response);
      if (versionsOf(response)["c7"] !== `${version}`) other.ack(await other.next());
    }
  }
  const [status] = server.streams();
  assertEquals([status?.types.Cluster.owed, status?.types.ClusterLoadAssignment.owed], [500, 500]);
  // One of each type for the one that does not read, at most two of one resource for each stop of the other.
  assert(sent.responses - before.responses <= 2 + 2 * 4, `${sent.responses - before.responses} responses`);
  assert(sent.bytes - before.bytes < 1_300_000 + 8 * 1_300, `${sent.bytes - before.bytes} bytes`);

  const atResume = { ...sent };
  stuck.resume();
  const latest = new Map<string, string>();
  while (latest.size < 1_000 || [...latest.values()].some((version) => version !== "1000")) {
    const response = await stuck.next();
    stuck.ack(response);
    for (const [name, version] of Object.entries(versionsOf(response))) {
      latest.set(`${response.typeUrl} ${name}`, version);
    }
  }
  assertEquals(sent.responses - atResume.responses, 2);
});

Deno.test("server: a large state comes in responses of bounded size, each after the last was answered", async () => {
  const source = new MemorySource();
  for (let index = 0; index < 40; index++) {
    source.set("Cluster", `c${index}`, { version: "1", bytes: new Uint8Array(1000) });
  }
  await using server = await serve(source, { maxResponseBytes: 10_000 });
  await using client = DeltaClient.connect(server.addresses[0]!);
  client.send("Cluster");
  const names: string[] = [];
  let responses = 0;
  while (names.length < 40) {
    const response = await client.next();
    const bytes = response.resources.reduce((sum, { resource }) => sum + (resource?.value.length ?? 0), 0);
    assert(bytes <= 10_000, `${bytes} bytes`);
    names.push(...response.resources.map(({ name }) => name));
    responses++;
    client.ack(response);
  }
  assertEquals(responses, 5);
  assertEquals(new Set(names).size, 40);
});

Deno.test("server: hasTaken() waits for the slowest client, and for none that has gone", async () => {
  const source = new MemorySource();
  const progress: boolean[] = [];
  await using server = await serve(source, {
    observer: {
      onAck: () => progress.push(server.hasTaken(["a"])),
      onStreamClosed: () => progress.push(server.hasTaken(["a"])),
    },
  });
  assertEquals(server.hasTaken(["a"]), true);
  const clients: DeltaClient[] = [];
  for (const nodeId of ["one", "two", "three"]) {
    const client = DeltaClient.connect(server.addresses[0]!, { nodeId });
    clients.push(client);
    client.send("Cluster", { subscribe: [nodeId === "three" ? "b" : "a"] });
    client.ack(await client.next());
  }
  const [one, two, three] = clients as [DeltaClient, DeltaClient, DeltaClient];
  while (progress.length < 3) await new Promise((resolve) => setTimeout(resolve, 1));
  progress.length = 0;
  source.set("Cluster", "a", "1");
  assertEquals([server.hasTaken(["b"]), server.hasTaken(["b", "a"])], [true, false]);
  one.ack(await one.next());
  await two.next();
  await two.close();
  while (progress.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(progress, [false, true]);
  await one.close();
  await three.close();
});

Deno.test("server: status counts streams, and forgets them when they end", async () => {
  const source = new MemorySource();
  const closed = Promise.withResolvers<string>();
  await using server = await serve(source, {
    now: () => 5,
    observer: { onStreamClosed: ({ reason }) => closed.resolve(reason) },
  });
  const client = DeltaClient.connect(server.addresses[0]!, { nodeId: "n" });
  client.send("Cluster", { subscribe: ["a"] });
  await client.next();
  const [status] = server.streams();
  assertEquals([status?.nodeId, status?.envoyVersion, status?.connectedSinceMs], ["n", "1.40", 5]);
  assertEquals(status?.types.Cluster.inFlight, 1);
  await client.close();
  await closed.promise;
  assertEquals(server.streams(), []);
  assertEquals(source.listenerCount, 0);
});

Deno.test("server: the socket is reachable by its owner only, and so is a directory made for it", async () => {
  await using directory = await tempDir();
  const path = join(directory.path, "made", "xds.sock");
  const server = await serve(new MemorySource(), { address: `unix:${path}` });
  const socket = await Deno.lstat(path);
  assertEquals(socket.isSocket, true);
  assertEquals((socket.mode ?? 0) & 0o777, 0o600);
  assertEquals(((await Deno.stat(join(directory.path, "made"))).mode ?? 0) & 0o777, 0o700);
  assertEquals(entries(join(directory.path, "made")), ["xds.sock"]);
  await server.close();
  assertEquals(entries(join(directory.path, "made")), []);
});

Deno.test("server: a second one on the same socket is refused, and the first goes on", async () => {
  await using directory = await tempDir();
  const address = `unix:${join(directory.path, "xds.sock")}`;
  await using _server = await serve(new MemorySource(), { address });
  await assertRejects(
    () => serve(new MemorySource(), { address }),
    AdsAddressError,
    "another agent serves",
  );
  assertEquals(entries(directory.path), ["xds.sock"]);
  await using client = DeltaClient.connect(address);
  client.send("Cluster", { subscribe: ["a"] });
  assertEquals(versionsOf(await client.next()), { a: "absent" });
});

Deno.test("server: the socket of a dead server is replaced, another file is not", async () => {
  await using directory = await tempDir();
  const path = join(directory.path, "xds.sock");
  // Deno removes a socket when it closes it; a second name survives, as after a crash.
  const dead = Deno.listen({ transport: "unix", path: join(directory.path, "dead") });
  await Deno.rename(join(directory.path, "dead"), path);
  dead.close();
  assertEquals((await Deno.lstat(path)).isSocket, true);
  await (await serve(new MemorySource(), { address: `unix:${path}` })).close();
  await Deno.writeTextFile(path, "precious");
  await assertRejects(
    () => serve(new MemorySource(), { address: `unix:${path}` }),
    AdsAddressError,
    "is not a socket",
  );
  assertEquals(await Deno.readTextFile(path), "precious");
});

Deno.test("server: closing leaves a socket alone that another server has put there since", async () => {
  await using directory = await tempDir();
  const path = join(directory.path, "xds.sock");
  const old = await serve(new MemorySource(), { address: `unix:${path}` });
  await Deno.remove(path);
  await using _young = await serve(new MemorySource(), { address: `unix:${path}` });
  await old.close();
  assertEquals(entries(directory.path), ["xds.sock"]);
});

Deno.test("server: addresses that others could reach are refused", async () => {
  for (const address of ["0.0.0.0:0", "[::]:0", "example.org:80", "/no/scheme", "127.0.0.1"]) {
    await assertRejects(() => serve(new MemorySource(), { address }), AdsAddressError, "loopback");
  }
});

Deno.test("server: a path too long for a socket is refused before anything is made", async () => {
  await using directory = await tempDir();
  const address = `unix:${join(directory.path, "x".repeat(80), "xds.sock")}`;
  await assertRejects(() => serve(new MemorySource(), { address }), AdsAddressError, "too long");
  assertEquals(entries(directory.path), []);
});

Deno.test("server: a directory that cannot be made is named in the error", async () => {
  const address = "unix:/dev/null/xds.sock";
  await assertRejects(() => serve(new MemorySource(), { address }), AdsAddressError, "/dev/null");
});

Deno.test("server: a port that is taken is named in the error", async () => {
  await using server = await serve(new MemorySource());
  const address = server.addresses[0]!;
  await assertRejects(() => serve(new MemorySource(), { address }), AdsAddressError, address);
});

Deno.test("server: stopping tells Envoy to come back", async () => {
  const controller = new AbortController();
  const server = await serve(new MemorySource(), { signal: controller.signal, shutdownGraceMs: 50 });
  await using client = DeltaClient.connect(server.addresses[0]!);
  client.send("Cluster", { subscribe: ["a"] });
  await client.next();
  controller.abort();
  assertEquals(await client.ended, { code: grpc.status.UNAVAILABLE, details: "the agent stops" });
  await server.close();
  assertEquals(server.streams(), []);
});

Deno.test("server: stopping does not wait for a client that does not go", async () => {
  const server = await serve(new MemorySource(), { shutdownGraceMs: 20 });
  const [hostname, port] = server.addresses[0]!.split(":");
  using connection = await Deno.connect({ hostname: hostname!, port: Number(port) });
  // HTTP/2's preface and an empty SETTINGS frame (RFC 9113, 3.4): a session, which then ignores all it is told.
  await connection.write(new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
  await connection.write(new Uint8Array([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  await connection.read(new Uint8Array(64));
  await server.close();
});

Deno.test("server: state-of-the-world ADS is refused with a word on what to set", async () => {
  await using server = await serve(new MemorySource());
  await using client = DeltaClient.connect(server.addresses[0]!, { method: "StreamAggregatedResources" });
  client.send("Cluster");
  const { code, details } = await client.ended;
  assertEquals(code, grpc.status.UNIMPLEMENTED);
  assert(details.includes("DELTA_GRPC"), details);
});

Deno.test("server: a request that is no protobuf ends its own stream only", async () => {
  const source = new MemorySource();
  await using server = await serve(source);
  await using good = DeltaClient.connect(server.addresses[0]!);
  good.send("Cluster", { subscribe: ["a"] });
  const first = await good.next();
  const bad = new grpc.Client(server.addresses[0]!, grpc.credentials.createInsecure());
  const identity = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
  const call = bad.makeBidiStreamRequest(
    ADS_SERVICE.DeltaAggregatedResources.path,
    identity,
    (bytes) => bytes,
  );
  const ended = new Promise<number>((resolve) =>
    call.on("status", (status: grpc.StatusObject) => resolve(status.code))
  );
  call.on("error", () => {});
  call.on("data", () => {});
  call.write(new Uint8Array([0xff, 0xff, 0xff]));
  assertEquals(await ended, grpc.status.INTERNAL);
  bad.close();
  good.ack(first);
  source.set("Cluster", "a", "1");
  assertEquals(versionsOf(await good.next()), { a: "1" });
  assertEquals(server.streams().length, 1);
});

function entries(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name);
}

import { assertEquals } from "@std/assert/equals";
import { join } from "@std/path/join";
import { createApiSource, createKubeClient, type ObjectEvent } from "../../agent/kube/mod.ts";
import { RecordingSink } from "../../agent/kube/testing/recording_sink.ts";
import { silentLogger } from "../../agent/log.ts";
import { renderKubeconfig } from "../lab/service_account.ts";
import { SyntheticApi } from "./synthetic_api.ts";
import { assertSameEvents, assertSameList, COLLECTIONS } from "./testing/both_formats.ts";
import { nameOf, namespaceOf, type WorldShape } from "./world.ts";

const SHAPE: WorldShape = { services: 1_200, backends: ["10.244.0.11", "10.244.0.12", "10.244.0.13"] };

/** What an event is about, in a few words. */
function describe(event: ObjectEvent): string {
  if (event.type === "delete") return `delete ${event.namespacedName}`;
  const { object } = event;
  return object.kind === "Service"
    ? `${object.name} port ${object.ports[0]?.port}`
    : `${object.serviceName} at ${object.endpoints.map(({ address }) => address).join(" ")}`;
}

Deno.test("SyntheticApi shows the agent's own client the world, then each change once and in order", async () => {
  const dir = await Deno.makeTempDir({ prefix: "lightpath-bench-test-" });
  try {
    await using api = await SyntheticApi.start(SHAPE);
    const kubeconfig = join(dir, "kubeconfig");
    await Deno.writeTextFile(kubeconfig, renderKubeconfig(api.access));
    let arrived = Promise.withResolvers<void>();
    const stop = new AbortController();
    const source = createApiSource({
      client: await createKubeClient({ kubeconfig }),
      logger: silentLogger,
    });
    const sink = new RecordingSink(() => sink.isSynced && arrived.resolve());
    const { batches } = sink;
    const running = source.run(sink, stop.signal);
    running.catch(() => {});

    await arrived.promise;
    const first = batches.splice(0).flat();
    assertEquals(first.length, 2 * SHAPE.services);
    const names = new Set(
      first.map((event) =>
        event.type === "apply" ? `${event.object.kind} ${event.object.namespace}/${event.object.name}` : ""
      ),
    );
    assertEquals(names.size, 2 * SHAPE.services);
    assertEquals(names.has(`Service ${namespaceOf(1_199)}/${nameOf(1_199)}`), true);

    const write = api.stage([
      { index: 7, kind: "port" },
      { index: 7, kind: "port" },
      { index: 1_199, kind: "port" },
    ]);
    assertEquals(batches, []);
    arrived = Promise.withResolvers();
    await write();
    await arrived.promise;
    const expected = ["application-7 port 8001", "application-7 port 80", "application-1199 port 8001"];
    // A watch that opens just now may bring them one by one.
    while (batches.flat().length < expected.length) {
      arrived = Promise.withResolvers();
      await arrived.promise;
    }
    assertEquals(batches.splice(0).flat().map(describe), expected);

    arrived = Promise.withResolvers();
    await api.stage([{ index: 0, kind: "endpoints" }])();
    await arrived.promise;
    assertEquals(batches.flat().map(describe), ["application-0 at 10.244.0.11 10.244.0.13"]);
    stop.abort();
    await running.catch(() => {});

    // Who comes later gets the state as it is now, and none of its history.
    const laterSink = new RecordingSink(() => laterSink.isSynced && arrived.resolve());
    const { batches: later } = laterSink;
    const stopLater = new AbortController();
    const follower = createApiSource({
      client: await createKubeClient({ kubeconfig }),
      logger: silentLogger,
    }).run(laterSink, stopLater.signal);
    follower.catch(() => {});
    arrived = Promise.withResolvers();
    await arrived.promise;
    assertEquals(later.splice(0).flat().map(describe).includes("application-1199 port 8001"), true);
    arrived = Promise.withResolvers();
    await api.stage([{ index: 3, kind: "port" }])();
    await arrived.promise;
    assertEquals(later.flat().map(describe), ["application-3 port 8001"]);
    stopLater.abort();
    await follower.catch(() => {});
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("SyntheticApi says the same in JSON and in protobuf, whatever is made, changed and deleted", async () => {
  await using api = await SyntheticApi.start({ ...SHAPE, services: 3 });
  const before = new Map<string, string>();
  for (const collection of COLLECTIONS) {
    before.set(collection.kind, (await assertSameList(api.access, collection)).resourceVersion);
  }
  await api.stage([{ index: 0, kind: "slices" }, { index: 0, kind: "slices" }, {
    index: 1,
    kind: "presence",
  }])();
  await api.stage([{ index: 1, kind: "presence" }, { index: 2, kind: "port" }])();
  const seen = [];
  for (const collection of COLLECTIONS) {
    await assertSameList(api.access, collection);
    seen.push(await assertSameEvents(api.access, collection, before.get(collection.kind)!));
  }
  assertEquals(seen, [
    ["DELETED application-1", "ADDED application-1", "MODIFIED application-2"],
    [
      "ADDED application-0-0000b",
      "MODIFIED application-0-0000a",
      "MODIFIED application-0-0000b",
      "DELETED application-0-0000a",
      "DELETED application-1-0001a",
      "ADDED application-1-0001a",
    ],
  ]);
});

Deno.test("SyntheticApi lets nobody in without the token", async () => {
  await using api = await SyntheticApi.start({ ...SHAPE, services: 1 });
  using client = Deno.createHttpClient({ caCerts: [api.access.ca] });
  const response = await fetch(`https://127.0.0.1:${api.access.port}/api/v1/services`, { client });
  assertEquals([response.status, (await response.json() as { reason: string }).reason], [
    401,
    "Unauthorized",
  ]);
});

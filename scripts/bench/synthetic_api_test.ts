import { assertEquals } from "@std/assert/equals";
import { createApiSource, createKubeClient, type ObjectEvent } from "../../agent/kube/mod.ts";
import { RecordingSink } from "../../agent/kube/testing/recording_sink.ts";
import { silentLogger } from "../../agent/log.ts";
import { SyntheticApi } from "./synthetic_api.ts";
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
    await using api = await SyntheticApi.start(SHAPE, dir);
    let arrived = Promise.withResolvers<void>();
    const stop = new AbortController();
    const source = createApiSource({
      client: await createKubeClient({ kubeconfig: api.kubeconfig }),
      logger: silentLogger,
    });
    const sink = new RecordingSink(() => sink.isSynced && arrived.resolve());
    const { batches } = sink;
    const running = source.run(sink, stop.signal);
    running.catch(() => {});

    await arrived.promise;
    const [first = []] = batches.splice(0);
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
      client: await createKubeClient({ kubeconfig: api.kubeconfig }),
      logger: silentLogger,
    }).run(laterSink, stopLater.signal);
    follower.catch(() => {});
    arrived = Promise.withResolvers();
    await arrived.promise;
    assertEquals(later.splice(0)[0]?.map(describe).includes("application-1199 port 8001"), true);
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

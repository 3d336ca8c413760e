import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { silentLogger } from "../log.ts";
import { createApiSource, selectorsFor } from "./api_source.ts";
import { createKubeClient } from "./client.ts";
import type { ObjectEvent } from "./objects.ts";
import { FakeApiserver, rawService, rawSlice, type SeenRequest, status } from "./testing/fake_apiserver.ts";
import { RecordingSink } from "./testing/recording_sink.ts";
import { seededRandom } from "./testing/seeded_random.ts";
import { QUICK, RunningApiSource } from "./testing/running_api_source.ts";

type FakeTest = (fake: FakeApiserver, kubeconfig: string) => Promise<void>;

/** A test against a server that speaks protobuf, and one against a server that does not. */
function inBothFormats(name: string, test: FakeTest): void {
  for (const format of ["protobuf", "JSON"]) {
    Deno.test(`API source, ${format}: ${name}`, () => withFake(format === "protobuf", test));
  }
}

async function withFake(speaksProtobuf: boolean, test: FakeTest): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await using fake = await FakeApiserver.start();
    fake.speaksProtobuf = speaksProtobuf;
    await test(fake, await fake.kubeconfig(dir));
    assertEquals(new Set(fake.requests.map(({ inProtobuf }) => inProtobuf)), new Set([speaksProtobuf]));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function names(events: readonly ObjectEvent[]): string[] {
  return events.map((event) =>
    event.type === "apply"
      ? `+${event.object.kind} ${event.object.namespacedName}`
      : `-${event.kind} ${event.namespacedName}`
  ).sort();
}

inBothFormats(
  "what is synced is the complete state of both kinds, asked for at once",
  async (fake, kubeconfig) => {
    for (let i = 0; i < 7; i++) fake.put("Service", rawService(`s${i}`));
    fake.put("EndpointSlice", rawSlice("e0"));
    await using source = await RunningApiSource.start(kubeconfig);
    await source.until(() => source.batches.length > 0);
    assertEquals(names(source.batches[0]!), [
      "+EndpointSlice default/e0",
      ...[0, 1, 2, 3, 4, 5, 6].map((i) => `+Service default/s${i}`),
    ]);
    const lists = fake.requests.filter((request) => request.verb === "list");
    // Neither a limit nor a resourceVersion: the most recent state, as a whole.
    assertEquals(lists.map(({ kind, query }) => `${kind} ${query}`).sort(), ["EndpointSlice ", "Service "]);
  },
);

inBothFormats("an empty cluster is synced without a batch", async (_fake, kubeconfig) => {
  await using source = await RunningApiSource.start(kubeconfig);
  await source.until(() => source.batches.length > 0);
  assertEquals(source.batches, [[]]);
});

inBothFormats(
  "not synced while one kind may not be listed, though the other goes on",
  async (fake, kubeconfig) => {
    fake.put("Service", rawService("a"));
    fake.put("Service", rawService("b"));
    let forbidden = true;
    fake.refuse = ({ kind }) =>
      kind === "EndpointSlice" && forbidden
        ? { status: 403, body: status(403, "Forbidden", "endpointslices is forbidden") }
        : undefined;
    await using source = await RunningApiSource.start(kubeconfig);
    await fake.until(() => fake.watchers === 1);
    fake.put("Service", rawService("a", 81));
    fake.delete("Service", "default/b");
    await source.until(() => source.bookmarksAndEvents === 2 && source.failures.length >= 3);
    assertEquals(source.batches, []);
    assertMatch(
      source.failures[0]!.message,
      /^Lightpath \(user "tester" of kubeconfig .*\) may not list endpointslices\.discovery\.k8s\.io at cluster scope: grant it by a ClusterRole with the rule \{apiGroups: \["discovery\.k8s\.io"\], resources: \["endpointslices"\], verbs: \["list", "watch"\]\}; the API server says: endpointslices is forbidden$/,
    );
    forbidden = false;
    await source.until(() => source.batches.length > 0);
    assertEquals(source.parts.map(names), [
      ["+Service default/a", "+Service default/b"],
      ["+Service default/a"],
      ["-Service default/b"],
    ]);
    assertEquals(source.view.Service, fake.versions("Service"));
  },
);

inBothFormats("changes arrive one by one, also cut inside a character", async (fake, kubeconfig) => {
  await using source = await RunningApiSource.start(kubeconfig);
  await fake.watched();
  fake.chunkBytes = 1;
  const annotations = { "lightpath.cloud/note": "größer ☃ 🚀" };
  fake.put("Service", { metadata: { namespace: "default", name: "a", annotations }, spec: {} });
  await source.until(() => source.view.Service.size === 1);
  const event = source.batches.flat().find((event) => event.type === "apply");
  const object = event?.type === "apply" ? event.object : undefined;
  assertEquals(object?.kind === "Service" ? object.annotations : undefined, annotations);
  fake.delete("Service", "default/a");
  await source.until(() => source.view.Service.size === 0);
});

inBothFormats(
  "after a dropped connection the watch resumes and nothing is listed again",
  async (fake, kubeconfig) => {
    await using source = await RunningApiSource.start(kubeconfig);
    await fake.watched();
    fake.put("Service", rawService("a"));
    await source.until(() => source.view.Service.size === 1);
    fake.drop();
    fake.put("Service", rawService("b"));
    fake.delete("Service", "default/a");
    await source.until(() => source.view.Service.has("default/b") && source.view.Service.size === 1);
    assertEquals(fake.requests.filter((request) => request.verb === "list").length, 2);
  },
);

inBothFormats("a watch resumes at the last bookmark", async (fake, kubeconfig) => {
  await using source = await RunningApiSource.start(kubeconfig);
  await fake.watched();
  for (let i = 0; i < 5; i++) fake.put("EndpointSlice", rawSlice(`e${i}`));
  await source.until(() => source.view.EndpointSlice.size === 5);
  fake.bookmark();
  await source.until(() => source.bookmarksAndEvents === 7);
  fake.endWatches();
  await fake.watched();
  const last = fake.requests.filter((request) => request.kind === "Service").at(-1)!;
  assertEquals([last.verb, last.query.get("resourceVersion")], ["watch", "105"]);
  assertEquals(last.query.get("allowWatchBookmarks"), "true");
  const timeoutSeconds = Number(last.query.get("timeoutSeconds"));
  assert(timeoutSeconds >= 290 && timeoutSeconds <= 600, `timeoutSeconds ${timeoutSeconds}`);
});

for (const goneForm of ["status", "event"] as const) {
  inBothFormats(
    `410 on a watch (as ${goneForm}) lists again and yields only the differences`,
    async (fake, kubeconfig) => {
      fake.goneForm = goneForm;
      for (const name of ["same", "changed", "deleted"]) fake.put("Service", rawService(name));
      await using source = await RunningApiSource.start(kubeconfig);
      await fake.watched();
      fake.drop();
      fake.put("Service", rawService("changed", 81));
      fake.put("Service", rawService("new"));
      fake.delete("Service", "default/deleted");
      fake.compact();
      await source.until(() => same(source.view.Service, fake.versions("Service")));
      assertEquals(names(source.batches.slice(1).flat()), [
        "+Service default/changed",
        "+Service default/new",
        "-Service default/deleted",
      ]);
      assertEquals(source.view.Service, fake.versions("Service"));
      assert(source.relists.length >= 1);
    },
  );
}

inBothFormats(
  "a list that breaks off is started again, and nothing comes twice",
  async (fake, kubeconfig) => {
    for (let i = 0; i < 2_000; i++) fake.put("Service", rawService(`s${i}`));
    fake.put("EndpointSlice", rawSlice("e"));
    let lists = 0;
    fake.breakList = (bytes) => {
      if (bytes < 10_000) return Infinity;
      lists++;
      return lists < 4 ? Math.floor(bytes * lists / 5) : Infinity;
    };
    await using source = await RunningApiSource.start(kubeconfig);
    await source.until(() => source.failures.length === 1);
    fake.delete("Service", "default/s0");
    fake.put("Service", rawService("s1", 81));
    await source.until(() => source.batches.length > 0);
    assertEquals(source.failures.length, 3);
    assertEquals(source.view.Service, fake.versions("Service"));
    const applied = source.batches[0]!.flatMap((event) =>
      event.type === "apply" ? [`${event.object.namespacedName} ${event.object.resourceVersion}`] : []
    );
    assertEquals(new Set(applied).size, applied.length);
  },
);

inBothFormats("a silent connection is dropped and the watch resumes", async (fake, kubeconfig) => {
  await using source = await RunningApiSource.start(kubeconfig, {
    http: { silenceTimeoutMs: 150, responseTimeoutMs: 150 },
  });
  await fake.watched();
  fake.silent = true;
  fake.put("Service", rawService("unheard"));
  // The open streams fall silent first, then the requests that follow.
  await source.until(() => source.silences >= 4);
  fake.silent = false;
  await source.until(() => source.view.Service.has("default/unheard"));
  assertEquals(fake.requests.filter((request) => request.verb === "list").length, 2);
});

inBothFormats("Retry-After of a 429 is honoured", async (fake, kubeconfig) => {
  let refusals = 0;
  fake.refuse = ({ kind }) =>
    kind === "Service" && refusals++ === 0 ? { status: 429, headers: { "Retry-After": "1" } } : undefined;
  await using source = await RunningApiSource.start(kubeconfig);
  await source.until(() => source.batches.length > 0);
  assertEquals(source.failures.map(({ status, retryAfterMs }) => ({ status, retryAfterMs })), [
    { status: 429, retryAfterMs: 1000 },
  ]);
});

inBothFormats("garbage on the stream costs a reconnect and nothing else", async (fake, kubeconfig) => {
  await using source = await RunningApiSource.start(kubeconfig);
  await fake.watched();
  fake.sendRaw("Service", new TextEncoder().encode("this is no format at all\n"));
  await source.until(() => source.failures.length === 1);
  assertMatch(
    source.failures[0]!.message,
    /^cannot watch services at http:\S+ (Unexpected token .*JSON|a frame of \d+ bytes is none of Kubernetes)/,
  );
  const isWatch = ({ verb, kind }: SeenRequest): boolean => verb === "watch" && kind === "Service";
  await fake.until(() => fake.requests.filter(isWatch).length === 2);
  fake.tell("Service", "ADDED", { metadata: {} });
  fake.tell("Service", "SURPRISE", { metadata: {} });
  fake.put("Service", rawService("after"));
  await source.until(() => source.view.Service.has("default/after"));
  assertEquals(source.unreadable, ["Service without metadata.name", 'watch event of type "SURPRISE"']);
});

inBothFormats("run() rejects when the consumer throws, and both loops end", async (fake, kubeconfig) => {
  fake.put("Service", rawService("a"));
  const source = createApiSource({
    client: await createKubeClient({ kubeconfig }),
    logger: silentLogger,
    settings: QUICK,
  });
  const run = source.run(
    new RecordingSink(() => {
      throw new RangeError("a fault in the consumer");
    }),
    new AbortController().signal,
  );
  await assertRejects(() => run, RangeError, "a fault in the consumer");
});

inBothFormats("selectors travel with lists and watches", async (fake, kubeconfig) => {
  await using _source = await RunningApiSource.start(kubeconfig, {
    selectors: selectorsFor("lightpath.cloud"),
  });
  await fake.watched();
  assertEquals(
    new Set(fake.requests.map(({ verb, kind, query }) => `${verb} ${kind} ${query.get("labelSelector")}`)),
    new Set(["list", "watch"].flatMap((verb) => [
      `${verb} Service !service.kubernetes.io/headless,service.kubernetes.io/service-proxy-name=lightpath.cloud`,
      `${verb} EndpointSlice !service.kubernetes.io/headless`,
    ])),
  );
  assertEquals(
    selectorsFor("").Service,
    "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name",
  );
});

inBothFormats(
  "ten thousand changes at once and a relist in their midst end with the server's state",
  async (fake, kubeconfig) => {
    for (let i = 0; i < 100; i++) fake.put("EndpointSlice", rawSlice(`e${i}`));
    await using source = await RunningApiSource.start(kubeconfig);
    await fake.watched();
    for (let i = 0; i < 10_000; i++) {
      const name = `e${i * 7 % 150}`;
      if (i % 10 === 0) fake.delete("EndpointSlice", `default/${name}`);
      else fake.put("EndpointSlice", rawSlice(name, `10.244.${i >> 8}.${i & 255}`));
      if (i !== 6_000) continue;
      // What the sockets took by now arrives; the rest of it is lost, and so is history.
      await new Promise((resolve) => setTimeout(resolve));
      fake.drop();
      fake.compact();
    }
    fake.put("EndpointSlice", rawSlice("last"));
    await source.until(() => same(source.view.EndpointSlice, fake.versions("EndpointSlice")));
    assert(source.relists.length > 0);
  },
);

inBothFormats(
  "any interleaving of changes, breaks, 410 and refusals ends with the server's state",
  async (fake, kubeconfig) => {
    for (let seed = 1; seed <= 6; seed++) {
      const random = seededRandom(seed);
      const pick = (count: number): number => Math.floor(random() * count);
      for (let i = 0; i < 10; i++) fake.put("Service", rawService(`o${i}`));
      await using source = await RunningApiSource.start(kubeconfig);
      fake.refuse = () => random() < 0.15 ? { status: [500, 503, 429, 403][pick(4)]! } : undefined;
      fake.breakList = (bytes) => random() < 0.3 ? pick(bytes) : Infinity;
      for (let turn = 0; turn < 120; turn++) {
        const kind = random() < 0.5 ? "Service" : "EndpointSlice";
        const name = `o${pick(12)}`;
        const dice = random();
        if (dice < 0.45) {
          fake.put(
            kind,
            kind === "Service" ? rawService(name, pick(9)) : rawSlice(name, `10.0.0.${pick(9)}`),
          );
        } else if (dice < 0.65) fake.delete(kind, `default/${name}`);
        else if (dice < 0.72) fake.drop();
        else if (dice < 0.77) fake.endWatches();
        else if (dice < 0.83) fake.compact();
        else if (dice < 0.88) fake.bookmark();
        else if (dice < 0.92) fake.chunkBytes = pick(3) * 7;
        else if (dice < 0.95) fake.goneForm = pick(2) === 0 ? "status" : "event";
        // Let the loop get a word in, at random places.
        if (random() < 0.6) await new Promise((resolve) => setTimeout(resolve, pick(4)));
      }
      fake.refuse = () => undefined;
      fake.breakList = () => Infinity;
      fake.put("Service", rawService("last"));
      fake.put("EndpointSlice", rawSlice("last"));
      await source.until(() =>
        same(source.view.Service, fake.versions("Service")) &&
        same(source.view.EndpointSlice, fake.versions("EndpointSlice"))
      );
    }
  },
);

function same(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}

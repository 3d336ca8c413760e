import { assertEquals } from "@std/assert/equals";
import { silentLogger } from "../agent/log.ts";
import { parseConnectionCounts, usedSince, watchClusterUse } from "./cluster_use.ts";
import { greeting, httpBackend, slicesFor, tcpBackend } from "./testing/backends.ts";
import { envoyTest, get } from "./testing/envoy_case.ts";
import { EnvoyFixture, until } from "./testing/envoy_fixture.ts";

Deno.test("usedSince(): a connection since the last look, one that is open, and counters that began anew", () => {
  const counts = (text: string): ReturnType<typeof parseConnectionCounts> =>
    parseConnectionCounts(
      text.split(" ").map((one) => {
        const [name, total, active] = one.split("/");
        return `cluster.${name}.upstream_cx_total: ${total}\ncluster.${name}.upstream_cx_active: ${active}\n`;
      }).join(""),
    );
  const before = counts("idle/3/0 used/3/0 open/3/1 again/3/0 gone/3/0");
  const now = counts("idle/3/0 used/4/0 open/3/1 again/1/0 new/1/0");
  assertEquals([...usedSince(before, now)], ["used", "open", "again", "new"]);
  assertEquals([...usedSince(undefined, now)], ["open"]);
});

Deno.test("parseConnectionCounts() reads names with dots, and nothing else", () => {
  const text = "cluster.a.b_http.upstream_cx_total: 2\ncluster.a.b_http.upstream_cx_none: 9\nhttp.x: 1\n\n";
  assertEquals([...parseConnectionCounts(text)], [["a.b_http", { total: 2, active: 0 }]]);
});

envoyTest("it tells which Clusters carry traffic, by the names they have in statistics", async () => {
  await using a = httpBackend("a");
  await using b = tcpBackend("b");
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(
    fixture.service("one", 11),
    ...slicesFor("one", "http", [a]),
    fixture.service("two", 12, { kind: "tcp" }),
    ...slicesFor("two", "tcp", [b]),
    fixture.service("empty", 13),
  );
  assertEquals((await get(fixture, 13)).slice(0, 3), "503");
  const ended = new AbortController();
  const used = new Set<string>();
  const watching = watchClusterUse({
    adminSocket: `${fixture.directory}/admin.sock`,
    after: fixture.store.opened,
    onUsed: (names) => {
      for (const name of names) if (name.startsWith("default/")) used.add(name);
    },
    logger: silentLogger,
    intervalMs: 20,
  }, ended.signal);
  assertEquals(await get(fixture, 11), "200 a");
  await until("HTTP traffic is seen", () => used.has("default/one_http"));
  assertEquals(await greeting("127.0.0.12", fixture.tcpPort), "b");
  await until("TCP traffic is seen", () => used.has("default/two_tcp"));
  ended.abort();
  await watching;
  assertEquals(used.size, 2, [...used].join());
});

Deno.test("watchClusterUse(): an Envoy that is not there is no fault, and the end is heard", async () => {
  const ended = new AbortController();
  const tried = Promise.withResolvers<void>();
  const logger = { ...silentLogger, debug: () => tried.resolve() };
  const onUsed = (): void => {
    throw new Error("nobody is there");
  };
  const adminSocket = "/proc/none/admin.sock";
  const after = Promise.resolve();
  const watching = watchClusterUse({ adminSocket, after, onUsed, logger }, ended.signal);
  await tried.promise;
  ended.abort();
  await watching;
});

Deno.test("watchClusterUse(): it does not look before it may, and the end is heard then too", async () => {
  const ended = new AbortController();
  const logger = {
    ...silentLogger,
    debug: (): void => {
      throw new Error("it looked");
    },
  };
  const after = new Promise<void>(() => {});
  const watching = watchClusterUse(
    { adminSocket: "/proc/none/admin.sock", after, onUsed: () => {}, logger },
    ended.signal,
  );
  ended.abort();
  await watching;
});

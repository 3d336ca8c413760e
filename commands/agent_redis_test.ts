/**
 * The whole program before two real Redis servers, asked by redis-cli: which commands go where, what comes back, and what
 * Envoy counts.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import type { Namespace } from "../scripts/lab/mod.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { progress } from "../scripts/tool_path.ts";
import { ensureTool } from "../scripts/tools/mod.ts";
import { service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

const server = await ensureTool("redis-server", { onProgress: progress });
const cli = await ensureTool("redis-cli", { onProgress: progress });
const unavailable = [...fixtureUnavailable, server.unavailable, cli.unavailable];

const VIP = "10.96.0.20";
const KEYS = Array.from({ length: 20 }, (_, index) => `key-${index}`);
const VALUES = KEYS.map((key) => `value-of-${key}`);

/** Gives redis-cli commands, a line each, on one connection; the lines it prints, errors among them. */
async function redis(
  from: Namespace,
  host: string,
  ...commands: readonly string[]
): Promise<readonly string[]> {
  const stdin = commands.map((command) => `${command}\n`).join("");
  const { stdout } = await from.exec([cli.path ?? "", "-h", host], { stdin });
  // An error is followed by an empty line.
  return stdout.split("\n").filter((line) => line !== "");
}

async function startRedis(namespace: Namespace): Promise<{ kill(): Promise<void> }> {
  // Nothing is written to disk, and whoever reaches it may use it.
  const flags = ["--save", "", "--protected-mode", "no", "--bind", "0.0.0.0"];
  const process = namespace.spawn([server.path ?? "", ...flags]);
  await process.waitForLine(/Ready to accept connections/);
  return { kill: () => process.kill("SIGKILL") };
}

for (const mode of ["on-demand", "eager"] as const) {
  testUnless(`redis, ${mode}: each key has its server`, { unavailable }, async (t) => {
    await using fixture = await NodeFixture.create();
    const { lab } = fixture;
    const pod = fixture.client.namespace;
    const addresses = fixture.addresses("ipv4");
    const servers = await Promise.all(fixture.backends.map(({ namespace }) => startRedis(namespace)));
    const agent = await fixture.startAgent(`--mode=${mode}`).ready();

    /** How many keys each server has. */
    const sizes = async (): Promise<readonly number[]> =>
      await Promise.all(addresses.map(async (address) => Number((await redis(pod, address, "DBSIZE"))[0])));
    const readKeys = (from: Namespace): Promise<readonly string[]> =>
      redis(from, VIP, ...KEYS.map((key) => `GET ${key}`));
    const stats = (prefix: string): Promise<string> => fixture.envoyAdmin(`/stats?filter=^${prefix}`);

    await t.step("a Service that comes answers at its first connection", async () => {
      await fixture.manifests.write("cache.yaml", [
        service("cache", {
          clusterIPs: [VIP],
          ports: [{ name: "main", port: 6379, appProtocol: "lightpath.cloud/redis" }],
        }),
        slice("cache", { addresses, ports: [{ name: "main", port: 6379 }] }),
      ]);
      await until("the Service", () => redis(pod, VIP, "PING"), { wanted: ([answer]) => answer === "PONG" });
      const set = KEYS.map((key, index) => `SET ${key} ${VALUES[index]}`);
      assertEquals(await redis(pod, VIP, ...set), KEYS.map(() => "OK"));
    });

    await t.step("its connections are all clients' at once, and so come from the node", async () => {
      // The question's own connection is among them, and comes from the pod that asks.
      const clients = (await redis(pod, addresses[0] ?? "", "CLIENT LIST")).join("\n");
      assertEquals(
        new Set([...clients.matchAll(/ addr=([\d.]+):/g)].map(([, address]) => address)),
        new Set(["10.244.0.1", fixture.client.ipv4]),
      );
    });

    await t.step("keys are spread over both, and each is found again from everywhere", async () => {
      const [one = 0, other = 0] = await sizes();
      assertEquals(one + other, KEYS.length);
      assert(one > 0 && other > 0, `${one} and ${other}`);
      assertEquals(await readKeys(pod), VALUES);
      assertEquals(await readKeys(lab.node), VALUES);
    });

    await t.step("Envoy counts the commands", async () => {
      const counts = await stats("redis.default/cache_main.command");
      assertMatch(counts, /command\.get\.success: 40\n/);
      assertMatch(counts, /command\.set\.success: 20\n/);
    });

    await t.step("commands of many keys are split, and answered in the order of the keys", async () => {
      assertEquals(await redis(pod, VIP, `MGET ${KEYS.join(" ")}`), VALUES);
      const pairs = KEYS.map((key) => `new-${key} ${key}`).join(" ");
      assertEquals(await redis(pod, VIP, `MSET ${pairs}`), ["OK"]);
      assertEquals((await sizes()).reduce((sum, size) => sum + size), 2 * KEYS.length);
      const names = KEYS.map((key) => `new-${key}`).join(" ");
      assertEquals(await redis(pod, VIP, `EXISTS ${names} none`, `DEL ${names} none`), ["20", "20"]);
      assertEquals((await sizes()).reduce((sum, size) => sum + size), KEYS.length);
    });

    await t.step("commands without a key go to all", async () => {
      assertEquals((await redis(pod, VIP, "KEYS *")).toSorted(), KEYS.toSorted());
    });

    await t.step("other types, times to live and scripts of one key", async () => {
      assertEquals(
        await redis(
          pod,
          VIP,
          "INCRBY count 41",
          "INCR count",
          "EXPIRE count 100",
          "TTL count",
          "HSET hash a 1 b 2",
          "HGETALL hash",
          "RPUSH list x y",
          "LRANGE list 0 -1",
          `EVAL "return redis.call('GET', KEYS[1])" 1 count`,
          "DEL count hash list",
        ),
        ["41", "42", "1", "100", "2", "a", "1", "b", "2", "2", "x", "y", "42", "3"],
      );
    });

    await t.step("what a server or Envoy refuses is told, and the connection goes on", async () => {
      const answers = await redis(pod, VIP, "LPUSH key-0 x", "NOSUCH key-0", "GET key-0");
      assertMatch(answers[0] ?? "", /^WRONGTYPE /);
      assertMatch(answers[1] ?? "", /^ERR unknown command/);
      assertEquals(answers.slice(2), ["value-of-key-0"]);
      assertMatch(await stats("redis.default/cache_main.splitter"), /unsupported_command: [1-9]/);
    });

    await t.step("Envoy dies: the next one has all of it before it listens", async () => {
      await fixture.killEnvoy();
      await until("Envoy's end", () => agent.metric("lightpath_envoy_exits_total"), {
        wanted: (count) => count === 1,
      });
      await agent.ready();
      assertEquals(await readKeys(pod), VALUES);
    });

    await t.step("a server dies: its keys are errors at once, those of the other are there", async () => {
      await servers[1]?.kill();
      const [left] = await sizes();
      const answers = await readKeys(pod);
      assertEquals(answers.length, KEYS.length);
      const there = answers.filter((answer, index) => answer === VALUES[index]);
      assertEquals(there.length, left);
      for (const answer of answers.filter((answer) => !there.includes(answer))) {
        assertMatch(answer, /^(ERR )?upstream failure|^no upstream host/);
      }
      const errors = KEYS.length - (left ?? 0);
      assertMatch(
        await stats("redis.default/cache_main.command.get"),
        new RegExp(`get\\.error: ${errors}\n`),
      );
    });

    assertEquals(await agent.metric("lightpath_xds_nacks_total"), 0);
    assertEquals(
      await agent.metric("lightpath_xds_on_demand_requests_total", { type: "Cluster" }),
      0,
      "nobody asked for a Cluster",
    );
    assertEquals(await agent.stop(), 0);
  });
}

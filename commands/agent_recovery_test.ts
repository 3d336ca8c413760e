/**
 * What the whole program does while Envoy or nft fails, or somebody else changes the kernel's table: it says so, goes
 * on with the rest, and comes back by itself.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { testUnless } from "../scripts/lab/testing.ts";
import { service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NFT, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

async function writeService(
  fixture: NodeFixture,
  name: string,
  clusterIPs: readonly string[],
): Promise<void> {
  await fixture.manifests.write(`${name}.yaml`, [
    service(name, { clusterIPs, ports: [{ name: "http", port: 80 }, { name: "echo", port: 9000 }] }),
    ...(["ipv4", "ipv6"] as const).map((family) =>
      slice(name, {
        addresses: fixture.addresses(family, 0),
        ports: [{ name: "http", port: 8080 }, { name: "echo", port: 9000 }],
      })
    ),
  ]);
}

testUnless("the agent says what is missing, and recovers", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  const { node, pod } = fixture;
  const folder = fixture.manifests.path;
  const broken = `${folder}/nft-is-broken`;
  const wrapper = `${folder}/nft-that-may-break`;
  const script =
    `#!/bin/sh\nif [ -e ${broken} ]; then echo "Error: out of order" >&2; exit 1; fi\nexec ${NFT} "$@"\n`;
  await Deno.writeTextFile(wrapper, script, { mode: 0o755 });
  await writeService(fixture, "web", ["10.96.0.10", "fd00:10:96::10"]);
  const agent = fixture.startAgent("--envoy=external", `--nft-bin=${wrapper}`, "--resync-interval=1s");

  await t.step(
    "without Envoy it is not ready and says why, and the kernel serves in its place",
    async () => {
      const { reasons } = await until("the first plan", () => agent.readyz(), {
        wanted: ({ reasons }) => Object.keys(reasons).join() === "envoyConnected",
      });
      assertEquals(reasons["envoyConnected"], "no Envoy is connected yet");
      const answers = ["10.96.0.10", "[fd00:10:96::10]"].flatMap((host) =>
        [pod, node].flatMap((from) => [from.who(`${host}:80`), from.who(`${host}:9000`, "tcp")])
      );
      assertEquals(await Promise.all(answers), Array(8).fill("backend-1"));
    },
  );

  await t.step("/healthz and /livez are kube-proxy's, and fine", async () => {
    for (const path of ["/healthz", "/livez"]) {
      const { status, headers, body } = await node.http("127.0.0.1:10256", { path });
      assertEquals([status, headers["content-type"]], [200, "application/json"]);
      const { lastUpdated, currentTime, healthy, nodeEligible, status: families } = JSON.parse(body);
      assert(!Number.isNaN(Date.parse(lastUpdated)) && !Number.isNaN(Date.parse(currentTime)), body);
      assertEquals([healthy, nodeEligible], [true, path === "/healthz" ? true : undefined]);
      assertEquals([families.IPv4.healthy, families.IPv6.healthy], [true, true]);
    }
  });

  const envoy = await fixture.startEnvoy();

  await t.step("it is ready when Envoy comes, and not any more when it goes", async () => {
    await agent.ready();
    assertEquals(await pod.who("10.96.0.10:80"), "backend-1");
    await envoy.kill("SIGKILL");
    const { reasons } = await until("the reason", () => agent.readyz(), { wanted: ({ ready }) => !ready });
    assertMatch(
      reasons["envoyConnected"] ?? "",
      /no Envoy is connected to unix:\/run\/lightpath\/ads\.sock any more/,
    );
    const meanwhile = pod.who("10.96.0.10:80");
    await fixture.startEnvoy();
    assertEquals(await meanwhile, "backend-1");
    await agent.ready();
    assertEquals(await pod.who("10.96.0.10:80"), "backend-1");
  });

  await t.step("while nft fails it says so, and afterwards all that came meanwhile is applied", async () => {
    await Deno.writeTextFile(broken, "");
    await writeService(fixture, "meanwhile", ["10.96.0.11", "fd00:10:96::11"]);
    const { reasons } = await until("the reason", () => agent.readyz(), { wanted: ({ ready }) => !ready });
    assertMatch(reasons["planApplied"] ?? "", /out of order/);
    const failed = { result: "failed" };
    await until("a repetition", () => agent.metric("lightpath_nft_transactions_total", failed), {
      wanted: (count) => count >= 2,
    });
    assert(await agent.metric("kubeproxy_sync_proxy_rules_nftables_sync_failures_total") >= 2);
    // What is in the kernel goes on.
    assertEquals(await pod.who("10.96.0.10:80"), "backend-1");
    await fixture.manifests.remove("web.yaml");
    await Deno.remove(broken);
    await agent.ready();
    for (const host of ["10.96.0.11", "[fd00:10:96::11]"]) {
      assertEquals(await pod.who(`${host}:80`), "backend-1");
      assertEquals(await node.who(`${host}:9000`, "tcp"), "backend-1");
    }
    await until("web's end", () => pod.who("10.96.0.10:80"), { wanted: (who) => who === "unreachable" });
  });

  for (
    const [what, ...words] of [
      ["deletes the table", "delete", "table", "inet", "lightpath"],
      ["empties a map", "flush", "map", "inet", "lightpath", "service-ips-4"],
      ["removes a chain's rules", "flush", "chain", "inet", "lightpath", "after-input"],
    ]
  ) {
    await t.step(`somebody ${what}: it is repaired at the next comparison, and counted`, async () => {
      const before = await fixture.ruleset();
      const drift = await agent.metric("lightpath_nft_drift_total");
      await fixture.nftByHand(...words);
      assert(await fixture.ruleset() !== before, "nothing was changed by hand");
      await until("the table", () => fixture.ruleset(), {
        wanted: (now) => now === before,
        timeoutMs: 5_000,
      });
      await until("the count", () => agent.metric("lightpath_nft_drift_total"), {
        wanted: (count) => count > drift,
      });
      assertEquals(await pod.who("10.96.0.11:80"), "backend-1");
      assertEquals(await pod.who(`${fixture.lab.nodeAddresses.ipv4}:1667`), "refused");
    });
  }

  await t.step("a change that meets a deleted table is not lost", async () => {
    await fixture.nftByHand("delete", "table", "inet", "lightpath");
    await writeService(fixture, "web", ["10.96.0.10", "fd00:10:96::10"]);
    await until("an answer", () => pod.who("10.96.0.10:80"), { wanted: (who) => who === "backend-1" });
    assertEquals((await agent.ready()).lines(/please report/), []);
  });

  assertEquals(await agent.stop(), 0);
  await fixture.killEnvoy();

  await t.step(
    "an Envoy that cannot start: the reason is told in one line, and it is tried again",
    async () => {
      const script = "const l = Deno.listen({ hostname: '0.0.0.0', port: 1667 }); " +
        "console.log('listening'); await l.accept();";
      const taken = fixture.lab.node.spawn([Deno.execPath(), "eval", "--no-config", script]);
      await taken.waitForLine(/listening/);
      const another = fixture.startAgent();
      const { reasons } = await until("the reason", () => another.readyz(), {
        wanted: ({ reasons }) => reasons["envoyConnected"]?.startsWith("Envoy ended") === true,
      });
      assertMatch(reasons["envoyConnected"] ?? "", /^[^\n]*'0\.0\.0\.0:1667': Address already in use[^\n]*$/);
      await taken.stop();
      await another.ready();
      assertEquals(await pod.who("10.96.0.10:80"), "backend-1");
      assertEquals(await another.stop(), 0);
    },
  );
});

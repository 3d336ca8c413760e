/**
 * The whole program ends and comes back: traffic goes on, nothing is sent or written again; two agents do not disturb
 * each other; what is left behind at the end is what is meant to be.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { type Namespace, startLoad } from "../scripts/lab/mod.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { operatorSentence, runLightpath, type RunningAgent } from "./testing/lightpath_process.ts";
import { service, slice } from "./testing/manifests.ts";
import { ENVOY_COMMAND, fixtureUnavailable, NFT, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

const VIP = "10.96.0.10";
const VIP6 = "fd00:10:96::10";

async function writeServices(fixture: NodeFixture): Promise<void> {
  const ports = [{ name: "http", port: 80, nodePort: 30080 }, { name: "echo", port: 9000 }];
  const endpointPorts = [{ name: "http", port: 8080 }, { name: "echo", port: 9000 }];
  await fixture.manifests.write("web.yaml", [
    service("web", { clusterIPs: [VIP, VIP6], ports, spec: { type: "NodePort" } }),
    slice("web", { addresses: fixture.addresses("ipv4"), ports: endpointPorts }),
    slice("web", { addresses: fixture.addresses("ipv6"), ports: endpointPorts }),
    service("empty", { clusterIPs: ["10.96.0.20"], ports: [{ port: 80 }] }),
  ]);
}

/** Clients that go on while something happens; the report of each has to be without failures. */
async function whileClientsLoop(from: Namespace, happening: () => Promise<void>): Promise<void> {
  const runs = [
    startLoad(from, { url: `http://${VIP}/`, pauseMs: 5 }),
    startLoad(from, { url: `http://[${VIP6}]/`, newConnections: true, pauseMs: 5 }),
    startLoad(from, { url: `tcp://${VIP}:9000`, pauseMs: 5 }),
    startLoad(from, { url: `tcp://${VIP}:9000`, newConnections: true, pauseMs: 5 }),
  ];
  await Promise.all(runs.map((run) => run.started()));
  await happening();
  for (const run of runs) {
    const { failed, errors, requests } = await run.stop();
    assertEquals({ failed, errors }, { failed: 0, errors: {} }, `of ${requests} requests`);
  }
}

testUnless("an agent that is restarted disturbs nothing", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  await writeServices(fixture);
  await fixture.startEnvoy();
  const first = await fixture.startAgent("--envoy=external").ready();
  let running: RunningAgent = first;

  for (const how of ["SIGTERM", "SIGKILL"] as const) {
    await t.step(`${how}: no request fails, nothing is sent or written again`, async () => {
      let before = "";
      await whileClientsLoop(fixture.client.namespace, async () => {
        before = await fixture.ruleset();
        if (how === "SIGTERM") assertEquals(await running.stop(), 0);
        else await running.kill();
        const alone = await fixture.ruleset();
        // Told to end, it leaves a note of what Envoy can carry alone; killed, it cannot.
        if (how === "SIGTERM") assertMatch(alone, /set envoy-alone \{[^}]*elements = \{ tcp \}/);
        else assertEquals(alone, before, "the kernel's table without an agent");
        running = await fixture.startAgent("--envoy=external").ready();
        // Clusters in use are asked for by now, because all clients made connections since.
        for (const address of [VIP, `[${VIP6}]`]) {
          assertMatch(await fixture.pod.who(`${address}:80`), /^backend-/);
        }
      });
      assertEquals(await fixture.ruleset(), before, "the kernel's table with the new agent");
      assertEquals(await running.metric("lightpath_xds_resources_sent_total"), 0);
      assertEquals(await running.metric("lightpath_nft_elements_total", { action: "added" }), 0);
      // The note: that Envoy is alone, and which destinations were used.
      const note = how === "SIGTERM" ? 1 + 3 : 0;
      assertEquals(await running.metric("lightpath_nft_elements_total", { action: "deleted" }), note);
      assertEquals(await running.metric("lightpath_nft_transactions_total", { result: "failed" }), 0);
      assertEquals(await running.metric("lightpath_connected_envoys"), 1);
    });
  }

  await t.step("what changed while no agent ran is sent and written, and only that", async () => {
    await running.kill();
    await fixture.manifests.write("empty-slice.yaml", [
      slice("empty", { addresses: fixture.addresses("ipv4", 1), ports: [{ port: 8080 }] }),
    ]);
    running = await fixture.startAgent("--envoy=external").ready();
    // From the set of destinations without endpoints into the map of those that are served, and its endpoint.
    assertEquals(await running.metric("lightpath_nft_elements_total", { action: "added" }), 2);
    assertEquals(await running.metric("lightpath_nft_elements_total", { action: "deleted" }), 1);
    // Envoy never asked for it.
    assertEquals(await running.metric("lightpath_xds_resources_sent_total"), 0);
    assertEquals(await fixture.pod.who("10.96.0.20:80"), "backend-2");
    assertEquals(await running.metric("lightpath_xds_resources_sent_total"), 2);
  });

  await t.step("changes are written without nft: none is kept running", async () => {
    await fixture.manifests.remove("empty-slice.yaml");
    await until("the change", () => fixture.pod.who("10.96.0.20:80"), { wanted: (who) => who === "refused" });
    assertEquals(running.lines(/nft writes all changes/), []);
    assertEquals(await fixture.processes("[n]ft -i "), 0);
  });

  await t.step(
    "SIGTERM ends it with 0 and leaves the table; cleanup removes it, and nothing else",
    async () => {
      await fixture.nftByHand("add table inet stranger");
      assertEquals(await running.stop(), 0);
      assertMatch(await fixture.ruleset(), /table inet lightpath/);
      for (let times = 0; times < 2; times++) {
        const { code, stderr } = await runLightpath(fixture.lab.node, ["cleanup", `--nft-bin=${NFT}`]);
        assertEquals(code, 0, stderr);
        assertEquals((await fixture.ruleset()).trim(), "table inet stranger {\n}");
      }
      assertEquals((await fixture.lab.node.run(["ls", "/run/lightpath"])).includes("ads.sock"), false);
    },
  );
});

testUnless("an agent that runs Envoy takes it along", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  await writeServices(fixture);
  let agent = await fixture.startAgent().ready();
  const { node } = fixture.lab;
  assertEquals(await fixture.processes(ENVOY_COMMAND), 1);

  await t.step(
    "a second agent ends with a sentence, whatever it does not share; the first is unharmed",
    async () => {
      const before = await fixture.ruleset();
      const flags = [
        "agent",
        `--manifests=${fixture.manifests.path}`,
        `--nft-bin=${NFT}`,
        "--envoy=external",
      ];
      const elsewhere = [
        "--state-dir=",
        "--healthz-bind-address=127.0.0.1:11256",
        "--metrics-bind-address=127.0.0.1:11249",
      ];
      const sameTable =
        /lightpath agent \(pid \d+, --run-dir \/run\/lightpath\) keeps the table inet lightpath/;
      for (
        const [sentence, ...different] of [
          [sameTable],
          [sameTable, "--run-dir=/run/second", "--tcp-port=2666", "--http-port=2667"],
          [/another agent serves \/run\/lightpath\/ads\.sock/, "--redirect=none"],
        ] as const
      ) {
        const second = await runLightpath(node, [...flags, ...elsewhere, ...different]);
        assertMatch(operatorSentence(second), sentence);
        assertEquals(await fixture.ruleset(), before);
      }
      assertEquals(await agent.readyz(), { ready: true, reasons: {} });
      // A Service that Envoy does not know yet still finds the first agent.
      assertMatch(await fixture.pod.who(`${VIP}:80`), /^backend-/);
      assertEquals(await agent.metric("lightpath_connected_envoys"), 1);
    },
  );

  await t.step(
    "addresses of kube-proxy's mode ipvs are refused, and what removes them is named",
    async () => {
      // Any type of interface will do; not every kernel has kube-proxy's, `dummy`.
      await node.ip(["link add kube-ipvs0 type bridge", "addr add 10.96.7.7/32 dev kube-ipvs0"]);
      const flags = ["--redirect=nftables", `--manifests=${fixture.manifests.path}`, `--nft-bin=${NFT}`];
      // The first agent has the table, and would be named before.
      assertEquals(await agent.stop(), 0);
      const before = await fixture.ruleset();
      const refused = await runLightpath(node, ["agent", ...flags, "--envoy=external", "--state-dir="]);
      assertMatch(operatorSentence(refused), /ipvs .*10\.96\.7\.7.* "ip link delete kube-ipvs0"/);
      assertEquals(await fixture.ruleset(), before);
      await node.ip(["link delete kube-ipvs0"]);
      agent = await fixture.startAgent().ready();
    },
  );

  await t.step("cleanup beside a running agent refuses, and says which agent", async () => {
    const before = await fixture.ruleset();
    const result = await runLightpath(node, ["cleanup", `--nft-bin=${NFT}`]);
    assertMatch(
      operatorSentence(result),
      /lightpath agent \(pid \d+, .*\) keeps the table inet lightpath .*: end it first/,
    );
    assertEquals(await fixture.ruleset(), before);
  });

  await t.step("an Envoy that dies is started again, and traffic comes back", async () => {
    await fixture.killEnvoy();
    await until("traffic", () => fixture.pod.who(`${VIP}:80`), {
      wanted: (who) => who.startsWith("backend-"),
    });
    assertEquals(await agent.metric("lightpath_envoy_exits_total"), 1);
    assertEquals((await agent.ready()).lines(/please report/), []);
  });

  await t.step("SIGTERM ends both, and the sockets go", async () => {
    assertEquals(await agent.stop(), 0);
    assertEquals(await fixture.processes(ENVOY_COMMAND), 0);
    assertMatch(await fixture.ruleset(), /table inet lightpath/);
    assertEquals(await node.run(["sh", "-c", "ls /run/lightpath | grep sock; true"]), "");
    // The kernel goes on without either.
    assertMatch(await fixture.pod.who(`${VIP}:80`), /^backend-/);
  });

  await t.step("an agent that is killed does not leave its Envoy in the next one's way", async () => {
    const killed = await fixture.startAgent().ready();
    await killed.kill();
    const next = await fixture.startAgent().ready();
    assertEquals(await fixture.processes(ENVOY_COMMAND), 1);
    assertMatch(await fixture.pod.who(`${VIP}:80`), /^backend-/);
    assertEquals(await next.stop(), 0);
    assertEquals(await fixture.processes(ENVOY_COMMAND), 0);
  });
});

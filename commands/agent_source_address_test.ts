/**
 * The whole program: endpoints see their clients' addresses through Envoy, whatever else goes on; and where the node cannot do
 * that, they see the node's, which is said. (Which clients, destinations and endpoints: the table of `deno task parity`.)
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { startLoad } from "../scripts/lab/mod.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { runLightpath, type RunningAgent } from "./testing/lightpath_process.ts";
import { type Manifest, service, slice } from "./testing/manifests.ts";
import { ENVOY, fixtureUnavailable, NFT, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

const VIP = "10.96.0.10";
const VIP6 = "fd00:10:96::10";
/** The node, as a pod of its own sees it. */
const NODE_S = "10.244.0.1";
/** Of a Service with Listeners of its own. */
const IDLE = "10.96.0.11";

function web(fixture: NodeFixture, name: string, clusterIPs: readonly string[], more = {}): Manifest[] {
  const ports = [{ name: "http", port: 8080 }, { name: "echo", port: 9000 }];
  return [
    service(name, { clusterIPs, ports: [{ name: "http", port: 80 }, { name: "echo", port: 9000 }], ...more }),
    slice(name, { addresses: fixture.addresses("ipv4"), ports }),
    slice(name, { addresses: fixture.addresses("ipv6"), ports }),
  ];
}

async function writeServices(fixture: NodeFixture): Promise<void> {
  await fixture.manifests.write("web.yaml", web(fixture, "web", [VIP, VIP6]));
  await fixture.manifests.write(
    "idle.yaml",
    web(fixture, "idle", [IDLE], { annotations: { "config.lightpath.cloud/idle-timeout": "20m" } }),
  );
}

/** The address from which the pod's connections reach endpoints, by HTTP and by TCP. */
async function seen({ pod }: NodeFixture, host = VIP): Promise<string[]> {
  const bodies = await Promise.all([pod.http(`${host}:80`), pod.tcp(`${host}:9000`)]);
  return bodies.map(({ outcome, body }) => /RemoteAddr: \[?(\S+?)\]?:\d+$/m.exec(body)?.[1] ?? outcome);
}

/** Seen of both, the same. */
function both(address: string | null | undefined): string[] {
  return [String(address), String(address)];
}

/** What the node's policy routing has of Lightpath. */
async function policyRoutes({ lab }: NodeFixture): Promise<string[]> {
  const script =
    "for f in -4 -6; do ip $f rule; ip $f route show table all; done | grep -E '^7[678]:|table (1676|5000)'";
  const { stdout } = await lab.node.exec(["sh", "-c", script]);
  return stdout.trimEnd().split("\n").filter((line) => line !== "");
}

async function preserved(agent: RunningAgent): Promise<number> {
  return await agent.metric("lightpath_client_address_preserved");
}

testUnless("endpoints see their clients through Envoy", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  const { pod, lab, client, manifests } = fixture;
  await writeServices(fixture);
  const agent = await fixture.startAgent().ready();

  await t.step("in both families, by HTTP and TCP, and through Listeners of their own", async () => {
    assertEquals(await seen(fixture), both(client.ipv4));
    assertEquals(await seen(fixture, `[${VIP6}]`), both(client.ipv6));
    assertEquals(await seen(fixture, IDLE), both(client.ipv4));
    assertEquals(await pod.isThroughEnvoy(`${VIP}:80`), true);
    assertEquals(await preserved(agent), 1);
  });

  await t.step("x-forwarded-for names them as before", async () => {
    const { body } = await pod.http(`${VIP}:80`, { headers: [["x-forwarded-for", "203.0.113.9"]] });
    assertMatch(body, new RegExp(`^x-forwarded-for: 203\\.0\\.113\\.9, ?${client.ipv4}$`, "m"));
  });

  await t.step("a request is tried at another endpoint when one refuses", async () => {
    const ports = [{ name: "http", port: 8080 }, { name: "echo", port: 9000 }];
    const [service] = web(fixture, "web", [VIP, VIP6]);
    // Nobody listens at the second one's port 1.
    await manifests.write("web.yaml", [
      service!,
      slice("web", { addresses: fixture.addresses("ipv4", 0), ports }),
      {
        ...slice("web", { addresses: fixture.addresses("ipv4", 1), ports: [{ name: "http", port: 1 }] }),
        metadata: {
          name: "web-closed",
          namespace: "default",
          labels: { "kubernetes.io/service-name": "web" },
        },
      },
    ]);
    await until("both endpoints", async () => await fixture.envoyAdmin("/clusters"), {
      wanted: (clusters) => clusters.includes(`${VIP}:80::${fixture.addresses("ipv4", 1)[0]}:1::`),
    });
    const answers = new Set<string>();
    // One after the other: retries are limited to ten at a time.
    for (let count = 0; count < 20; count++) answers.add(await pod.who(`${VIP}:80`));
    assertEquals(answers, new Set(["backend-1"]));
    await writeServices(fixture);
  });

  await t.step("a client may have many connections at once", async () => {
    const script = "import socket\n" +
      `held = [socket.create_connection(("${VIP}", 9000), 10) for _ in range(400)]\n` +
      "print(sum(b'Hostname' in one.recv(200) for one in held))";
    assertEquals((await client.namespace.run(["python3", "-c", script])).trim(), "400");
  });

  await t.step("rp_filter and src_valid_mark may be on", async () => {
    await lab.node.sysctl({ "net/ipv4/conf/all/rp_filter": "1", "net/ipv4/conf/all/src_valid_mark": "1" });
    assertEquals(await seen(fixture), both(client.ipv4));
    await lab.node.sysctl({ "net/ipv4/conf/all/rp_filter": "2" });
    assertEquals(await seen(fixture), both(client.ipv4));
  });

  await t.step("connections of which one side has said all are remembered for an hour", async () => {
    const path = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait";
    const seconds = async (): Promise<string> => (await lab.node.run(["cat", path])).trim();
    await until("the kernel's setting", seconds, { wanted: (text) => text === "3600" });
    assertEquals(agent.lines(/raised limits of connection tracking/).length, 1);
  });

  await t.step("what somebody removed is made again", async () => {
    const before = await policyRoutes(fixture);
    await agent.stop();
    for (const family of ["-4", "-6"]) {
      await lab.node.run(["ip", family, "rule", "del", "priority", "77"]);
      await lab.node.run(["ip", family, "route", "flush", "table", "1676"]);
    }
    await using _again = await started(fixture, "--resync-interval=1s");
    assertEquals(await policyRoutes(fixture), before);
    await lab.node.ip(["rule del priority 76", "route flush table 1676"]);
    await until("the rule", () => policyRoutes(fixture), {
      wanted: ({ length }) => length === before.length,
    });
    assertEquals(await seen(fixture), both(client.ipv4));
  });

  await t.step("cleanup leaves nothing behind, and is content with nothing", async () => {
    assertEquals((await policyRoutes(fixture)).length, 10);
    for (const _ of [1, 2]) {
      assertEquals((await runLightpath(lab.node, ["cleanup", `--nft-bin=${NFT}`])).code, 0);
      assertEquals(await policyRoutes(fixture), []);
    }
  });

  await t.step("with other marks and another table it is the same", async () => {
    await using other = await started(fixture, "--mark-mask=0x30000000", "--route-table=5000");
    assertEquals(await seen(fixture), both(client.ipv4));
    assertMatch((await policyRoutes(fixture)).join("\n"), /fwmark 0x20000000\/0x30000000 lookup 5000/);
    assertEquals(other.lines(/WARN/), []);
  });
});

/** An agent that ends with its scope. */
async function started(
  fixture: NodeFixture,
  ...flags: readonly string[]
): Promise<RunningAgent & AsyncDisposable> {
  const agent = await fixture.startAgent(...flags).ready();
  return Object.assign(agent, { [Symbol.asyncDispose]: async () => void await agent.stop() });
}

/** An Envoy without the capabilities that the client's address takes. */
const WEAK = ["setpriv", "--bounding-set=-net_admin,-net_raw", "--"];

testUnless("without what it takes endpoints see the node", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  const { pod, lab, manifests } = fixture;
  await writeServices(fixture);
  const weakEnvoy = `${manifests.path}/../weak-envoy-${Deno.pid}`;
  await using _files = {
    [Symbol.asyncDispose]: () => Deno.remove(weakEnvoy),
  };
  await Deno.writeTextFile(weakEnvoy, `#!/bin/sh\nexec ${WEAK.join(" ")} ${ENVOY} "$@"\n`, { mode: 0o700 });

  const lacks: readonly (readonly [what: string, flags: readonly string[], because: RegExp])[] = [
    ["no ip", ["--ip-bin=/nowhere/ip"], /there is no program "\/nowhere\/ip"; install iproute2, or name it/],
    ["no policy routing", ["--ip-bin=/bin/false"], /^ip .* was refused/],
    ["no capability", [`--envoy-bin=${weakEnvoy}`], /Envoy lacks the capability CAP_NET_ADMIN; add it/],
  ];
  for (const [what, flags, because] of lacks) {
    await t.step(what, async () => {
      await using agent = await started(fixture, ...flags);
      assertEquals(await seen(fixture), both(NODE_S));
      assertEquals(await pod.isThroughEnvoy(`${VIP}:80`), true);
      assertEquals(await preserved(agent), 0);
      const said = agent.lines(/endpoints see this node's address instead of their clients'/);
      assertEquals(said.length, 1);
      assertMatch(String(said[0]?.fields["because"]), because);
      const { stdout } = await runLightpath(lab.node, ["explain", "default/web"]);
      assertMatch(stdout, /^Endpoints see this node's address, not their clients', through Envoy: /m);
      const { body } = await fixture.node.http("127.0.0.1:10256", { path: "/readyz" });
      assertMatch(JSON.parse(body).notes.sourceAddress, /^endpoints see this node's address: /);
    });
  }

  await t.step("nor where it is not wanted, of which nothing is said", async () => {
    await using agent = await started(fixture, "--source-address=node");
    assertEquals(await seen(fixture), both(NODE_S));
    assertEquals(agent.lines(/endpoints see|WARN/), []);
  });
});

testUnless(
  "an Envoy that others start does as the agent decides",
  { unavailable: fixtureUnavailable },
  async (t) => {
    await using fixture = await NodeFixture.create();
    const { pod, client } = fixture;
    await writeServices(fixture);
    const envoy = await fixture.startEnvoy();
    const first = await fixture.startAgent("--envoy=external").ready();

    await t.step("its process is found, and may", async () => {
      assertEquals(await seen(fixture), both(client.ipv4));
    });

    await t.step("an agent that is started again sends nothing, and no request fails meanwhile", async () => {
      const load = startLoad(client.namespace, {
        url: `http://${VIP}:80/`,
        newConnections: true,
        pauseMs: 5,
      });
      await load.started();
      await first.stop();
      const second = await fixture.startAgent("--envoy=external").ready();
      const { failed, errors } = await load.stop();
      assertEquals({ failed, errors }, { failed: 0, errors: {} });
      assertEquals(await second.metric("lightpath_xds_resources_sent_total"), 0);
      await second.stop();
    });

    await t.step("with another setting it changes that for new connections, and cuts none", async () => {
      const kept = pod.raw(`${VIP}:9000`, { words: "a\n", timeoutMs: 8_000 });
      {
        await using _node = await started(fixture, "--envoy=external", "--source-address=node");
        await until("the node's address", () => seen(fixture), { wanted: ([http]) => http !== client.ipv4 });
        assertEquals(await seen(fixture), both(NODE_S));
      }
      await using _preserve = await started(fixture, "--envoy=external");
      await until("the client's address", () => seen(fixture), { wanted: ([http]) => http === client.ipv4 });
      assertEquals(await seen(fixture), both(client.ipv4));
      assertEquals((await kept).outcome, "timeout");
    });

    await t.step("one that does not ask for the filter is asked for nothing", async () => {
      await using agent = await started(fixture, "--envoy=external");
      await envoy.stop();
      const old = await fixture.startOtherEnvoy({
        change: ({ node, static_resources: { listeners } }) => {
          delete node.metadata["lightpath.cloud/source-filter"];
          for (const listener of listeners) listener.listener_filters.pop();
        },
      });
      await agent.logged(/the bootstrap of an older Lightpath/);
      await until("Envoy", () => pod.isThroughEnvoy(`${VIP}:80`), { wanted: (through) => through === true });
      assertEquals(await seen(fixture), both(NODE_S));
      await old.stop();
    });

    await t.step("one that may not is not asked to", async () => {
      await fixture.startOtherEnvoy({ words: WEAK });
      await using agent = await started(fixture, "--envoy=external");
      await agent.logged(/Envoy lacks the capability/);
      await until("Envoy", () => pod.isThroughEnvoy(`${VIP}:80`), { wanted: (through) => through === true });
      assertEquals(await seen(fixture), both(NODE_S));
    });
  },
);

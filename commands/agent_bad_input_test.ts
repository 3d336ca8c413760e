/**
 * Bad manifests, Services and slices: each is reported once, with its name and the reason, its good part is served,
 * and nothing else suffers.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { startLoad } from "../scripts/lab/mod.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { type Manifest, type PortSpec, service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";
import { summary } from "./testing/vantage_point.ts";

testUnless("bad input holds back nobody else", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  const { manifests, pod, outside } = fixture;
  const nodeAddress = fixture.lab.nodeAddresses.ipv4;
  const [backend1, backend2] = [fixture.addresses("ipv4", 0), fixture.addresses("ipv4", 1)];

  /** A Service with one slice, answered by `backend-1` unless said otherwise. */
  function served(
    name: string,
    clusterIP: string,
    ports: readonly PortSpec[],
    addresses = backend1,
  ): Manifest[] {
    return [
      service(name, { clusterIPs: [clusterIP], ports }),
      slice(name, { addresses, ports: ports.map(({ name = "" }) => ({ name, port: 8080 })) }),
    ];
  }

  await manifests.write("good.yaml", served("good", "10.96.0.10", [{ name: "http", port: 80 }]));
  const agent = await fixture.startAgent().ready();
  const bystander = startLoad(fixture.client.namespace, {
    url: "http://10.96.0.10/",
    newConnections: true,
    pauseMs: 10,
  });
  await bystander.started();

  /** Waits for the one line about an object and checks the counter of its kind. */
  async function reportedOnce(object: RegExp, kind: string): Promise<string> {
    const { level, message } = await agent.logged(object);
    assertEquals(level, "warn");
    assertEquals(agent.lines(object).length, 1, JSON.stringify(agent.lines(object)));
    assert(await agent.metric("lightpath_problems_total", { kind }) > 0, `counter of ${kind}`);
    return message;
  }

  async function answers(target: string, who: string): Promise<void> {
    // A first packet that came too early goes astray, and with it its repetitions: better begin anew soon.
    const ask = async (): Promise<string> => summary(await pod.http(target, { timeoutMs: 200 }));
    await until(`${who} at ${target}`, ask, { wanted: (found) => found === who });
  }

  await t.step(
    "a manifest that does not parse: file, line and reason; its last good state stays",
    async () => {
      const good = served("fickle", "10.96.0.11", [{ name: "http", port: 80 }]);
      await manifests.write("fickle.yaml", good);
      await answers("10.96.0.11:80", "backend-1");
      await manifests.write(
        "fickle.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: fickle\nspec: {}\n",
      );
      const { message, fields } = await agent.logged(/fickle\.yaml:\d/);
      assertMatch(
        `${message} ${JSON.stringify(fields)}`,
        /\/fickle\.yaml:[34].*does not parse, so what it held before stays/,
      );
      assertEquals(await agent.metric("lightpath_problems", { kind: "manifest" }), 1);
      assertEquals(await agent.metric("lightpath_problems_total", { kind: "manifest" }), 1);
      assertEquals(await pod.who("10.96.0.11:80"), "backend-1");
      await manifests.write("fickle.yaml", good);
      await until("the problem's end", () => agent.metric("lightpath_problems", { kind: "manifest" }), {
        wanted: (count) => count === 0,
      });
    },
  );

  await t.step("a document that is no object, and kinds that are none of ours", async () => {
    await manifests.write("mixed.yaml", [
      { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "other" } },
      { apiVersion: "v1", kind: "Service", spec: {} },
      ...served("mixed", "10.96.0.12", [{ name: "http", port: 80 }]),
    ]);
    await answers("10.96.0.12:80", "backend-1");
    await agent.logged(/mixed\.yaml:\d+.*left out/);
    assertEquals(agent.lines(/mixed\.yaml/).length, 1);
  });

  await t.step("a port 0 and a nodePort that is none", async () => {
    const ports = [{ name: "http", port: 80, nodePort: 70_000 }, { name: "zero", port: 0 }];
    await manifests.write("zero.yaml", served("zero", "10.96.0.13", ports));
    await answers("10.96.0.13:80", "backend-1");
    assertMatch(
      await reportedOnce(/default\/zero.*number 0;|number 0;.*default\/zero/, "invalid-port"),
      /"zero"/,
    );
    assertMatch(await reportedOnce(/nodePort 70000/, "invalid-port"), /NodePort is not served/);
  });

  await t.step("an unknown protocol", async () => {
    const ports = [{ name: "http", port: 80 }, { name: "quick", port: 443, protocol: "QUIC" }];
    await manifests.write("protocol.yaml", served("protocol", "10.96.0.14", ports));
    await answers("10.96.0.14:80", "backend-1");
    assertMatch(await reportedOnce(/protocol "QUIC"/, "unknown-protocol"), /"quick"/);
  });

  await t.step("addresses of the wrong family, in a Service and in a slice", async () => {
    const ports = [{ name: "http", port: 80 }];
    const addresses = [...backend1, ...fixture.addresses("ipv6", 1)];
    const [, badSlice] = served("family", "10.96.0.15", ports, addresses);
    await manifests.write("family.yaml", [
      service("family", { clusterIPs: ["10.96.0.15"], ports, spec: { externalIPs: ["2001:db8:51::15"] } }),
      badSlice!,
    ]);
    await answers("10.96.0.15:80", "backend-1");
    await reportedOnce(/externalIP 2001:db8:51::15 is IPv6/, "wrong-family");
    await reportedOnce(/endpoint address fd00:10:244::c is IPv6/, "wrong-family");
    assertEquals(await agent.metric("lightpath_problems", { kind: "wrong-family" }), 2);
  });

  await t.step("two Services of one VIP and port: one has it, until it goes", async () => {
    await manifests.write("vip-a.yaml", served("vip-a", "10.96.0.16", [{ name: "http", port: 80 }]));
    await manifests.write(
      "vip-b.yaml",
      served("vip-b", "10.96.0.16", [{ name: "http", port: 80 }], backend2),
    );
    assertMatch(await reportedOnce(/Service default\/vip-b/, "vip-conflict"), /default\/vip-a/);
    await answers("10.96.0.16:80", "backend-1");
    await manifests.remove("vip-a.yaml");
    await answers("10.96.0.16:80", "backend-2");
    assertEquals(await agent.metric("lightpath_problems", { kind: "vip-conflict" }), 0);
  });

  await t.step("two Services of one NodePort: one has it, until it goes", async () => {
    const ports = [{ name: "http", port: 80, nodePort: 30100 }];
    await manifests.write("node-a.yaml", served("node-a", "10.96.0.17", ports));
    await manifests.write("node-b.yaml", served("node-b", "10.96.0.18", ports, backend2));
    assertMatch(await reportedOnce(/Service default\/node-b/, "node-port-conflict"), /default\/node-a/);
    assertEquals(await outside.who(`${nodeAddress}:30100`), "backend-1");
    await answers("10.96.0.18:80", "backend-2");
    await manifests.remove("node-a.yaml");
    await until("the other's NodePort", () => outside.who(`${nodeAddress}:30100`), {
      wanted: (who) => who === "backend-2",
    });
  });

  await t.step("a slice before its Service", async () => {
    const [late, early] = served("late", "10.96.0.19", [{ name: "http", port: 80 }]);
    await manifests.write("early-slice.yaml", [early!]);
    await manifests.write("late-service.yaml", [late!]);
    await answers("10.96.0.19:80", "backend-1");
    assertEquals(agent.lines(/early-slice|late/), []);
  });

  const { failed, errors, requests } = await bystander.stop();
  assertEquals({ failed, errors }, { failed: 0, errors: {} }, `of ${requests} requests`);
  assertEquals(await agent.readyz(), { ready: true, reasons: {} });
  assertEquals(agent.lines(/please report/), []);
  assertEquals(await agent.stop(), 0);
});

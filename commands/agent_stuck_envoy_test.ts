/**
 * An Envoy that stops to answer: what waits for it merges, nobody else waits for it for longer than the bound, and it is
 * sent the last state when it goes on.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { testUnless } from "../scripts/lab/testing.ts";
import { type Manifest, service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

const SERVICES = 30;
const CHANGES = 40;
const DOOR = "10.96.1.1";

/** All Services, served by one of the two backends. */
function manyServices(fixture: NodeFixture, backend: 0 | 1): Manifest[] {
  return Array.from({ length: SERVICES }, (_, index) => [
    service(`many-${index}`, { clusterIPs: [`10.96.0.${index + 1}`], ports: [{ name: "http", port: 80 }] }),
    slice(`many-${index}`, {
      addresses: fixture.addresses("ipv4", backend),
      ports: [{ name: "http", port: 8080 }],
    }),
  ]).flat();
}

function oneService(fixture: NodeFixture, name: string, clusterIP: string): Manifest[] {
  return [
    service(name, { clusterIPs: [clusterIP], ports: [{ name: "http", port: 80 }] }),
    slice(name, { addresses: fixture.addresses("ipv4", 0), ports: [{ name: "http", port: 8080 }] }),
  ];
}

testUnless("an Envoy that is stuck", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  const { manifests, pod } = fixture;
  await manifests.write("many.yaml", manyServices(fixture, 0));
  await manifests.write("door.yaml", oneService(fixture, "door", DOOR));
  const envoy = await fixture.startEnvoy();
  const agent = await fixture.startAgent("--envoy=external").ready();
  const everywhere = async (backend: string): Promise<void> => {
    for (let index = 0; index < SERVICES; index++) {
      await until(`${backend} behind Service ${index}`, () => pod.who(`10.96.0.${index + 1}:80`), {
        wanted: (who) => who === backend,
      });
    }
  };
  const sent = (): Promise<number> => agent.metric("lightpath_xds_resources_sent_total");
  const queued = (): Promise<number> => agent.metric("kubeproxy_sync_proxy_rules_endpoint_changes_total");
  const kernelOpens = (clusterIP: string): Promise<string | undefined> =>
    until(`${clusterIP} in the kernel`, () => fixture.pathInKernel(`${clusterIP} . tcp . 80`), {
      wanted: (path) => path === "envoy-http",
    });
  await everywhere("backend-1");
  assertEquals(await pod.who(`${DOOR}:80`), "backend-1");
  await manifests.remove("door.yaml");
  await until("the door shut", () => pod.who(`${DOOR}:80`), { wanted: (who) => who === "unreachable" });

  const before = await sent();
  await envoy.kill("SIGSTOP");
  await t.step("is sent one response, however much changes", async () => {
    for (let change = 1; change <= CHANGES; change++) {
      const seen = await queued();
      await manifests.write("many.yaml", manyServices(fixture, change % 2 === 0 ? 0 : 1));
      await until("the change", queued, { wanted: (count) => count > seen });
    }
    await manifests.write("many.yaml", manyServices(fixture, 1));
    const sentWhileStuck = await sent() - before;
    assert(sentWhileStuck <= SERVICES, `${sentWhileStuck} resources sent`);
  });

  await t.step(
    "does not keep the kernel waiting: at once for what it does not hold, else after the bound",
    async () => {
      const timeouts = (): Promise<number> =>
        agent.metric("lightpath_opening_wait_seconds_count", { result: "timeout" });
      await manifests.write("new.yaml", oneService(fixture, "new", "10.96.1.2"));
      await kernelOpens("10.96.1.2");
      assertEquals(await timeouts(), 0);
      await manifests.write("door.yaml", oneService(fixture, "door", DOOR));
      await kernelOpens(DOOR);
      assertEquals(await timeouts(), 1);
      assertEquals(agent.lines(/Envoy has not taken changes in time/).map(({ level }) => level), ["warn"]);
      assertEquals((await agent.readyz()).ready, true);
    },
  );

  await t.step("is sent the last state when it goes on, each resource about once", async () => {
    await envoy.kill("SIGCONT");
    await everywhere("backend-2");
    assertEquals([await pod.who(`${DOOR}:80`), await pod.who("10.96.1.2:80")], ["backend-1", "backend-1"]);
    // What was in flight, each assignment once more, and the two other Services' Cluster and assignment.
    const sentInAll = await sent() - before;
    assert(sentInAll <= 2 * SERVICES + 6, `${sentInAll} resources sent for ${CHANGES * SERVICES} changes`);
    assertEquals(await agent.metric("lightpath_xds_nacks_total"), 0);
  });
  assertEquals(await agent.stop(), 0);
});

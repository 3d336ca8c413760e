/**
 * On-demand discovery in depth, against a real Envoy: crowds of first connections, and Services that go, or come back as
 * something else, while Envoy wants them.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { greeting, httpBackend, slicesFor, tcpBackend } from "./testing/backends.ts";
import { envoyTest, get, sent } from "./testing/envoy_case.ts";
import { EnvoyFixture, until } from "./testing/envoy_fixture.ts";

envoyTest("many cold Services hit at once are all answered", async () => {
  await using a = httpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  const addresses = Array.from({ length: 150 }, (_, index) => `127.0.1.${index + 1}`);
  fixture.apply(...addresses.flatMap((address, index) => [
    fixture.service(`s${index}`, 0, { overrides: { clusterIPs: [address] } }),
    ...slicesFor(`s${index}`, "http", [a]),
  ]));
  const answers = await Promise.all(addresses.map((address) => get(fixture, address)));
  assertEquals(answers, addresses.map(() => "200 a"));
  await fixture.settled();
  assertEquals([sent(fixture, "Cluster"), sent(fixture, "ClusterLoadAssignment")], [150, 150]);
  assertEquals(fixture.recorded.nacks, []);
});

envoyTest("many first connections to one cold Service make one question", async () => {
  await using a = httpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(fixture.service("one", 11), ...slicesFor("one", "http", [a]));
  const answers = await Promise.all(Array.from({ length: 50 }, () => get(fixture, 11)));
  assertEquals(answers, Array.from({ length: 50 }, () => "200 a"));
  await fixture.settled();
  assertEquals(sent(fixture, "Cluster"), 1);
});

for (const moment of ["it was asked for", "its Cluster was sent"] as const) {
  envoyTest(
    `a Service deleted when ${moment}: who waits is refused, and served when it is back`,
    async () => {
      await using a = httpBackend("a");
      await using b = tcpBackend("b");
      await using fixture = await EnvoyFixture.start([]);
      const objects = [
        fixture.service("one", 11),
        ...slicesFor("one", "http", [a]),
        fixture.service("two", 12, { kind: "tcp" }),
        ...slicesFor("two", "tcp", [b]),
      ];
      fixture.apply(...objects);
      const deleteBoth = (type: string): void => {
        if (type !== "Cluster") return;
        fixture.deleteService("one");
        fixture.deleteService("two");
      };
      if (moment === "it was asked for") fixture.hooks.onSubscribe = ({ type }) => deleteBoth(type);
      else fixture.hooks.onResponse = ({ type }) => deleteBoth(type);
      // Both wait at the same time.
      const [http, tcp] = await Promise.all([get(fixture, 11), greeting("127.0.0.12", fixture.tcpPort)]);
      assertEquals([http.slice(0, 3), tcp], ["503", undefined]);
      delete fixture.hooks.onSubscribe;
      delete fixture.hooks.onResponse;
      await fixture.settled();
      assertEquals((await get(fixture, 11)).slice(0, 3), "503");
      fixture.apply(...objects);
      await fixture.settled();
      await until("HTTP answers", async () => await get(fixture, 11) === "200 a");
      await until("TCP answers", async () => await greeting("127.0.0.12", fixture.tcpPort) === "b");
      assertEquals(fixture.recorded.nacks, []);
    },
  );
}

for (const pause of ["at once", "later"] as const) {
  envoyTest(`a Service that comes back ${pause} with another protocol is spoken to in that one`, async () => {
    await using a = httpBackend("a");
    await using fixture = await EnvoyFixture.start([]);
    const one = fixture.service("one", 11);
    const slices = slicesFor("one", "http", [a]);
    fixture.apply(one, ...slices);
    assertEquals(await get(fixture, 11), "200 a");
    fixture.deleteService("one");
    if (pause === "later") {
      await fixture.settled();
      await until("it is gone", async () => (await get(fixture, 11)).startsWith("503"));
    }
    // The name of its endpoints is the one Envoy is subscribed to already.
    fixture.apply({ ...one, ports: one.ports.map((port) => ({ ...port, appProtocol: "grpc" })) });
    await fixture.settled();
    await until("the new protocol is spoken", async () => {
      await get(fixture, 11);
      return await fixture.stat("cluster.default/one_http.upstream_cx_http2_total") > 0;
    });
    assertEquals(await get(fixture, 11), "200 a");
    assertEquals(fixture.recorded.nacks, []);
  });
}

envoyTest("a Service that comes back with another address leaves the old one refused", async () => {
  await using a = httpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  const slices = slicesFor("one", "http", [a]);
  fixture.apply(fixture.service("one", 11), ...slices);
  assertEquals(await get(fixture, 11), "200 a");
  fixture.deleteService("one");
  fixture.apply(fixture.service("one", 12), ...slices);
  await fixture.settled();
  assertEquals(await get(fixture, 12), "200 a");
  await until("the old address is refused", async () => (await get(fixture, 11)).startsWith("503"));
});

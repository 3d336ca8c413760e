/**
 * What a real Envoy says of the endpoints it leaves out, and what is read of it.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { askLeftOutEndpoints, parseLeftOutEndpoints } from "./left_out_endpoints.ts";
import { httpBackend, slicesFor } from "./testing/backends.ts";
import { configured, envoyTest, get } from "./testing/envoy_case.ts";
import { EnvoyFixture, until } from "./testing/envoy_fixture.ts";

Deno.test("parseLeftOutEndpoints(): by Cluster, those that failed the outlier check", () => {
  const host = (address: string, health: object): object => ({
    address: { socket_address: { address, port_value: 8080 } },
    health_status: { eds_health_status: "HEALTHY", ...health },
  });
  const answer = {
    cluster_statuses: [
      { name: "empty" },
      {
        name: "one",
        host_statuses: [host("10.0.0.1", {}), host("fd00::2", { failed_outlier_check: true })],
      },
      { name: "pipes", host_statuses: [{ address: { pipe: { path: "/x" } } }] },
    ],
  };
  assertEquals([...parseLeftOutEndpoints(JSON.stringify(answer))], [
    ["empty", []],
    ["one", [{ address: "fd00::2", port: 8080 }]],
    ["pipes", []],
  ]);
  assertEquals(parseLeftOutEndpoints("{}").size, 0);
});

Deno.test("askLeftOutEndpoints(): nobody there", async () => {
  await assertRejects(
    () => askLeftOutEndpoints("/nonexistent/admin.sock", ["10.96.0.10:80"]),
    Error,
    "Envoy's admin socket /nonexistent/admin.sock does not answer (",
  );
});

envoyTest("it says which endpoints of these Clusters it leaves out, and nothing of others", async () => {
  await using bad = httpBackend("bad", () => new Response(null, { status: 500 }));
  await using good = httpBackend("good");
  await using fixture = await EnvoyFixture.start([]);
  fixture.apply(
    configured(fixture, "one", 11, { "retry-enabled": "false", "lb-policy": "ROUND_ROBIN" }),
    ...slicesFor("one", "http", [bad, good]),
    fixture.service("two", 12),
    ...slicesFor("two", "http", [good]),
  );
  const admin = `${fixture.directory}/admin.sock`;
  const [one, two] = [11, 12].map((host) => `127.0.0.${host}:${fixture.httpPort}`) as [string, string];
  const asked = [one, `127.0.0.99:${fixture.httpPort}`];
  assertEquals(await get(fixture, 12), "200 good");
  assertEquals((await askLeftOutEndpoints(admin, asked)).size, 0);
  await get(fixture, 11);
  assertEquals([...await askLeftOutEndpoints(admin, asked)], [[one, []]]);
  await until("it is left out", async () => {
    await get(fixture, 11);
    return await fixture.stat("cluster.default/one_http.outlier_detection.ejections_active") === 1;
  });
  const leftOut = [{ address: "127.0.0.1", port: bad.port }];
  assertEquals([...await askLeftOutEndpoints(admin, asked)], [[one, leftOut]]);
  // More than one question can hold.
  const many = Array.from({ length: 600 }, (_, index) => `[fd00::${index + 1}]:80`);
  assertEquals([...await askLeftOutEndpoints(admin, [one, ...many, two])], [[one, leftOut], [two, []]]);
});

import { assertEquals } from "@std/assert/equals";
import { RouteConfiguration } from "../protos/mod.ts";
import { routeConfiguration } from "./routes.ts";
import { assertGolden } from "./testing/golden.ts";

Deno.test("routeConfiguration() of destinations with settings, and without a log", async () => {
  const parts = new Map(
    [
      ["[fd00::1]:80", "settings"],
      ["10.96.0.11:80", "unlogged"],
      ["10.96.0.10:80", "settings"],
    ] as const,
  );
  const message = RouteConfiguration.fromJSON(routeConfiguration(parts));
  await assertGolden("route_configuration", RouteConfiguration.toJSON(message));
});

Deno.test("routeConfiguration() has one virtual host where nobody wants anything: Envoy allows none without domains", () => {
  const { virtualHosts } = RouteConfiguration.fromJSON(routeConfiguration(new Map()));
  assertEquals(virtualHosts.map(({ domains }) => domains), [["*"]]);
});

import { assertEquals } from "@std/assert/equals";
import { RouteConfiguration } from "../protos/mod.ts";
import { routeConfiguration } from "./routes.ts";
import { assertGolden } from "./testing/golden.ts";

Deno.test("routeConfiguration() of destinations with settings", async () => {
  const message = RouteConfiguration.fromJSON(routeConfiguration(["10.96.0.10:80", "[fd00::1]:80"]));
  await assertGolden("route_configuration", RouteConfiguration.toJSON(message));
});

Deno.test("routeConfiguration() has one virtual host where nobody has settings: Envoy allows none without domains", () => {
  const { virtualHosts } = RouteConfiguration.fromJSON(routeConfiguration([]));
  assertEquals(virtualHosts.map(({ domains }) => domains), [["*"]]);
});

import { assertEquals } from "@std/assert/equals";
import { RouteConfiguration } from "../protos/mod.ts";
import { routeConfiguration } from "./routes.ts";
import { assertGolden } from "./testing/golden.ts";
import type { RouteSettings } from "./translate/metadata.ts";

Deno.test("routeConfiguration() of destinations with settings, and without a log", async () => {
  const settings: ReadonlyMap<string, RouteSettings> = new Map([
    ["[fd00::1]:80", { "request-timeout": "200", "retry-on": "5xx,reset" }],
    ["10.96.0.11:80", { "unlogged": "true" }],
    ["10.96.0.10:80", { "request-timeout": "200", "retry-on": "5xx,reset" }],
    ["10.96.0.12:80", { "try-timeout": "0" }],
    ["10.96.0.13:80", { "only-try-timeout": "60000" }],
  ]);
  const message = RouteConfiguration.fromJSON(routeConfiguration(settings));
  await assertGolden("route_configuration", RouteConfiguration.toJSON(message));
});

Deno.test("routeConfiguration(): the wishes that most share have virtual hosts of their own, of the others the Clusters are asked", () => {
  const wish = (seconds: number): RouteSettings => ({ "request-timeout": `${seconds}000` });
  const settings = new Map<string, RouteSettings>();
  for (let index = 0; index < 21; index++) settings.set(`10.96.0.${index}:80`, wish(100 + index));
  settings.set("10.96.1.1:80", wish(120));
  const virtualHosts = (): readonly (readonly [string, readonly string[]])[] =>
    RouteConfiguration.fromJSON(routeConfiguration(settings)).virtualHosts
      .map(({ name, domains }) => [name, domains]);
  const hosts = virtualHosts();
  assertEquals(hosts.length, 1 + 20 + 1);
  assertEquals(hosts[1], ["vip request-timeout=120000", ["10.96.0.20:80", "10.96.1.1:80"]]);
  assertEquals(hosts.at(-1), ["vip-with-settings", ["10.96.0.19:80"]]);
  settings.delete("10.96.0.0:80");
  assertEquals(virtualHosts().at(-1), ["vip request-timeout=119000", ["10.96.0.19:80"]]);
});

Deno.test("routeConfiguration() has one virtual host where nobody wants anything: Envoy allows none without domains", () => {
  const { virtualHosts } = RouteConfiguration.fromJSON(routeConfiguration(new Map()));
  assertEquals(virtualHosts.map(({ domains }) => domains), [["*"]]);
});

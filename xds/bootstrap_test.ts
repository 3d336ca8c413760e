import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { bootstrap, type BootstrapOptions } from "./bootstrap.ts";
import { envoyTool } from "./testing/envoy_fixture.ts";
import { assertGolden } from "./testing/golden.ts";

const OPTIONS: BootstrapOptions = {
  nodeName: "node-1",
  mode: "on-demand",
  adsAddress: { kind: "unix", path: "/run/lightpath/ads.sock" },
  adminSocket: "/run/lightpath/envoy-admin.sock",
  tcpPort: 1666,
  httpPort: 1667,
  families: ["IPv4", "IPv6"],
};

const CASES: Readonly<Record<string, BootstrapOptions>> = {
  bootstrap_on_demand: OPTIONS,
  bootstrap_eager_tcp_ipv6: {
    ...OPTIONS,
    mode: "eager",
    adsAddress: { kind: "tcp", host: "127.0.0.1", port: 18000 },
    families: ["IPv6"],
  },
};

for (const [name, options] of Object.entries(CASES)) {
  Deno.test(`bootstrap() is ${name}`, () => assertGolden(name, bootstrap(options)));

  const skipped = envoyTool.unavailable === undefined ? "" : ` (skipped: ${envoyTool.unavailable})`;
  Deno.test({
    name: `Envoy accepts ${name}${skipped}`,
    ignore: skipped !== "",
    fn: async () => {
      const { code, stderr } = await new Deno.Command(envoyTool.path ?? "", {
        args: [
          "--mode",
          "validate",
          "--log-level",
          "warning",
          "--config-yaml",
          JSON.stringify(bootstrap(options)),
        ],
      }).output();
      // Nothing deprecated either: Envoy warns of that.
      assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
    },
  });
}

Deno.test("bootstrap() needs a family to listen on", () => {
  assertThrows(() => bootstrap({ ...OPTIONS, families: [] }), RangeError, "without an IP family");
});

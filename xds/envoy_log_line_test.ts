import { assertEquals } from "@std/assert/equals";
import { type EnvoyLogEntry, parseEnvoyLogLine } from "./envoy_log_line.ts";

Deno.test("lines of Envoy's log become level, component and message", () => {
  const cases: readonly (readonly [string, EnvoyLogEntry])[] = [
    ["warning config gRPC config: initial fetch timed out", {
      level: "warn",
      component: "config",
      message: "gRPC config: initial fetch timed out",
    }],
    ["critical main error initializing config \\'a\\'\\n  b", {
      level: "error",
      component: "main",
      message: "error initializing config 'a'\n  b",
    }],
    ["trace http2 x", { level: "debug", component: "http2", message: "x" }],
    ["info main ", { level: "info", component: "main", message: "" }],
    ["AddressSanitizer: died", { level: "warn", component: "", message: "AddressSanitizer: died" }],
    ["caught signal 11", { level: "warn", component: "", message: "caught signal 11" }],
    ["", { level: "warn", component: "", message: "" }],
  ];
  for (const [line, entry] of cases) assertEquals(parseEnvoyLogLine(line), entry);
});

import { assertEquals } from "@std/assert/equals";
import { SETTING_NAMES } from "./definitions.ts";
import { CONFIG_PREFIX, DEFAULT_SETTINGS, settingsOf } from "./port_settings.ts";
import { settingsInForce } from "./settings_in_force.ts";

Deno.test("settingsInForce() of an HTTP port has all settings for HTTP, with what each says", () => {
  const rows = settingsInForce(DEFAULT_SETTINGS, "http");
  assertEquals(rows.map(({ name }) => name), SETTING_NAMES);
  assertEquals(rows[0], { name: "request-timeout", value: "15s", default: "15s", annotation: null });
  assertEquals(rows.every(({ annotation }) => annotation === null), true);
});

Deno.test("settingsInForce() names the annotation that won", () => {
  const annotations = {
    [`${CONFIG_PREFIX}num-retries`]: "1",
    [`${CONFIG_PREFIX}web-num-retries`]: "4",
    [`${CONFIG_PREFIX}lb-policy`]: "MAGLEV",
  };
  const { settings: [settings] } = settingsOf(annotations, [{ name: "web", appProtocol: "http" }]);
  assertEquals(settingsInForce(settings!, "http").filter(({ annotation }) => annotation !== null), [
    { name: "lb-policy", value: "MAGLEV", default: "LEAST_REQUEST", annotation: `${CONFIG_PREFIX}lb-policy` },
    { name: "num-retries", value: "4", default: "2", annotation: `${CONFIG_PREFIX}web-num-retries` },
  ]);
});

Deno.test("settingsInForce() of a TCP port has no settings for HTTP, and no idle-timeout unless one is set", () => {
  const port = { name: "db", appProtocol: "tcp" } as const;
  const idle = (annotations: Record<string, string>): unknown => {
    const rows = settingsInForce(settingsOf(annotations, [port]).settings[0]!, "tcp");
    assertEquals(rows.some(({ name }) => name === "request-timeout"), false);
    return rows.find(({ name }) => name === "idle-timeout");
  };
  assertEquals(idle({}), { name: "idle-timeout", value: "none", default: "none", annotation: null });
  const annotation = `${CONFIG_PREFIX}idle-timeout`;
  assertEquals(idle({ [annotation]: "1h" }), {
    name: "idle-timeout",
    value: "1h",
    default: "none",
    annotation,
  });
});

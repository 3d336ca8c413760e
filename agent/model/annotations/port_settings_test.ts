import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import type { AppProtocol } from "../types.ts";
import {
  CONFIG_PREFIX,
  DEFAULT_SETTINGS,
  type PortSettings,
  settingsOf,
  type SettingsPort,
} from "./port_settings.ts";

function port(name: string, appProtocol: AppProtocol = "http"): { name: string; appProtocol: AppProtocol } {
  return { name, appProtocol };
}

function annotations(values: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [`${CONFIG_PREFIX}${key}`, value]));
}

/** The settings of one HTTP port named `web`, and the reasons of what has no effect. */
function read(values: Readonly<Record<string, string>>): { settings: PortSettings; reasons: string[] } {
  const { settings: [settings = DEFAULT_SETTINGS], faults } = settingsOf(annotations(values), [port("web")]);
  return { settings, reasons: faults.map(({ reason }) => reason) };
}

Deno.test("settingsOf() shares one object between all ports that ask for nothing", () => {
  const { settings, faults } = settingsOf({ "lightpath.cloud/path": "envoy" }, [port("a"), port("b")]);
  assertEquals(settings.map((one) => one === DEFAULT_SETTINGS), [true, true]);
  assertEquals(faults, []);
});

Deno.test("settingsOf(): the port's own annotation beats the Service's, in whatever order they stand", () => {
  for (const keys of [["web-num-retries", "num-retries"], ["num-retries", "web-num-retries"]]) {
    const values = { "web-num-retries": "1", "num-retries": "7" };
    const written = annotations(
      Object.fromEntries(keys.map((key) => [key, values[key as keyof typeof values]])),
    );
    const { settings, faults } = settingsOf(written, [port("web"), port("api")]);
    assertEquals(settings.map((one) => one.values["num-retries"]), [1, 7]);
    assertEquals(settings.map(({ origins }) => origins.get("num-retries")), [
      "config.lightpath.cloud/web-num-retries",
      "config.lightpath.cloud/num-retries",
    ]);
    assertEquals(faults, []);
  }
});

Deno.test("settingsOf() reads durations, counts, words and hash keys", () => {
  const { settings: { values }, reasons } = read({
    "request-timeout": "1m30s",
    "upstream-request-timeout": "500ms",
    "upstream-connect-timeout": "2",
    "idle-timeout": "1.5",
    "access-log": "false",
    "lb-policy": "MAGLEV",
    "hash-on": "cookie:session",
    "retry-on": "reset, gateway-error,reset",
    "circuit-breaker-default-max-requests": "100",
  });
  assertEquals(reasons, []);
  assertEquals([
    values["request-timeout"],
    values["upstream-request-timeout"],
    values["upstream-connect-timeout"],
    values["idle-timeout"],
  ], [90_000, 500, 2_000, 1_500]);
  assertEquals(values["access-log"], false);
  assertEquals(values["hash-on"], { kind: "cookie", name: "session" });
  assertEquals(values["retry-on"], ["reset", "gateway-error"]);
  assertEquals(values["circuit-breaker-default-max-requests"], 100);
  assertEquals(values["circuit-breaker-default-max-connections"], undefined);
});

Deno.test("settingsOf() keeps the default where a value is none, and names value, want and consequence", () => {
  const bad: Readonly<Record<string, RegExp>> = {
    "request-timeout": /^"soon" is not a duration like .*; what held without it holds\.$/,
    "upstream-connect-timeout": /^"soon" is not/,
    "access-log": /^"soon" is not `true` or `false`/,
    "lb-policy": /^"soon" is not one of `LEAST_REQUEST`/,
    "num-retries": /^"soon" is not a whole number from 0 to 10/,
    "hash-on": /^"soon" is not `source-ip`/,
    "retry-on": /^"soon" is not a list/,
    "circuit-breaker-default-max-pending-requests": /^"soon" is not a whole number from 1/,
  };
  for (const [key, reason] of Object.entries(bad)) {
    const { settings, reasons } = read({ [key]: "soon" });
    assertEquals(settings, DEFAULT_SETTINGS, key);
    assertEquals(reasons.length, 1, key);
    assertMatch(reasons[0] ?? "", reason);
  }
});

Deno.test("settingsOf() takes nothing that Envoy would refuse or read otherwise", () => {
  const bad: readonly (readonly [key: string, text: string])[] = [
    ["upstream-connect-timeout", "0"],
    ["request-timeout", "25h"],
    ["request-timeout", "-1s"],
    ["request-timeout", "15 s"],
    ["request-timeout", "1e3"],
    ["num-retries", "11"],
    ["num-retries", "1.5"],
    ["outlier-detection-max-ejection-percent", "101"],
    ["circuit-breaker-default-max-pending-requests", "0"],
    ["circuit-breaker-default-max-requests", "4294967296"],
    ["hash-on", "header:"],
    ["hash-on", "header:a b"],
    ["retry-on", ""],
    ["retriable-headers", "a:b"],
    ["lb-policy", "least_request"],
    ["access-log", "True"],
  ];
  for (const [key, text] of bad) {
    const { settings, reasons } = read({ [key]: text });
    assertEquals([settings === DEFAULT_SETTINGS, reasons.length], [true, 1], `${key}: ${text}`);
  }
});

Deno.test("settingsOf() says in which way an annotation is wrong", () => {
  const ports = [port("web"), { name: "db", appProtocol: "tcp" } as const];
  const kind = (key: string, value: string): unknown =>
    settingsOf(annotations({ [key]: value }), ports).faults[0]?.kind;
  assertEquals(kind("num-retry", "1"), "unknown-setting");
  assertEquals(kind("api-num-retries", "1"), "unknown-port");
  assertEquals(kind("db-num-retries", "1"), "wrong-protocol");
  assertEquals(kind("web-num-retries", "many"), "invalid-value");
  assertEquals(kind("web-hash-on", "header:x"), "contradiction");
});

Deno.test("settingsOf() reads what could be two settings as the longer one, and says so", () => {
  const values = (key: string, ...names: readonly string[]): unknown => {
    const { settings, faults } = settingsOf(annotations({ [key]: "1s" }), names.map((name) => port(name)));
    return {
      texts: settings.map(({ text }) => text),
      faults: faults.map(({ kind, reason }) => [kind, reason]),
    };
  };
  const to = "; to say that, give the port another name.";
  assertEquals(values("upstream-request-timeout", "upstream", "web"), {
    texts: ["upstream-request-timeout=1000", "upstream-request-timeout=1000"],
    faults: [[
      "ambiguous",
      `is read as upstream-request-timeout of all ports, not as request-timeout of port "upstream"${to}`,
    ]],
  });
  const ofApi = {
    faults: [[
      "ambiguous",
      `is read as upstream-request-timeout of port "api", not as request-timeout of port "api-upstream"${to}`,
    ]],
  };
  assertEquals(values("api-upstream-request-timeout", "api", "api-upstream"), {
    texts: ["upstream-request-timeout=1000", ""],
    ...ofApi,
  });
  assertEquals(values("api-upstream-request-timeout", "api-upstream", "api"), {
    texts: ["", "upstream-request-timeout=1000"],
    ...ofApi,
  });
  // Dashes alone are no reason to doubt.
  assertEquals(values("api-v2-request-timeout", "api", "api-v2"), {
    texts: ["", "request-timeout=1000"],
    faults: [],
  });
  assertEquals(values("upstream-upstream-request-timeout", "upstream", "web"), {
    texts: ["upstream-request-timeout=1000", ""],
    faults: [],
  });
});

Deno.test("settingsOf() names the nearest setting, and a port the Service does not have", () => {
  assertMatch(
    read({ "request-timeot": "1s" }).reasons[0] ?? "",
    /nearest is config\.lightpath\.cloud\/request-timeout\./,
  );
  assertMatch(
    read({ "web-num-retry": "1" }).reasons[0] ?? "",
    /nearest is config\.lightpath\.cloud\/web-num-retries\./,
  );
  assertMatch(
    read({ "api-num-retries": "1" }).reasons[0] ?? "",
    /^is of port "api", .*\(its ports are web\)/,
  );
  const unnamed = settingsOf(annotations({ "web-num-retries": "1" }), [port("")]);
  assertMatch(unnamed.faults[0]?.reason ?? "", /its port has no name/);
  // A bare object has such a member.
  assertMatch(read({ constructor: "1" }).reasons[0] ?? "", /is no setting/);
});

Deno.test("settingsOf() says what a TCP port cannot have, and lets a Service's annotation reach the ports that can", () => {
  const written = annotations({ "num-retries": "1", "access-log": "false" });
  const mixed = settingsOf(written, [port("web"), port("db", "tcp")]);
  assertEquals(mixed.faults, []);
  assertEquals(mixed.settings.map(({ text }) => text), [
    "access-log=false num-retries=1",
    "access-log=false",
  ]);
  const tcp = settingsOf(annotations({ "db-num-retries": "1", "request-timeout": "1s" }), [
    port("db", "tcp"),
  ]);
  assertEquals(tcp.settings, [DEFAULT_SETTINGS]);
  assertEquals(tcp.faults.map(({ reason }) => reason), [
    'is for HTTP ports, and port "db" is TCP; it has no effect.',
    "is for HTTP ports, and the Service has no HTTP port; it has no effect.",
  ]);
});

Deno.test("settingsOf() says what contradicts each other", () => {
  assertMatch(
    read({ "request-timeout": "1s", "upstream-request-timeout": "1s" }).reasons[0] ?? "",
    /not shorter than request-timeout/,
  );
  assertEquals(read({ "request-timeout": "0", "upstream-request-timeout": "1s" }).reasons, []);
  assertMatch(read({ "hash-on": "header:x" }).reasons[0] ?? "", /no effect with lb-policy LEAST_REQUEST/);
  assertMatch(
    read({ "outlier-detection-max-ejection-time": "1s" }).reasons[0] ?? "",
    /shorter than the base/,
  );
  assertMatch(
    read({ "retry-on": "reset", "retriable-headers": "x-again" }).reasons[0] ?? "",
    /does not hold retriable-headers/,
  );
  assertMatch(
    read({ "retry-on": "5xx,unavailable" }).reasons[0] ?? "",
    /^holds unavailable, without effect: .* retry-methods: all\.$/,
  );
  assertEquals(read({ "retry-on": "unavailable", "retry-methods": "all" }).reasons, []);
});

Deno.test("settingsOf(): equal settings have equal texts, however they were written", () => {
  const text = (values: Readonly<Record<string, string>>): string => read(values).settings.text;
  assertEquals(
    text({ "request-timeout": "60", "num-retries": "3" }),
    text({ "web-num-retries": "3", "request-timeout": "1m" }),
  );
  assertEquals(text({}), "");
});

Deno.test("settingsOf() says what a redis port cannot have: what is HTTP's, and what its proxy decides", () => {
  const { faults } = settingsOf(
    annotations({ "cache-num-retries": "1", "cache-idle-timeout": "1m", "cache-lb-policy": "RANDOM" }),
    [port("cache", "redis")],
  );
  assertEquals(faults.map(({ reason }) => reason), [
    'is for HTTP ports, and port "cache" is TCP; it has no effect.',
    "has no effect on a redis port: Envoy's redis proxy has none.",
    "has no effect on a redis port, where the key decides.",
  ]);
});

Deno.test("settingsOf() says what has no effect in the kernel, of a port and of all", () => {
  const kernel = { name: "web", appProtocol: "http", carrier: "kernel" } as const;
  const cache = { name: "cache", appProtocol: "redis", carrier: "envoy" } as const;
  const reasons = (key: string, ...ports: readonly SettingsPort[]): readonly string[] => {
    const { settings, faults } = settingsOf(annotations({ [key]: "9s" }), ports);
    assertEquals(settings.every((one, index) => one === DEFAULT_SETTINGS || ports[index] === cache), true);
    return faults.map(({ reason }) => reason);
  };
  const carried = "is for ports that Envoy carries, and";
  assertEquals(reasons("web-upstream-connect-timeout", kernel, cache), [
    `${carried} port "web" is carried by the kernel; it has no effect.`,
  ]);
  assertEquals(reasons("upstream-connect-timeout", kernel), [
    `${carried} its TCP ports are carried by the kernel; it has no effect.`,
  ]);
  assertEquals(reasons("upstream-connect-timeout", kernel, cache), [], "the other one has it");
});

Deno.test("settingsOf() lets sessionAffinity win over another way to choose an endpoint", () => {
  const keeps = { name: "web", appProtocol: "http", keepsClients: true } as const;
  const { faults } = settingsOf(annotations({ "lb-policy": "RANDOM", "hash-on": "header:x" }), [keeps]);
  assertEquals(faults.map(({ annotation }) => annotation.slice(CONFIG_PREFIX.length)).sort(), [
    "hash-on",
    "lb-policy",
  ]);
  assertMatch(faults[0]?.reason ?? "", /^has no effect with sessionAffinity ClientIP/);
});

import { assertEquals } from "@std/assert/equals";
import { CONFIG_PREFIX, settingsOf } from "../../agent/model/annotations/mod.ts";
import { servicePort } from "../../agent/model/testing/service_ports.ts";
import type { AppProtocol } from "../../agent/model/mod.ts";
import { clusterMetadata } from "./metadata.ts";

/** What the listeners find for a port with these settings. */
function metadataOf(
  values: Readonly<Record<string, string>>,
  appProtocol: AppProtocol = "http",
): Readonly<Record<string, unknown>> {
  const annotations = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [CONFIG_PREFIX + name, value]),
  );
  const { settings, faults } = settingsOf(annotations, [{ name: "web", appProtocol }]);
  assertEquals(faults, []);
  return clusterMetadata(servicePort({ appProtocol, settings: settings[0]! })).filterMetadata["lightpath"]!;
}

const CASES: readonly {
  readonly what: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, string>>;
}[] = [
  { what: "nothing differs without annotations", settings: {}, metadata: {} },
  {
    what: "a written time for each try is everybody's, streams and the only try of a POST included",
    settings: { "upstream-request-timeout": "2s" },
    metadata: { "try-timeout": "2000" },
  },
  {
    what: "one that is the default, too",
    settings: { "upstream-request-timeout": "5s" },
    metadata: { "try-timeout": "5000" },
  },
  {
    what: "a written whole time is a limit of its own, and of a POST's only try",
    settings: { "request-timeout": "1m" },
    metadata: { "only-try-timeout": "60000", "request-timeout": "60000" },
  },
  {
    what: "one that is the default becomes a limit",
    settings: { "request-timeout": "15s" },
    metadata: { "request-timeout": "15000" },
  },
  {
    what: "both",
    settings: { "request-timeout": "1m", "upstream-request-timeout": "20s" },
    metadata: { "request-timeout": "60000", "try-timeout": "20000" },
  },
  {
    what: "0 switches off",
    settings: { "request-timeout": "0", "upstream-request-timeout": "0" },
    metadata: { "request-timeout": "0", "try-timeout": "0" },
  },
  {
    what: "the longest is written out",
    settings: { "request-timeout": "24h" },
    metadata: { "only-try-timeout": "86400000", "request-timeout": "86400000" },
  },
  {
    what: "a POST that may be repeated has several tries, each with the time of one",
    settings: { "retry-methods": "all" },
    metadata: { "only-try-timeout": "5000" },
  },
  {
    what: "other conditions are those of requests that may be repeated",
    settings: { "retry-on": "reset,gateway-error" },
    metadata: { "retry-on": "reset,gateway-error" },
  },
  {
    what: "where the Cluster has a policy for another reason, the default ones are",
    settings: { "num-retries": "3" },
    metadata: { "retry-on": "5xx,reset,retriable-headers" },
  },
  {
    what: "conditions that hold for all requests are left to the Cluster's policy",
    settings: { "retry-on": "reset", "retry-methods": "all" },
    metadata: { "only-try-timeout": "5000" },
  },
  { what: "without retries there are none", settings: { "retry-enabled": "false" }, metadata: {} },
];

for (const { what, settings, metadata } of CASES) {
  Deno.test(`clusterMetadata(): ${what}`, () => {
    assertEquals(metadataOf(settings), metadata);
  });
}

Deno.test("clusterMetadata(): keys are sorted, so that equal settings give equal bytes", () => {
  const keys = Object.keys(metadataOf({
    "retry-on": "reset",
    "upstream-request-timeout": "1s",
    "request-timeout": "9s",
    "access-log": "false",
  }));
  assertEquals(keys, keys.toSorted());
  assertEquals(keys.length, 4);
});

Deno.test("clusterMetadata() of a TCP port says only where it is not logged", () => {
  const unlogged = { "access-log": "false", "upstream-connect-timeout": "1s" };
  assertEquals(metadataOf({}, "tcp"), {});
  assertEquals(metadataOf(unlogged, "tcp"), { unlogged: "true" });
});

Deno.test("clusterMetadata() has our part, though it be empty: by it the log knows that there is a Cluster", () => {
  const { settings } = settingsOf({}, [{ name: "web", appProtocol: "http" }]);
  assertEquals(clusterMetadata(servicePort({ settings: settings[0]! })).filterMetadata, { lightpath: {} });
});

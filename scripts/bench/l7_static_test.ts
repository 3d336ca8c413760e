import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { VIP_HEADER } from "../../xds/routes.ts";
import { defaultRetryPolicy } from "../../xds/translate/retries.ts";
import { type JsonObject, staticBootstrap } from "./l7_static.ts";
import { CASE_NAMES, type CaseName, CASES, VIP } from "./l7_cases.ts";

const RETRIES = { retry_on: "connect-failure", num_retries: 2 };
const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const CLUSTER: JsonObject = {
  name: "of Lightpath",
  type: "EDS",
  eds_cluster_config: { service_name: "default/echo" },
  lb_policy: "ROUND_ROBIN",
  metadata: { filter_metadata: { lightpath: { "access-log": true } } },
  typed_extension_protocol_options: {
    [HTTP_OPTIONS]: { "@type": "…", retry_policy: RETRIES },
  },
};
const LIGHTPATH = CASE_NAMES.filter((name) => CASES[name].proxy === "lightpath");
const CLUSTERS = new Map(LIGHTPATH.map((name) => [`${VIP}:${CASES[name].port}`, CLUSTER]));

interface Bootstrap {
  readonly static_resources: {
    readonly listeners: readonly { readonly name: string }[];
    readonly clusters: readonly JsonObject[];
  };
}

Deno.test("staticBootstrap() names everything directly, and asks nobody", () => {
  const bootstrap = staticBootstrap({ clusters: CLUSTERS, endpoints: ["10.0.0.1"] });
  const { static_resources: { listeners, clusters } } = bootstrap as unknown as Bootstrap;
  const expected = CASE_NAMES.filter((name) => CASES[name].proxy === "static").toSorted();
  assertEquals(listeners.map(({ name }) => name).toSorted(), expected);
  assertEquals(clusters.map(({ name }) => String(name)).toSorted(), expected);
  const text = JSON.stringify(bootstrap);
  // What Lightpath's constant listeners are made of, and static ones need not be.
  for (const word of ["CLUSTER_METADATA", "xds.", "on_demand", "ads", "header_mutation", VIP_HEADER]) {
    assertEquals([word, text.includes(word)], [word, false]);
  }
});

/** The retry policy of a case's route. */
function retriesOf(name: CaseName, clusters: ReadonlyMap<string, JsonObject>): unknown {
  const { static_resources: { listeners } } = staticBootstrap({
    clusters,
    endpoints: [],
  }) as unknown as Bootstrap;
  const json = JSON.stringify(listeners.find((listener) => listener.name === name));
  return JSON.parse(/"retry_policy":(.*?"per_try_timeout":"\d+s"})/.exec(json)?.[1] ?? "null");
}

Deno.test("staticBootstrap() keeps what rides on the Cluster, and its retries on the route", () => {
  const bootstrap = staticBootstrap({ clusters: CLUSTERS, endpoints: ["10.0.0.1"] });
  const { static_resources: { clusters } } = bootstrap as unknown as Bootstrap;
  const cluster = clusters.find(({ name }) => name === "annotated-static");
  assertEquals([cluster?.["lb_policy"], cluster?.["type"]], ["ROUND_ROBIN", "STATIC"]);
  assertEquals(JSON.stringify(cluster).includes("retry_policy"), false);
  assertEquals(retriesOf("annotated-static", CLUSTERS), {
    retry_on: "connect-failure,5xx,reset",
    num_retries: 2,
    per_try_timeout: "3s",
  });
});

Deno.test("staticBootstrap() has the retries of Lightpath's routes where the Cluster has none", () => {
  const { typed_extension_protocol_options: _, ...rest } = CLUSTER;
  const plain = { ...rest, typed_extension_protocol_options: { [HTTP_OPTIONS]: {} } };
  const clusters = new Map([...CLUSTERS.keys()].map((name) => [name, plain]));
  assertEquals(retriesOf("http-static", clusters), { ...defaultRetryPolicy(true), per_try_timeout: "5s" });
});

Deno.test("staticBootstrap() says which Cluster Lightpath's Envoy lacks", () => {
  assertThrows(
    () => staticBootstrap({ clusters: new Map(), endpoints: [] }),
    Error,
    "Lightpath's Envoy has no Cluster 10.96.0.10:9000",
  );
});

import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { VIP_HEADER } from "../../xds/routes.ts";
import { type JsonObject, staticBootstrap } from "./l7_static.ts";
import { CASE_NAMES, CASES, VIP } from "./l7_cases.ts";

const RETRIES = { retry_on: "connect-failure", num_retries: 2 };
const CLUSTER: JsonObject = {
  name: "of Lightpath",
  type: "EDS",
  eds_cluster_config: { service_name: "default/echo" },
  lb_policy: "ROUND_ROBIN",
  metadata: { filter_metadata: { lightpath: { "access-log": true } } },
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": { "@type": "…", retry_policy: RETRIES },
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

Deno.test("staticBootstrap() keeps what rides on the Cluster, and its retries on the route", () => {
  const bootstrap = staticBootstrap({ clusters: CLUSTERS, endpoints: ["10.0.0.1"] });
  const { static_resources: { listeners, clusters } } = bootstrap as unknown as Bootstrap;
  const cluster = clusters.find(({ name }) => name === "http-static");
  assertEquals([cluster?.["lb_policy"], cluster?.["type"]], ["ROUND_ROBIN", "STATIC"]);
  assertEquals(JSON.stringify(cluster).includes("retry_policy"), false);
  const listener = JSON.stringify(listeners.find(({ name }) => name === "http-static"));
  assertEquals(
    listener.includes(
      '"retry_policy":{"retry_on":"connect-failure,5xx,reset,retriable-headers","num_retries":2,"per_try_timeout":"5s"}',
    ),
    true,
    listener,
  );
});

Deno.test("staticBootstrap() says which Cluster Lightpath's Envoy lacks", () => {
  assertThrows(
    () => staticBootstrap({ clusters: new Map(), endpoints: [] }),
    Error,
    "Lightpath's Envoy has no Cluster 10.96.0.10:9000",
  );
});

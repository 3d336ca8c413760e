import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { fail } from "@std/assert/fail";
import { CONFIG_PREFIX, settingsOf } from "../../agent/model/annotations/mod.ts";
import { servicePort } from "../../agent/model/testing/service_ports.ts";
import { Cluster, ClusterLoadAssignment, HttpProtocolOptions } from "../../protos/mod.ts";
import { assertGolden } from "../testing/golden.ts";
import { emptyCluster, translateCluster } from "./cluster.ts";
import { translateLoadAssignment } from "./load_assignment.ts";

/** The Cluster as JSON, with its packed HTTP options readable. */
function clusterJson(cluster: Cluster): unknown {
  const options = cluster.typedExtensionProtocolOptions[HttpProtocolOptions.$type];
  const json = Cluster.toJSON(cluster) as Record<string, unknown>;
  if (options === undefined) return json;
  return {
    ...json,
    typedExtensionProtocolOptions: {
      [HttpProtocolOptions.$type]: HttpProtocolOptions.toJSON(HttpProtocolOptions.decode(options.value)),
    },
  };
}

Deno.test("translateCluster() of an HTTP port", async () => {
  const cluster = translateCluster(servicePort({ port: "http" }), { name: "10.96.0.10:80", family: "IPv4" });
  await assertGolden("cluster_http", clusterJson(cluster));
});

Deno.test("translateCluster() of an HTTP/2 port, IPv6", async () => {
  const cluster = translateCluster(servicePort({ appProtocol: "http2", port: "grpc" }), {
    name: "[fd00::1]:80",
    family: "IPv6",
  });
  await assertGolden("cluster_http2", clusterJson(cluster));
});

Deno.test("translateCluster() of an HTTP port with timeouts and retries of its own", async () => {
  const annotations = {
    "request-timeout": "1m",
    "upstream-request-timeout": "1500ms",
    "upstream-connect-timeout": "250ms",
    "upstream-idle-timeout": "0",
    "access-log": "false",
    "num-retries": "4",
    "retry-on": "gateway-error,retriable-headers,unavailable",
    "retry-methods": "all",
    "retriable-headers": "x-busy",
  };
  const { settings } = settingsOf(
    Object.fromEntries(
      Object.entries(annotations).map(([name, value]) => [CONFIG_PREFIX + name, value]),
    ),
    [{ name: "http", appProtocol: "http" }],
  );
  const cluster = translateCluster(servicePort({ port: "http", settings: settings[0]! }), {
    name: "10.96.0.10:80",
    family: "IPv4",
  });
  await assertGolden("cluster_times_and_retries", clusterJson(cluster));
});

Deno.test("translateCluster() of an unnamed TCP port", async () => {
  const cluster = translateCluster(servicePort({ appProtocol: "tcp", port: "" }), {
    name: "10.96.0.10:5432",
    family: "IPv4",
  });
  await assertGolden("cluster_tcp", clusterJson(cluster));
});

Deno.test("translateCluster() of an HTTP port whose annotations ask for much", async () => {
  const annotations = {
    "lb-policy": "MAGLEV",
    "hash-on": "header:x-user",
    "circuit-breaker-default-max-requests": "100",
    "circuit-breaker-default-max-retries": "5",
    "outlier-detection-consecutive-5xx": "3",
    "outlier-detection-base-ejection-time": "500ms",
  };
  const prefixed = Object.entries(annotations).map(([key, text]) => [`${CONFIG_PREFIX}${key}`, text]);
  const { settings: [settings = fail()], faults } = settingsOf(Object.fromEntries(prefixed), [
    { name: "http", appProtocol: "http" },
  ]);
  assertEquals(faults, []);
  const cluster = translateCluster(servicePort({ port: "http", settings }), {
    name: "10.96.0.10:80",
    family: "IPv4",
  });
  await assertGolden("cluster_http_settings", clusterJson(cluster));
});

Deno.test("translateCluster() of a redis port", async () => {
  const cluster = translateCluster(servicePort({ appProtocol: "redis", port: "redis" }), {
    name: "10.96.0.10:6379",
    family: "IPv4",
  });
  await assertGolden("cluster_redis", clusterJson(cluster));
});

Deno.test("emptyCluster() has a name and no endpoints", async () => {
  await assertGolden("cluster_empty", Cluster.toJSON(emptyCluster("10.96.0.99:80")));
});

Deno.test("translateLoadAssignment() groups endpoints by zone", async () => {
  const assignment = translateLoadAssignment("default/echo:http/IPv4", [
    { address: "10.244.0.9", port: 8080, zone: "", isLocal: false },
    { address: "10.244.0.5", port: 8080, zone: "zone-a", isLocal: false },
    { address: "10.244.0.6", port: 9090, zone: "zone-a", isLocal: false },
    { address: "10.244.1.5", port: 8080, zone: "zone-b", isLocal: false },
  ]);
  await assertGolden("load_assignment", ClusterLoadAssignment.toJSON(assignment));
});

Deno.test("translateLoadAssignment() makes a priority of each tier", async () => {
  const assignment = translateLoadAssignment("default/echo:http/IPv4", [
    { address: "10.244.0.9", port: 8080, zone: "", isLocal: false, tier: 1 },
    { address: "10.244.0.5", port: 8080, zone: "zone-a", isLocal: false, tier: 1 },
    { address: "10.244.1.5", port: 8080, zone: "zone-b", isLocal: false },
  ]);
  await assertGolden("load_assignment_tiers", ClusterLoadAssignment.toJSON(assignment));
});

Deno.test("translateCluster() of an HTTP port whose endpoints have tiers", async () => {
  const cluster = translateCluster(servicePort({ port: "http", prefersNear: true }), {
    name: "10.96.0.10:80",
    family: "IPv4",
  });
  await assertGolden("cluster_tiers", clusterJson(cluster));
});

Deno.test("equal input gives equal bytes", () => {
  const encode = (): Uint8Array =>
    Cluster.encode(translateCluster(servicePort({ port: "http" }), { name: "10.96.0.10:80", family: "IPv4" }))
      .finish();
  const bytes = encode();
  assertEquals(bytes, encode());
  assert(bytes.length < 500, `a Cluster takes ${bytes.length} bytes`);
});

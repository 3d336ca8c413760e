import { assertEquals } from "@std/assert/equals";
import { assert } from "@std/assert/assert";
import { createMetrics, type Metrics } from "./metrics.ts";
import type { ServicePort } from "./model/mod.ts";
import { servicePort as sketch } from "./model/testing/service_ports.ts";

function metricsAt(nowMs: number): Metrics {
  return createMetrics({
    families: ["IPv4", "IPv6"],
    build: { version: "0.1.0", envoyVersion: "1.40.0", mode: "on-demand" },
    now: () => nowMs,
  });
}

/** Series with their values, without help, types and process metrics. */
async function seriesOf(metrics: Metrics): Promise<ReadonlyMap<string, number>> {
  const lines = (await metrics.render()).split("\n").filter((line) => /^(kubeproxy|lightpath)_/.test(line));
  return new Map(lines.map((line) => {
    const space = line.lastIndexOf(" ");
    return [line.slice(0, space), Number(line.slice(space + 1))];
  }));
}

function servicePort(name: string, endpoints: number, appProtocol: "tcp" | "http"): ServicePort {
  const IPv4 = Array.from(
    { length: endpoints },
    (_, index) => ({ address: `10.0.0.${index}`, port: 1, zone: "", isLocal: false }),
  );
  return { ...sketch({ name, appProtocol }), endpoints: { IPv4, IPv6: [] } };
}

Deno.test("names, types and labels are what dashboards were built on", async () => {
  const metrics = metricsAt(0);
  metrics.probed("healthz", 200);
  metrics.probed("livez", 503);
  metrics.changesQueued({ services: 1, endpointSlices: 1 });
  metrics.changesProgrammed({ services: 1, endpointSlices: 1, triggerTimesMs: [0] });
  metrics.xds.onAck({ type: "Cluster", latencyMs: 1, waitedMs: [1] });
  for (const kind of ["start", "update"]) {
    metrics.redirect.onApplied({
      kind,
      durationMs: 1,
      transactions: 1,
      elementsAdded: 1,
      elementsDeleted: 0,
    });
  }
  metrics.flows.onCleaned({ family: "IPv4", deleted: 0, durationMs: 1 });
  const text = await metrics.render();
  const found = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => {
    const labels = new Set<string>();
    const series = new RegExp(`^${name}(?:_bucket|_sum|_count)?\\{([^}]*)\\}`, "gm");
    for (const [, pairs = ""] of text.matchAll(series)) {
      for (const [, label = ""] of pairs.matchAll(/(\w+)="/g)) if (label !== "le") labels.add(label);
    }
    return `${name}{${[...labels].join(",")}} ${type}`;
  });
  const golden = await Deno.readTextFile(new URL("../testdata/metric_names.txt", import.meta.url));
  assertEquals(found.sort().join("\n") + "\n", golden);
});

Deno.test("buckets are kube-proxy's", async () => {
  const metrics = metricsAt(1_000);
  metrics.changesProgrammed({ services: 0, endpointSlices: 0, triggerTimesMs: [0] });
  metrics.redirect.onApplied({
    kind: "update",
    durationMs: 1,
    transactions: 1,
    elementsAdded: 0,
    elementsDeleted: 0,
  });
  const series = [...(await seriesOf(metrics)).keys()];
  const buckets = (name: string): string[] =>
    series.filter((one) => one.startsWith(`${name}_bucket`) && one.includes("IPv4"))
      .map((one) => /le="([^"]*)"/.exec(one)?.[1] ?? "");
  const network = buckets("kubeproxy_network_programming_duration_seconds");
  assertEquals([network.slice(0, 4), network.length, network.at(-2)], [["0.25", "0.5", "1", "2"], 81, "300"]);
  const sync = buckets("kubeproxy_sync_proxy_rules_duration_seconds");
  assertEquals([sync[0], sync[1], sync.at(-2), sync.length], ["0.001", "0.002", "16.384", 16]);
});

Deno.test("changes are pending from the moment they are queued until kernel and Envoy have them", async () => {
  const metrics = metricsAt(10_000);
  metrics.changesQueued({ services: 2, endpointSlices: 3 });
  metrics.changesQueued({ services: 1, endpointSlices: 0 });
  metrics.changesProgrammed({ services: 2, endpointSlices: 3, triggerTimesMs: [8_000, 11_000] });
  const series = await seriesOf(metrics);
  assertEquals(series.get("kubeproxy_sync_proxy_rules_service_changes_total"), 3);
  assertEquals(series.get("kubeproxy_sync_proxy_rules_service_changes_pending"), 1);
  assertEquals(series.get("kubeproxy_sync_proxy_rules_endpoint_changes_total"), 3);
  assertEquals(series.get("kubeproxy_sync_proxy_rules_endpoint_changes_pending"), 0);
  assertEquals(series.get('kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family="IPv6"}'), 10);
  const network = "kubeproxy_network_programming_duration_seconds";
  assertEquals(series.get(`${network}_count{ip_family="IPv4"}`), 2);
  // 2 s, and 0 for the clock that runs ahead of ours.
  assertEquals(series.get(`${network}_sum{ip_family="IPv4"}`), 2);
});

Deno.test("a round of the redirect is full or partial, applied or failed", async () => {
  const metrics = metricsAt(5_000);
  const applied = { durationMs: 40, transactions: 1, elementsAdded: 5, elementsDeleted: 2 };
  metrics.redirect.onApplied({ ...applied, kind: "start" });
  metrics.redirect.onApplied({ ...applied, kind: "update" });
  metrics.redirect.onApplied({ ...applied, kind: "update", transactions: 0 });
  metrics.redirect.onError("repair");
  metrics.redirect.onDrift(3);
  const series = await seriesOf(metrics);
  const count = (which: string): number | undefined =>
    series.get(`kubeproxy_sync_${which}proxy_rules_duration_seconds_count{ip_family="IPv6"}`);
  assertEquals([count(""), count("full_"), count("partial_")], [3, 1, 2]);
  assertEquals(series.get('kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv4"}'), 5);
  assertEquals(series.get('kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family="IPv4"}'), 1);
  assertEquals(series.get('lightpath_nft_transactions_total{kind="update",result="applied"}'), 1);
  assertEquals(series.get('lightpath_nft_transactions_total{kind="repair",result="failed"}'), 1);
  assertEquals(series.get('lightpath_nft_elements_total{action="added"}'), 15);
  assertEquals(series.get('lightpath_nft_elements_total{action="deleted"}'), 6);
  assertEquals(series.get("lightpath_nft_drift_total"), 3);
});

Deno.test("stale UDP flows: how many by family, how long it took, how often it failed", async () => {
  const metrics = metricsAt(0);
  metrics.flows.onCleaned({ family: "IPv6", deleted: 3, durationMs: 250 });
  metrics.flows.onFailed();
  const series = await seriesOf(metrics);
  const deleted = "kubeproxy_conntrack_reconciler_deleted_entries_total";
  assertEquals([series.get(`${deleted}{ip_family="IPv4"}`), series.get(`${deleted}{ip_family="IPv6"}`)], [
    0,
    3,
  ]);
  assertEquals(
    series.get('kubeproxy_conntrack_reconciler_sync_duration_seconds_sum{ip_family="IPv6"}'),
    0.25,
  );
  assertEquals(series.get("lightpath_conntrack_failures_total"), 1);
});

Deno.test("what is sent to Envoy, taken, refused and asked for", async () => {
  const metrics = metricsAt(0);
  metrics.xds.onStreamOpen();
  metrics.xds.onStreamOpen();
  metrics.xds.onStreamClosed();
  metrics.xds.onSubscribe({ type: "Cluster", names: ["a", "b"] });
  metrics.xds.onResponse({ type: "Cluster", resources: 2, removed: 1, bytes: 300 });
  metrics.xds.onAck({ type: "Cluster", latencyMs: 3, waitedMs: [4, 6] });
  metrics.xds.onNack({ type: "Cluster" });
  const series = await seriesOf(metrics);
  assertEquals(series.get("lightpath_connected_envoys"), 1);
  assertEquals(series.get('lightpath_xds_resources_sent_total{type="Cluster",action="updated"}'), 2);
  assertEquals(series.get('lightpath_xds_resources_sent_total{type="Cluster",action="removed"}'), 1);
  assertEquals(series.get('lightpath_xds_resources_sent_total{type="Listener",action="updated"}'), 0);
  assertEquals(series.get('lightpath_xds_sent_bytes_total{type="Cluster"}'), 300);
  assertEquals(series.get('lightpath_xds_ack_duration_seconds_sum{type="Cluster"}'), 0.003);
  assertEquals(series.get('lightpath_xds_nacks_total{type="Cluster"}'), 1);
  assertEquals(series.get('lightpath_xds_on_demand_requests_total{type="Cluster"}'), 2);
  assertEquals(series.get('lightpath_xds_on_demand_duration_seconds_count{type="Cluster"}'), 2);
});

Deno.test("Services and endpoints by path follow the model's changes", async () => {
  const metrics = metricsAt(0);
  const [none, two, http] = [
    servicePort("a", 0, "tcp"),
    servicePort("a", 2, "tcp"),
    servicePort("b", 3, "http"),
  ];
  metrics.modelChanged([{ before: undefined, after: none }, { before: undefined, after: http }]);
  metrics.modelChanged([{ before: none, after: two }]);
  const series = await seriesOf(metrics);
  const at = (name: string, path: string): number | undefined =>
    series.get(`${name}{path="${path}",ip_family="IPv4"}`);
  assertEquals(["reject", "envoy-tcp", "envoy-http"].map((path) => at("lightpath_service_ports", path)), [
    0,
    1,
    1,
  ]);
  assertEquals(["reject", "envoy-tcp", "envoy-http"].map((path) => at("lightpath_endpoints", path)), [
    0,
    2,
    3,
  ]);
  metrics.modelChanged([{ before: two, after: undefined }, { before: http, after: undefined }]);
  const empty = [...await seriesOf(metrics)].filter(([name]) =>
    /^lightpath_(service_ports|endpoints)\{/.test(name)
  );
  assertEquals(empty.filter(([, value]) => value !== 0), []);
});

Deno.test("problems: how many now, how many since the start", async () => {
  const metrics = metricsAt(0);
  metrics.problemAppeared("vip-conflict");
  metrics.problemAppeared("vip-conflict");
  metrics.problemResolved("vip-conflict");
  const series = await seriesOf(metrics);
  assertEquals(series.get('lightpath_problems{kind="vip-conflict"}'), 1);
  assertEquals(series.get('lightpath_problems_total{kind="vip-conflict"}'), 2);
  assertEquals(series.get('lightpath_problems{kind="malformed"}'), 0);
});

Deno.test("invalid annotations by what is wrong with them, Events by what became of them", async () => {
  const metrics = metricsAt(0);
  metrics.problemAppeared("invalid-annotation", "unknown-port");
  metrics.problemAppeared("unsupported");
  metrics.eventSettled("written");
  const series = await seriesOf(metrics);
  const counted = [...series].filter(([name]) => /^lightpath_(invalid_annotations|events)_total/.test(name));
  assertEquals(counted.map(([name, value]) => `${name.replace(/^lightpath_/, "")} ${value}`), [
    'invalid_annotations_total{fault="unknown-setting"} 0',
    'invalid_annotations_total{fault="unknown-port"} 1',
    'invalid_annotations_total{fault="wrong-protocol"} 0',
    'invalid_annotations_total{fault="invalid-value"} 0',
    'invalid_annotations_total{fault="contradiction"} 0',
    'invalid_annotations_total{fault="ambiguous"} 0',
    'events_total{result="written"} 1',
    'events_total{result="present"} 0',
    'events_total{result="refused"} 0',
    'events_total{result="failed"} 0',
    'events_total{result="dropped"} 0',
  ]);
});

Deno.test("the process's own figures are real, and two agents in one process do not meet", async () => {
  const [one, other] = [metricsAt(0), metricsAt(0)];
  one.envoyExited();
  const text = await one.render();
  const value = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1] ?? NaN);
  assert(value("process_resident_memory_bytes") > 10_000_000);
  assert(value("process_cpu_seconds_total") > 0.01);
  assert(value("process_open_fds") > 2);
  assert(Math.abs(value("process_start_time_seconds") - Date.now() / 1000) < 86_400);
  assertEquals((await seriesOf(other)).get("lightpath_envoy_exits_total"), 0);
});

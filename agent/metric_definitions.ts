/**
 * Defines every metric: names, labels, buckets and help are in this file and nowhere else.
 *
 * In: the families served. Out: the metrics, all at 0.
 * Invariants: every label's values are a closed set, no name of a Service becomes one; series whose labels are known
 * exist from the start, so that a rate over them has no gap at the first event.
 * Source of the `kubeproxy_…` names, meanings and buckets: Kubernetes `pkg/proxy/metrics/metrics.go`, v1.36. A round
 * of "syncing proxy rules" is one comparison or transaction of the kernel's redirect. Lightpath programs both families
 * in one transaction, so each round counts once per family served.
 * @module
 */

import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { AnnotationFaultKind, IPFamily, Path, ProblemKind } from "./model/mod.ts";

/** Label values of `type`, as in the API's names of the messages. */
const XDS_TYPES = [
  "Cluster",
  "ClusterLoadAssignment",
  "TypedExtensionConfig",
  "Listener",
  "RouteConfiguration",
] as const;
const OBJECT_KINDS = ["Service", "EndpointSlice"] as const;
const PATHS: Readonly<Record<Path, true>> = {
  "envoy-tcp": true,
  "envoy-http": true,
  reject: true,
  kernel: true,
  drop: true,
};
const PROBLEM_KINDS: Readonly<Record<ProblemKind | "manifest", true>> = {
  manifest: true,
  malformed: true,
  "invalid-port": true,
  "invalid-address": true,
  "wrong-family": true,
  "unknown-protocol": true,
  "vip-conflict": true,
  "node-port-conflict": true,
  "health-check-port": true,
  "duplicate-port": true,
  "invalid-annotation": true,
  "unsupported": true,
};
const ANNOTATION_FAULTS: Readonly<Record<AnnotationFaultKind, true>> = {
  "unknown-setting": true,
  "unknown-port": true,
  "wrong-protocol": true,
  "invalid-value": true,
  contradiction: true,
  ambiguous: true,
};
const EVENT_RESULTS = ["written", "present", "refused", "failed", "dropped"] as const;
/** How the wait of a change for Envoy ended. */
const OPENING_RESULTS = ["taken", "timeout", "overtaken"] as const;
const APPLY_KINDS = ["start", "update", "resync", "repair"] as const;

/** kube-proxy's `ExponentialBuckets(0.001, 2, 15)`: 1 ms to 16.4 s. */
const SYNC_BUCKETS = Array.from({ length: 15 }, (_, index) => 0.001 * 2 ** index);
/** kube-proxy's merged linear buckets: 0.25 s to 5 min. */
const NETWORK_PROGRAMMING_BUCKETS = [
  ...[0.25, 0.5],
  ...Array.from({ length: 59 }, (_, index) => 1 + index),
  ...Array.from({ length: 12 }, (_, index) => 60 + 5 * index),
  ...Array.from({ length: 7 }, (_, index) => 120 + 30 * index),
];
/** 0.5 ms to 8 s: an on-demand answer takes single milliseconds, and Envoy gives up after seconds. */
const XDS_BUCKETS = Array.from({ length: 15 }, (_, index) => 0.0005 * 2 ** index);

/** All metrics but those of the process itself, in a registry of their own. */
export class MetricDefinitions {
  readonly registry: Registry = new Registry();

  readonly syncDuration: Histogram<"ip_family"> = this.#histogram(
    "kubeproxy_sync_proxy_rules_duration_seconds",
    "Duration of one round of programming the kernel, in seconds",
    SYNC_BUCKETS,
    "ip_family",
  );
  readonly fullSyncDuration: Histogram<"ip_family"> = this.#histogram(
    "kubeproxy_sync_full_proxy_rules_duration_seconds",
    "Duration of one comparison of the whole table with the plan, in seconds",
    SYNC_BUCKETS,
    "ip_family",
  );
  readonly partialSyncDuration: Histogram<"ip_family"> = this.#histogram(
    "kubeproxy_sync_partial_proxy_rules_duration_seconds",
    "Duration of one transaction that holds only changes, in seconds",
    SYNC_BUCKETS,
    "ip_family",
  );
  readonly lastSync: Gauge<"ip_family"> = this.#gauge(
    "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
    "The last time the kernel was successfully programmed",
    "ip_family",
  );
  readonly lastQueued: Gauge<"ip_family"> = this.#gauge(
    "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
    "The last time a change was queued for the kernel and Envoy",
    "ip_family",
  );
  readonly networkProgramming: Histogram<"ip_family"> = this.#histogram(
    "kubeproxy_network_programming_duration_seconds",
    "Time from the change of a pod or Service (last-change-trigger-time of its EndpointSlice) until kernel and Envoy have it",
    NETWORK_PROGRAMMING_BUCKETS,
    "ip_family",
  );
  readonly endpointChanges: Counter = this.#counter(
    "kubeproxy_sync_proxy_rules_endpoint_changes_total",
    "Cumulative EndpointSlice changes",
  );
  readonly endpointChangesPending: Gauge = this.#gauge(
    "kubeproxy_sync_proxy_rules_endpoint_changes_pending",
    "EndpointSlice changes that kernel and Envoy do not have yet",
  );
  readonly serviceChanges: Counter = this.#counter(
    "kubeproxy_sync_proxy_rules_service_changes_total",
    "Cumulative Service changes",
  );
  readonly serviceChangesPending: Gauge = this.#gauge(
    "kubeproxy_sync_proxy_rules_service_changes_pending",
    "Service changes that kernel and Envoy do not have yet",
  );
  readonly nftablesFailures: Counter<"ip_family"> = this.#counter(
    "kubeproxy_sync_proxy_rules_nftables_sync_failures_total",
    "Cumulative failures to program the kernel",
    "ip_family",
  );
  readonly conntrackDuration: Histogram<"ip_family"> = this.#histogram(
    "kubeproxy_conntrack_reconciler_sync_duration_seconds",
    "Duration of one look for UDP flows that lead to endpoints which are gone, in seconds",
    SYNC_BUCKETS,
    "ip_family",
  );
  readonly conntrackDeleted: Counter<"ip_family"> = this.#counter(
    "kubeproxy_conntrack_reconciler_deleted_entries_total",
    "Cumulative UDP flows deleted because they led to endpoints which are gone",
    "ip_family",
  );
  readonly conntrackFailures: Counter = this.#counter(
    "lightpath_conntrack_failures_total",
    "Failures to look for such flows or to delete them",
  );
  readonly envoys: Gauge = this.#gauge(
    "lightpath_connected_envoys",
    "Envoys that are connected to this agent",
  );
  readonly envoyServing: Gauge = this.#gauge(
    "lightpath_envoy_serving",
    "1 while new TCP connections go to Envoy, 0 while the kernel balances them in its place",
  );
  readonly sourcePreserved: Gauge = this.#gauge(
    "lightpath_client_address_preserved",
    "1 while endpoints see their clients' addresses where connections go through Envoy, 0 while they see this node's",
  );
  readonly envoyFailovers: Counter = this.#counter(
    "lightpath_envoy_failovers_total",
    "Times the kernel took over from an Envoy that had served",
  );
  readonly envoyExits: Counter = this.#counter(
    "lightpath_envoy_exits_total",
    "Times the Envoy run by this agent ended by itself",
  );
  readonly resources: Counter<"type" | "action"> = this.#counter(
    "lightpath_xds_resources_sent_total",
    "Resources sent to Envoy, by type and by whether they exist",
    "type",
    "action",
  );
  readonly bytes: Counter<"type"> = this.#counter(
    "lightpath_xds_sent_bytes_total",
    "Bytes of responses sent to Envoy",
    "type",
  );
  readonly acks: Histogram<"type"> = this.#histogram(
    "lightpath_xds_ack_duration_seconds",
    "Time from a response until Envoy took it",
    XDS_BUCKETS,
    "type",
  );
  readonly nacks: Counter<"type"> = this.#counter(
    "lightpath_xds_nacks_total",
    "Resources that Envoy refused",
    "type",
  );
  readonly onDemandRequests: Counter<"type"> = this.#counter(
    "lightpath_xds_on_demand_requests_total",
    "Names Envoy asked for of which it held nothing; for a Cluster, the first connection to a VIP",
    "type",
  );
  readonly onDemandDuration: Histogram<"type"> = this.#histogram(
    "lightpath_xds_on_demand_duration_seconds",
    "Time from Envoy's question for a name until it took the answer",
    XDS_BUCKETS,
    "type",
  );
  readonly openings: Histogram<"result"> = this.#histogram(
    "lightpath_opening_wait_seconds",
    "Time for which the kernel was kept from sending connections to a Service port that Envoy had not taken yet",
    XDS_BUCKETS,
    "result",
  );
  readonly servicePorts: Gauge<"path" | "ip_family"> = this.#gauge(
    "lightpath_service_ports",
    "Ports of Services by the path their connections take",
    "path",
    "ip_family",
  );
  readonly endpoints: Gauge<"path" | "ip_family"> = this.#gauge(
    "lightpath_endpoints",
    "Usable endpoints by the path of their Service port",
    "path",
    "ip_family",
  );
  readonly problems: Gauge<"kind"> = this.#gauge(
    "lightpath_problems",
    "Things in Services, EndpointSlices and manifests that cannot be served now",
    "kind",
  );
  readonly problemsSeen: Counter<"kind"> = this.#counter(
    "lightpath_problems_total",
    "Such things since the start",
    "kind",
  );
  readonly invalidAnnotations: Counter<"fault"> = this.#counter(
    "lightpath_invalid_annotations_total",
    "Annotations of Services that have no effect as written, by what is wrong with them",
    "fault",
  );
  readonly events: Counter<"result"> = this.#counter(
    "lightpath_events_total",
    "Events by which problems are told on their Service, by what became of them",
    "result",
  );
  readonly backend: Gauge<"backend"> = this.#gauge(
    "lightpath_redirect_backend",
    "What programs the kernel: nftables, or a kind of iptables; always 1",
    "backend",
  );
  readonly transactions: Counter<"kind" | "result"> = this.#counter(
    "lightpath_nft_transactions_total",
    "Transactions with the kernel, by occasion and result",
    "kind",
    "result",
  );
  readonly nftDuration: Histogram<"kind"> = this.#histogram(
    "lightpath_nft_duration_seconds",
    "Duration of one round of programming the kernel, by occasion",
    SYNC_BUCKETS,
    "kind",
  );
  readonly nftElements: Counter<"action"> = this.#counter(
    "lightpath_nft_elements_total",
    "Map and set elements written",
    "action",
  );
  readonly drift: Counter = this.#counter(
    "lightpath_nft_drift_total",
    "Differences somebody else made in Lightpath's table, mended",
  );
  readonly relists: Counter<"kind"> = this.#counter(
    "lightpath_source_relists_total",
    "Complete lists read from the API server",
    "kind",
  );
  readonly watchErrors: Counter<"kind"> = this.#counter(
    "lightpath_source_watch_errors_total",
    "Failed lists and watches",
    "kind",
  );
  readonly healthz: Counter<"code"> = this.#counter(
    "kubeproxy_proxy_healthz_total",
    "Answers of /healthz by HTTP status",
    "code",
  );
  readonly livez: Counter<"code"> = this.#counter(
    "kubeproxy_proxy_livez_total",
    "Answers of /livez by HTTP status",
    "code",
  );
  readonly buildInfo: Gauge<"version" | "envoy_version" | "mode"> = this.#gauge(
    "lightpath_build_info",
    "Versions, as labels",
    "version",
    "envoy_version",
    "mode",
  );

  /** Brings series whose labels are known into being; `families` are the values of `ip_family`. */
  constructor(families: readonly IPFamily[]) {
    for (const type of XDS_TYPES) {
      for (const action of ["updated", "removed"]) this.resources.inc({ type, action }, 0);
      for (const one of [this.bytes, this.nacks, this.onDemandRequests]) one.inc({ type }, 0);
    }
    for (const ip_family of families) {
      this.nftablesFailures.inc({ ip_family }, 0);
      this.conntrackDeleted.inc({ ip_family }, 0);
      for (const path of Object.keys(PATHS)) {
        this.servicePorts.set({ path, ip_family }, 0);
        this.endpoints.set({ path, ip_family }, 0);
      }
    }
    for (const kind of Object.keys(PROBLEM_KINDS)) {
      this.problems.set({ kind }, 0);
      this.problemsSeen.inc({ kind }, 0);
    }
    for (const fault of Object.keys(ANNOTATION_FAULTS)) this.invalidAnnotations.inc({ fault }, 0);
    for (const result of EVENT_RESULTS) this.events.inc({ result }, 0);
    for (const kind of APPLY_KINDS) {
      for (const result of ["applied", "failed"]) this.transactions.inc({ kind, result }, 0);
    }
    for (const result of OPENING_RESULTS) this.openings.zero({ result });
    for (const action of ["added", "deleted"]) this.nftElements.inc({ action }, 0);
    for (const kind of OBJECT_KINDS) {
      this.relists.inc({ kind }, 0);
      this.watchErrors.inc({ kind }, 0);
    }
  }

  #counter<const L extends string = never>(name: string, help: string, ...labelNames: L[]): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #gauge<const L extends string = never>(name: string, help: string, ...labelNames: L[]): Gauge<L> {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }

  #histogram<const L extends string>(
    name: string,
    help: string,
    buckets: number[],
    ...labelNames: L[]
  ): Histogram<L> {
    return new Histogram({ name, help, buckets, labelNames, registers: [this.registry] });
  }
}

/**
 * Decides how much may be under way to the endpoints of a Cluster at once.
 *
 * In: the settings `circuit-breaker-…` of a ServicePort. Out: `Cluster.circuit_breakers`.
 *
 * Invariant: Envoy's own limits (1,024 connections and requests, 3 retries) never apply. kube-proxy knows none, so one that
 * nobody set is lifted, and has to be written for that.
 *
 * The exception are retries: where nobody set a limit, they may be 20 % of the requests under way, and always 10, so that
 * endpoints that fail because they are busy are not given several times the work. Envoy counts those of failed connections
 * too.
 *
 * A limit is a Cluster's, which is one destination (a port with several VIPs has it once for each), on one node.
 * Nothing sends requests of priority HIGH: its limits are carried because a user may set them.
 *
 * Source: Envoy FAQ, "Is there a way to disable circuit breaking?"; `CircuitBreakers` in its API reference.
 * @module
 */
import type { ServicePort, SettingValues } from "../../agent/model/mod.ts";
import { CircuitBreakers, CircuitBreakers_Thresholds, RoutingPriority } from "../../protos/mod.ts";

/** The largest `UInt32Value`: no limit in practice. */
const UNLIMITED = 4_294_967_295;

const RETRY_BUDGET = { budgetPercent: { value: 20 }, minRetryConcurrency: 10 } as const;

const PRIORITIES = { default: RoutingPriority.DEFAULT, high: RoutingPriority.HIGH } as const;

/** The limits of both priorities. */
export function circuitBreakers({ settings: { values } }: Pick<ServicePort, "settings">): CircuitBreakers {
  return CircuitBreakers.fromPartial({
    thresholds: [thresholds(values, "default"), thresholds(values, "high")],
  });
}

function thresholds(values: SettingValues, priority: keyof typeof PRIORITIES): CircuitBreakers_Thresholds {
  const limit = (of: "connections" | "pending-requests" | "requests" | "retries"): number | undefined =>
    values[`circuit-breaker-${priority}-max-${of}` as const];
  const maxRetries = limit("retries");
  return CircuitBreakers_Thresholds.fromPartial({
    priority: PRIORITIES[priority],
    maxConnections: limit("connections") ?? UNLIMITED,
    maxPendingRequests: limit("pending-requests") ?? UNLIMITED,
    maxRequests: limit("requests") ?? UNLIMITED,
    // A budget replaces the limit.
    ...(maxRetries === undefined ? { retryBudget: RETRY_BUDGET } : { maxRetries }),
    trackRemaining: values[`circuit-breaker-${priority}-track-remaining` as const],
  });
}

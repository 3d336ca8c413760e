/**
 * Decides when an endpoint that fails is left out for a while.
 *
 * In: a ServicePort, with its settings `outlier-detection-…` if it speaks HTTP. Out: `Cluster.outlier_detection` and
 * `common_lb_config`.
 *
 * Invariants: what is detected is said here in full, for Envoy adds detectors of its own (success rate); a Service with one
 * endpoint notices nothing of it, because while all are out, all are used.
 *
 * Source: Envoy 1.40 "Outlier detection", `OutlierDetection` in its API reference.
 * @module
 */
import type { ServicePort, SettingValues } from "../../agent/model/mod.ts";
import { type Cluster, OutlierDetection } from "../../protos/mod.ts";
import { durationOf } from "./duration.ts";

/** What holds for every Cluster, whichever way its endpoints are found to fail. */
export const COMMON_LB_CONFIG = {
  // Only when as good as all are out are those that are out used. By Envoy's default (50 %) two of three failing
  // endpoints would be used as if nothing were.
  healthyPanicThreshold: { value: 1 },
  // By default a second endpoint that is taken out within a second of the first stays in use until that second is over:
  // with three of four endpoints dead 7 % of the connections failed.
  updateMergeWindow: durationOf(0),
} as const;

/** The detection; none where it is switched off. */
export function outlierDetection(
  { appProtocol, settings }: Pick<ServicePort, "appProtocol" | "settings">,
): Cluster["outlierDetection"] {
  // Not of redis: without its endpoint a key would be looked for at another, which does not have it.
  if (appProtocol === "redis") return undefined;
  return appProtocol === "tcp" ? TCP_OUTLIER_DETECTION : httpOutlierDetection(settings.values);
}

/**
 * An endpoint that answers several requests in a row with 5xx is left out; connections that fail, resets and tries that time
 * out count as 5xx.
 */
function httpOutlierDetection(values: SettingValues): OutlierDetection | undefined {
  const maxEjectionPercent = values["outlier-detection-max-ejection-percent"];
  if (maxEjectionPercent === 0) return undefined;
  const baseMs = values["outlier-detection-base-ejection-time"];
  const consecutive5xx = values["outlier-detection-consecutive-5xx"];
  const consecutiveGatewayFailure = values["outlier-detection-consecutive-gateway-failure"];
  return OutlierDetection.fromPartial({
    // Envoy counts to 5 where nothing is written, and to nothing where 0 is: what is not to eject is not enforced either.
    consecutive5xx,
    enforcingConsecutive5xx: consecutive5xx === 0 ? 0 : 100,
    consecutiveGatewayFailure,
    enforcingConsecutiveGatewayFailure: consecutiveGatewayFailure === 0 ? 0 : 100,
    enforcingSuccessRate: 0,
    enforcingFailurePercentage: 0,
    interval: durationOf(values["outlier-detection-interval"]),
    baseEjectionTime: durationOf(baseMs),
    // Envoy refuses a longest time that is shorter than the base.
    maxEjectionTime: durationOf(Math.max(baseMs, values["outlier-detection-max-ejection-time"])),
    maxEjectionPercent,
    // 10 % of fewer than ten endpoints are none.
    alwaysEjectOneHost: true,
  });
}

/**
 * Keeps a TCP connection off an endpoint that has just refused one, or not answered: `tcp_proxy` tries again, but cannot
 * exclude the endpoint it tried (HTTP can, see `previous_hosts` in retries.ts), and the one that is dead has the fewest
 * connections. Only failures to connect count, never what an endpoint says. It is tried again after 2 s.
 */
const TCP_OUTLIER_DETECTION = OutlierDetection.fromPartial({
  splitExternalLocalOriginErrors: true,
  consecutiveLocalOriginFailure: 1,
  enforcingConsecutive5xx: 0,
  enforcingSuccessRate: 0,
  enforcingLocalOriginSuccessRate: 0,
  interval: durationOf(1_000),
  baseEjectionTime: durationOf(2_000),
  maxEjectionTime: durationOf(10_000),
  maxEjectionPercent: 100,
});

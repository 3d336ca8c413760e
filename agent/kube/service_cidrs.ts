/**
 * Follows the ranges a cluster has for ClusterIPs, which its ServiceCIDR objects say.
 *
 * In: an API server. Out: all ranges, whenever they are others than before.
 * They are read at intervals and not watched: they change when somebody widens the range of a cluster, and to be late does no harm.
 * An address of a range that is new is not dropped yet; of one that is gone no Service has an address.
 * Nothing waits for them, and a right that is missing, or an API server before 1.33, which has no such objects, stops nothing:
 * then there are none.
 * @module
 */
import { delay } from "@std/async/delay";
import type { Logger } from "../log.ts";
import type { ServiceCIDRClient } from "./client.ts";
import { KubeApiError, SilentConnectionError } from "./kube_api_error.ts";

/** What {@linkcode watchServiceCIDRs} needs. */
export interface WatchServiceCIDRsOptions {
  readonly client: ServiceCIDRClient;
  /** Called with the first ranges there are, and with each that differ. As they stand in the objects, sorted. */
  readonly onChange: (cidrs: readonly string[]) => void;
  readonly logger: Logger;
  /** Between two looks. @default 600_000 */
  readonly intervalMs?: number;
  /** After a look that failed. @default 30_000 */
  readonly retryMs?: number;
}

/** Looks at once and then at intervals, until the signal aborts. */
export async function watchServiceCIDRs(
  { client, onChange, logger, intervalMs = 600_000, retryMs = 30_000 }: WatchServiceCIDRsOptions,
  signal: AbortSignal,
): Promise<void> {
  let before = "";
  let complaint = "";
  while (!signal.aborted) {
    let pauseMs = intervalMs;
    try {
      const cidrs = [...new Set(await client.serviceCIDRs(signal))].sort();
      complaint = "";
      const now = cidrs.join(",");
      if (now !== before) {
        before = now;
        logger.info("service CIDRs", { cidrs: now });
        onChange(cidrs);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof KubeApiError || error instanceof SilentConnectionError)) throw error;
      const isMissing = error instanceof KubeApiError && error.status === 404;
      if (!isMissing) pauseMs = retryMs;
      // What is known stays; said once for each reason.
      if (!isMissing && complaint !== error.message) {
        complaint = error.message;
        logger.warn("cannot read the service CIDRs; addresses that no Service has are not dropped", {
          reason: error.message,
        });
      }
    }
    try {
      await delay(pauseMs * (0.9 + 0.2 * Math.random()), { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

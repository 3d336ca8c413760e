/**
 * Decides which requests a Cluster tries again whatever their method, how often, and where.
 *
 * In: a ServicePort. Out: an `envoy.config.route.v3.RetryPolicy` for its Clusters.
 *
 * What no server can have acted upon is always tried again: a connection that failed, a stream that was refused, a reset
 * before the request was sent. So an endpoint that is gone before its removal arrives costs nobody a request. What a server
 * answered (`retry-on`) is tried again for requests that may be repeated: those come along a route of their own that adds
 * the conditions (`routes.ts`), because a Cluster does not see the method. With `retry-methods: all` the conditions are
 * the Cluster's, and hold for POST and gRPC too.
 *
 * How many retries may be under way at once is a limit of the Cluster (`circuitBreakers`), not of the policy.
 * @module
 */
import type { ServicePort } from "../../agent/model/mod.ts";
import { packAny, PreviousHostsPredicate, PreviousPrioritiesConfig, RetryPolicy } from "../../protos/mod.ts";

/** Nobody can have acted upon these. */
const ALWAYS: readonly string[] = ["connect-failure", "refused-stream", "reset-before-request"];

const OTHER_HOST = {
  retryHostPredicate: [{
    name: "envoy.retry_host_predicates.previous_hosts",
    typedConfig: packAny(PreviousHostsPredicate, PreviousHostsPredicate.create()),
  }],
  // How often an endpoint is drawn until it is one that has not failed: 5 of 10 draws in a row do hit two of three.
  hostSelectionRetryMaxAttempts: 20,
};

/** For endpoints in tiers: without it all tries stay in the tier of the first, in which each endpoint may be dead. */
const OTHER_TIER = {
  retryPriority: {
    name: "envoy.retry_priorities.previous_priorities",
    typedConfig: packAny(
      PreviousPrioritiesConfig,
      PreviousPrioritiesConfig.fromPartial({ updateFrequency: 1 }),
    ),
  },
};

/** The policy of a port's Clusters. */
export function retryPolicy({ settings: { values }, prefersNear }: ServicePort): RetryPolicy {
  const ofAnyMethod = values["retry-enabled"] && values["retry-methods"] === "all" ? values["retry-on"] : [];
  return RetryPolicy.fromPartial({
    retryOn: [...ALWAYS, ...ofAnyMethod].join(),
    numRetries: values["num-retries"],
    retriableHeaders: values["retriable-headers"].map((name) => ({ name, presentMatch: true })),
    ...OTHER_HOST,
    ...(prefersNear ? OTHER_TIER : {}),
  });
}

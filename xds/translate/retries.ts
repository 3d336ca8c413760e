/**
 * Decides which requests are tried again, how often, and where.
 *
 * In: a ServicePort. Out: an `envoy.config.route.v3.RetryPolicy` as plain JSON, which the routes have for all Services
 * (`routes.ts`); the same as a message for the Clusters of a Service that wants otherwise.
 *
 * What no server can have acted upon is always tried again: a connection that failed, a stream that was refused, a reset
 * before the request was sent. So an endpoint that is gone before its removal arrives costs nobody a request. What a server
 * answered (`retry-on`) is tried again for requests that may be repeated, and those have routes of their own, because a Cluster
 * does not see the method.
 *
 * A Cluster's policy is in force instead of the route's, as a whole, but for the time of a try, which is always the route's. So a
 * Service that says nothing has none. Of one that wants otherwise the Cluster has what holds whatever the method; the
 * conditions for requests that may be repeated are added by a header (`metadata.ts`). With `retry-methods: all` they are the
 * Cluster's too, and hold for POST and gRPC.
 *
 * How many retries may be under way at once is a limit of the Cluster (`circuitBreakers`), not of the policy.
 *
 * Source: Envoy 1.40 API reference, `HttpProtocolOptions.retry_policy`; "Router" for the headers.
 * @module
 */
import { DEFAULT_SETTINGS, type ServicePort, type SettingName } from "../../agent/model/mod.ts";
import {
  packAny,
  PreviousHostsPredicate,
  PreviousPrioritiesConfig,
  RetryPolicy,
  typeUrlOf,
} from "../../protos/mod.ts";
import type { Json } from "../listeners.ts";

/** Nobody can have acted upon these. */
const ALWAYS: readonly string[] = ["connect-failure", "refused-stream", "reset-before-request"];

/** Not where it failed. */
const PREVIOUS_HOSTS = "envoy.retry_host_predicates.previous_hosts";

/** How often an endpoint is drawn until it is one that has not failed: 5 of 10 draws in a row do hit two of three. */
const HOST_SELECTION_ATTEMPTS = 20;

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

/** Where one is not the default, the Cluster has a policy. */
const RETRY_SETTINGS = [
  "num-retries",
  "retriable-headers",
  "retry-enabled",
  "retry-methods",
  "retry-on",
] as const satisfies readonly SettingName[];

const { values: DEFAULTS } = DEFAULT_SETTINGS;

/** What a route has for all Services: for requests that may be repeated, or for others. */
export function defaultRetryPolicy(isRepeatable: boolean): { readonly [key: string]: Json } {
  return {
    retry_on: [...ALWAYS, ...(isRepeatable ? DEFAULTS["retry-on"] : [])].join(),
    num_retries: DEFAULTS["num-retries"],
    retry_host_predicate: [{
      name: PREVIOUS_HOSTS,
      typed_config: { "@type": typeUrlOf(PreviousHostsPredicate) },
    }],
    host_selection_retry_max_attempts: HOST_SELECTION_ATTEMPTS,
  };
}

/** The policy of a port's Clusters; none where the routes' will do. */
export function retryPolicy(servicePort: ServicePort): RetryPolicy | undefined {
  const { settings: { values }, prefersNear } = servicePort;
  if (isAsRoutesSay(servicePort)) return undefined;
  const ofAnyMethod = values["retry-enabled"] && values["retry-methods"] === "all" ? values["retry-on"] : [];
  return RetryPolicy.fromPartial({
    retryOn: [...ALWAYS, ...ofAnyMethod].join(),
    numRetries: values["num-retries"],
    retriableHeaders: values["retriable-headers"].map((name) => ({ name, presentMatch: true })),
    retryHostPredicate: [{
      name: PREVIOUS_HOSTS,
      typedConfig: packAny(PreviousHostsPredicate, PreviousHostsPredicate.create()),
    }],
    hostSelectionRetryMaxAttempts: HOST_SELECTION_ATTEMPTS,
    ...(prefersNear ? OTHER_TIER : {}),
  });
}

/** The conditions that requests which may be repeated have besides those of the Cluster's policy; none where it has none. */
export function retryOnOfRepeatable(servicePort: ServicePort): string | undefined {
  const { values } = servicePort.settings;
  const isAdded = values["retry-enabled"] && values["retry-methods"] === "idempotent";
  return isAdded && !isAsRoutesSay(servicePort) ? values["retry-on"].join() : undefined;
}

function isAsRoutesSay({ settings: { values }, prefersNear }: ServicePort): boolean {
  return !prefersNear &&
    RETRY_SETTINGS.every((name) => String(values[name]) === String(DEFAULTS[name]));
}

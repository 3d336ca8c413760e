/**
 * The one table of annotations: what a user may ask of a Service's ports, with defaults and limits. Parsing, `explain` and
 * the reference (docs/annotations.md) are derived from it.
 *
 * Written on the Service: `config.lightpath.cloud/<setting>` for all its ports, `config.lightpath.cloud/<port-name>-<setting>`
 * for one of them, which wins.
 *
 * Bounds keep everything out that Envoy would refuse: one refused Cluster fails the waiting first connections of others
 * (ARCHITECTURE.md). Where a default is not Envoy's, `meaning` says why.
 * @module
 */
import {
  type AnnotationKind,
  boolean,
  choice,
  count,
  duration,
  type HashOn,
  hashOn,
  headerNames,
  limit,
  words,
} from "./values.ts";

/** Which ports can have a setting. */
export type AppliesTo = "HTTP" | "TCP" | "HTTP and TCP";

/** One row of the table. */
export interface AnnotationDefinition<T> {
  readonly kind: AnnotationKind<T>;
  readonly default: T;
  readonly appliesTo: AppliesTo;
  /** One or two sentences for the reference. */
  readonly meaning: string;
}

/** What of a response, or of its absence, is worth another try. Envoy's words. */
const RETRY_ON = [
  "5xx",
  "gateway-error",
  "reset",
  "retriable-headers",
  "retriable-4xx",
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
] as const;

const BREAKERS = {
  "max-connections": {
    kind: limit({ min: 1 }),
    meaning: "Connections to all endpoints together. What exceeds it waits (HTTP) or is refused (TCP).",
  },
  "max-pending-requests": {
    kind: limit({ min: 1 }),
    meaning: "Requests that wait for a connection. What exceeds it is answered with 503.",
  },
  "max-requests": {
    kind: limit({ min: 1 }),
    meaning: "Requests under way. What exceeds it is answered with 503.",
  },
  "max-retries": {
    kind: limit({ min: 0 }),
    meaning: "Retries under way. Without it they may be 20 % of the requests under way, and always 10.",
  },
} as const;

function definition<const T>(
  kind: AnnotationKind<T>,
  row: Omit<AnnotationDefinition<T>, "kind">,
): AnnotationDefinition<T> {
  return { kind, ...row };
}

function breaker(
  priority: "default" | "high",
  name: keyof typeof BREAKERS,
): AnnotationDefinition<number | undefined> {
  const { kind, meaning } = BREAKERS[name];
  const note = priority === "high" ? " Of requests of high priority, which nothing sends today." : "";
  return { kind, default: undefined, appliesTo: "HTTP and TCP", meaning: meaning + note };
}

function trackRemaining(): AnnotationDefinition<boolean> {
  return {
    kind: boolean(),
    default: false,
    appliesTo: "HTTP and TCP",
    meaning: "Publishes how much of each limit is left, as Envoy's gauges `circuit_breakers.…remaining_…`.",
  };
}

/** All settings by name. */
export const ANNOTATIONS = {
  "request-timeout": definition(duration({ minMs: 0 }), {
    default: 15_000,
    appliesTo: "HTTP",
    meaning:
      "How long a client waits for the response to begin, all tries together; then it gets 504. By default " +
      "nothing that has begun is cut, gRPC, server-sent events and WebSockets have no such limit, and more or longer " +
      "tries take the time they need. Set explicitly, it is the end of the whole exchange, body included, of all of " +
      "them but WebSockets.",
  }),
  "upstream-request-timeout": definition(duration({ minMs: 0 }), {
    default: 5_000,
    appliesTo: "HTTP",
    meaning:
      "How long one endpoint has to begin its response, from the end of the request, before another is tried. A " +
      "request that may not be repeated has the whole request-timeout instead, unless this is set explicitly.",
  }),
  "upstream-connect-timeout": definition(duration({ minMs: 1 }), {
    default: 5_000,
    appliesTo: "HTTP and TCP",
    meaning: "How long a connection to an endpoint may take to be made, before another endpoint is tried.",
  }),
  "upstream-idle-timeout": definition(duration({ minMs: 0 }), {
    default: 1_000,
    appliesTo: "HTTP",
    meaning:
      "How long an idle connection to an endpoint is kept for the next request. Shorter than servers keep theirs " +
      "(gunicorn 2 s, Node.js, uvicorn and Apache 5 s), because a request that meets a closing server is lost.",
  }),
  "idle-timeout": definition(duration({ minMs: 0 }), {
    default: 300_000,
    appliesTo: "HTTP and TCP",
    meaning:
      "How long a client's connection may be idle: for HTTP without a request under way, for TCP without a byte in " +
      "either direction. TCP ports have none unless it is set.",
  }),
  "access-log": definition(boolean(), {
    default: true,
    appliesTo: "HTTP and TCP",
    meaning:
      "Writes a line of JSON to Envoy's stdout for each request, and for each TCP connection at its end.",
  }),
  "lb-policy": definition(choice("LEAST_REQUEST", "ROUND_ROBIN", "RANDOM", "MAGLEV", "RING_HASH"), {
    default: "LEAST_REQUEST",
    appliesTo: "HTTP and TCP",
    meaning: "How an endpoint is chosen for each request, or each TCP connection.",
  }),
  "hash-on": definition<HashOn>(hashOn(), {
    default: { kind: "source-ip" },
    appliesTo: "HTTP and TCP",
    meaning:
      "What MAGLEV and RING_HASH balance by: equal values go to the same endpoint. TCP knows only the source.",
  }),
  "retry-enabled": definition(boolean(), {
    default: true,
    appliesTo: "HTTP",
    meaning:
      "Whether answers are retried as `retry-on` says. What no endpoint can have acted upon (a connection that " +
      "failed, a stream that was refused) is tried again in any case.",
  }),
  "retry-on": definition<readonly string[]>(words(RETRY_ON), {
    default: ["5xx", "reset", "retriable-headers"],
    appliesTo: "HTTP",
    meaning:
      "Which answers are retried, in Envoy's words. Never on the endpoint that failed, while there is another.",
  }),
  "retry-methods": definition(choice("idempotent", "all"), {
    default: "idempotent",
    appliesTo: "HTTP",
    meaning:
      "`idempotent`: of GET, HEAD, OPTIONS, TRACE, PUT and DELETE, which may be repeated (RFC 9110). `all`: POST, PATCH " +
      "and gRPC calls too, which an endpoint may then act upon twice.",
  }),
  "retriable-headers": definition<readonly string[]>(headerNames(), {
    default: [],
    appliesTo: "HTTP",
    meaning: "Which headers of an answer make it worth a retry, for `retriable-headers` in `retry-on`.",
  }),
  "num-retries": definition(count({ min: 0, max: 10 }), {
    default: 2,
    appliesTo: "HTTP",
    meaning: "How often a request is tried again.",
  }),
  "circuit-breaker-default-max-connections": breaker("default", "max-connections"),
  "circuit-breaker-default-max-pending-requests": breaker("default", "max-pending-requests"),
  "circuit-breaker-default-max-requests": breaker("default", "max-requests"),
  "circuit-breaker-default-max-retries": breaker("default", "max-retries"),
  "circuit-breaker-default-track-remaining": trackRemaining(),
  "circuit-breaker-high-max-connections": breaker("high", "max-connections"),
  "circuit-breaker-high-max-pending-requests": breaker("high", "max-pending-requests"),
  "circuit-breaker-high-max-requests": breaker("high", "max-requests"),
  "circuit-breaker-high-max-retries": breaker("high", "max-retries"),
  "circuit-breaker-high-track-remaining": trackRemaining(),
  "outlier-detection-interval": definition(duration({ minMs: 1 }), {
    default: 10_000,
    appliesTo: "HTTP",
    meaning: "How often it is looked whether an endpoint that was taken out may come back.",
  }),
  "outlier-detection-base-ejection-time": definition(duration({ minMs: 1 }), {
    default: 30_000,
    appliesTo: "HTTP",
    meaning: "How long an endpoint is taken out: this, times how often it was before.",
  }),
  "outlier-detection-max-ejection-time": definition(duration({ minMs: 1 }), {
    default: 300_000,
    appliesTo: "HTTP",
    meaning: "The longest time an endpoint is taken out; at least the base time.",
  }),
  "outlier-detection-max-ejection-percent": definition(count({ min: 0, max: 100 }), {
    default: 10,
    appliesTo: "HTTP",
    meaning:
      "How many of the endpoints may be out at once; one always may. 0 switches outlier detection off.",
  }),
  "outlier-detection-consecutive-5xx": definition(count({ min: 0, max: 10_000 }), {
    default: 5,
    appliesTo: "HTTP",
    meaning: "After how many 5xx in a row an endpoint is taken out. 0: never for this reason.",
  }),
  "outlier-detection-consecutive-gateway-failure": definition(count({ min: 0, max: 10_000 }), {
    default: 5,
    appliesTo: "HTTP",
    meaning: "After how many 502, 503 and 504 in a row an endpoint is taken out. 0: never for this reason.",
  }),
} as const satisfies Readonly<Record<string, AnnotationDefinition<never> | object>>;

/** The name of a setting. */
export type SettingName = keyof typeof ANNOTATIONS;

/** The values of all settings. */
export type SettingValues = {
  readonly [name in SettingName]: (typeof ANNOTATIONS)[name] extends AnnotationDefinition<infer T> ? T
    : never;
};

/** All names, in the order of the table. */
export const SETTING_NAMES = Object.keys(ANNOTATIONS) as readonly SettingName[];

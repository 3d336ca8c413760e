/**
 * What `bench l7` compares: the ways of a request through Lightpath, each beside a static Envoy that does the same, and both
 * ends of the scale.
 *
 * In: nothing. Out: the cases, in the order in which they are shown; the Services and ports they are measured at. Pure.
 *
 * The annotations of the annotated Service stand here beside what they mean in a static route, because nothing else keeps
 * the two alike: what rides on the Cluster the static Envoy gets from Lightpath's own (`l7_static.ts`).
 * @module
 */
import { DEFAULT_SETTINGS } from "../../agent/model/mod.ts";
import { type Manifest, service, slice } from "../../commands/testing/manifests.ts";

/** Where the endpoints listen. */
export const ENDPOINT_PORT = 8080;

/** Names of the cases. */
export type CaseName =
  | "direct"
  | "tcp"
  | "tcp-static"
  | "http"
  | "http-static"
  | "unlogged"
  | "unlogged-static"
  | "annotated"
  | "annotated-static"
  | "bare-static";

/** Who is in between. */
export type Proxy = "none" | "lightpath" | "static";

/** One way of a request. */
export interface Case {
  readonly label: string;
  readonly proxy: Proxy;
  readonly port: number;
  /** What does the same by static configuration. */
  readonly twin?: CaseName;
  /** Whether it is measured too how many connections can be opened. @default false */
  readonly opensConnections?: boolean;
}

/** All of them. */
export const CASES: Readonly<Record<CaseName, Case>> = {
  "direct": { label: "no proxy", proxy: "none", port: ENDPOINT_PORT, opensConnections: true },
  "tcp": { label: "TCP path", proxy: "lightpath", port: 9000, twin: "tcp-static", opensConnections: true },
  "tcp-static": { label: "  static Envoy", proxy: "static", port: 8100, opensConnections: true },
  "http": { label: "HTTP path", proxy: "lightpath", port: 80, twin: "http-static" },
  "http-static": { label: "  static Envoy", proxy: "static", port: 8101 },
  "unlogged": {
    label: "HTTP path, access-log: false",
    proxy: "lightpath",
    port: 81,
    twin: "unlogged-static",
  },
  "unlogged-static": { label: "  static Envoy", proxy: "static", port: 8102 },
  "annotated": {
    label: "HTTP path, many annotations",
    proxy: "lightpath",
    port: 82,
    twin: "annotated-static",
  },
  "annotated-static": { label: "  static Envoy", proxy: "static", port: 8103 },
  "bare-static": { label: "static Envoy with one route and nothing else", proxy: "static", port: 8104 },
};

/** In the order in which they are shown. */
export const CASE_NAMES = Object.keys(CASES) as readonly CaseName[];

/** The cases of Lightpath, each with the static one beside it. */
export const PAIRS: readonly (readonly [CaseName, CaseName])[] = CASE_NAMES.flatMap((name) => {
  const { twin } = CASES[name];
  return twin === undefined ? [] : [[name, twin] as const];
});

/** A case of Lightpath is reached at this address, whichever its Service. */
export const VIP = "10.96.0.10";

/** And a case of the static Envoy at this one. */
export const STATIC_VIP = "10.96.0.11";

/** What the route of a static Envoy says. */
export interface StaticRoute {
  readonly timeoutMs: number;
  readonly tryTimeoutMs: number;
  /** What is tried again besides what the Cluster's policy says, where it has one. */
  readonly retryOn: readonly string[];
  readonly isLogged: boolean;
}

const { values: DEFAULTS } = DEFAULT_SETTINGS;
const DEFAULT_ROUTE: StaticRoute = {
  // Of the whole exchange there is no limit (routes.ts).
  timeoutMs: 0,
  tryTimeoutMs: DEFAULTS["upstream-request-timeout"],
  retryOn: [],
  isLogged: true,
};

/** The routes of the static Envoy that do the same as the Service of their case. */
export const STATIC_ROUTES = {
  "http-static": DEFAULT_ROUTE,
  "unlogged-static": { ...DEFAULT_ROUTE, isLogged: false },
  "annotated-static": { timeoutMs: 10_000, tryTimeoutMs: 3_000, retryOn: ["5xx", "reset"], isLogged: true },
} as const satisfies Partial<Record<CaseName, StaticRoute>>;

const ANNOTATIONS: Readonly<Partial<Record<CaseName, Readonly<Record<string, string>>>>> = {
  "unlogged": { "access-log": "false" },
  "annotated": {
    "circuit-breaker-default-max-requests": "10000",
    "lb-policy": "ROUND_ROBIN",
    "num-retries": "3",
    "request-timeout": "10s",
    "retry-on": "5xx,reset",
    "upstream-request-timeout": "3s",
  },
};

/** The Services of Lightpath's cases, one each, and their endpoints. */
export function manifests(endpoints: readonly string[]): Manifest[] {
  return CASE_NAMES.filter((name) => CASES[name].proxy === "lightpath").flatMap((name) => {
    const portName = name === "tcp" ? "tcp" : "http";
    const annotations = Object.entries(ANNOTATIONS[name] ?? {}).map(([key, value]) =>
      [`config.lightpath.cloud/${key}`, value] as const
    );
    return [
      service(name, {
        clusterIPs: [VIP],
        ports: [{ name: portName, port: CASES[name].port, targetPort: ENDPOINT_PORT }],
        annotations: Object.fromEntries(annotations),
      }),
      slice(name, { addresses: endpoints, ports: [{ name: portName, port: ENDPOINT_PORT }] }),
    ];
  });
}

/**
 * The scenarios: what each shows, and what it is held against.
 *
 * In: nothing. Out: one row each, in the order in which they are shown. What they consist of is in `deploy/bench/scenarios/`, a folder
 * of the same name each. Pure.
 * @module
 */

/** Names of the scenarios, and of their folders. */
export type ScenarioName =
  | "baseline"
  | "baseline-rr"
  | "saturation"
  | "saturation-rr"
  | "simulated-error-rate"
  | "parallel"
  | "whoami-10"
  | "whoami-100"
  | "whoami-400"
  | "slow-replica"
  | "slow-replica-defaults"
  | "rolling-restart";

/** Who serves a load's Services. */
export type Side = "kube-proxy" | "lightpath";

/** In the order in which they are shown. */
export const SIDES: readonly Side[] = ["kube-proxy", "lightpath"];

/** Their names for people. */
export const SIDE_LABELS: Readonly<Record<Side, string>> = {
  "kube-proxy": "kube-proxy",
  "lightpath": "Lightpath",
};

/** What Lightpath is to reach in a scenario, beside kube-proxy in the same run. */
export type Goal =
  /** Not one failed request. */
  | { readonly kind: "no failure" }
  /** No more failed requests than kube-proxy: none, where it has none. */
  | { readonly kind: "no more failures" }
  /** A figure is lower than kube-proxy's by this factor at least. */
  | { readonly kind: "times lower"; readonly figure: "meanMs" | "p99Ms"; readonly factor: number }
  /** p50 exceeds kube-proxy's by this at most. */
  | { readonly kind: "overhead"; readonly figure: "p50Ms"; readonly mostMs: number };

/** A scenario. */
export interface Scenario {
  readonly title: string;
  /** One or two sentences for the report. */
  readonly about: string;
  /** Both proxies at work at once, each for Services of its own. @default false: one after the other, on the same ones */
  readonly isParallel?: boolean;
  readonly goals: readonly Goal[];
  /** What was published of the first proof of concept, on a cluster of its time. */
  readonly published?: string;
}

const NO_MORE_FAILURES: Goal = { kind: "no more failures" };
const WHOAMI_GOALS: readonly Goal[] = [
  { kind: "overhead", figure: "p50Ms", mostMs: 0.2 },
  NO_MORE_FAILURES,
];

/** All of them. */
export const SCENARIOS: Readonly<Record<ScenarioName, Scenario>> = {
  "baseline": {
    title: "Baseline, 500 requests a second",
    about:
      "The graph at 60 % of what its replicas can do; Lightpath chooses the replica with the fewest requests.",
    goals: [
      { kind: "times lower", figure: "meanMs", factor: 1 },
      { kind: "times lower", figure: "p99Ms", factor: 1 },
      NO_MORE_FAILURES,
    ],
    published:
      "kube-proxy mean 23.4 ms, p50 6.4, p90 89.1, p99 99.6; proof of concept mean 17.4, p50 17.5, p90 23.7, p99 33.6",
  },
  "baseline-rr": {
    title: "Baseline in turns",
    about: "The same; Lightpath chooses replicas in turns (`lb-policy: ROUND_ROBIN`).",
    goals: [NO_MORE_FAILURES],
    published: "proof of concept mean 16.3 ms, p99 30.0",
  },
  "saturation": {
    title: "Saturation, 1,000 requests a second",
    about: "More requests than all replicas together can take, which is 833 a second.",
    goals: [NO_MORE_FAILURES],
    published: "proof of concept 841 requests a second",
  },
  "saturation-rr": {
    title: "Saturation in turns",
    about: "The same with `lb-policy: ROUND_ROBIN`.",
    goals: [NO_MORE_FAILURES],
    published: "proof of concept 710 requests a second, 4 of which failed",
  },
  "simulated-error-rate": {
    title: "Replicas that fail",
    about:
      "svc1 fails 2 % of its requests, svc2 and svc3 5 %, svc5 and svc6 10 %: 28.4 % of requests meet one of these.",
    goals: [{ kind: "no failure" }],
    published: "kube-proxy 28.3 % failed, mean 14.5 ms, p99 87.4; proof of concept 0 %, mean 19.6, p99 58.8",
  },
  "parallel": {
    title: "Both at once",
    about:
      "The graph twice on the same nodes, each with its load: one behind kube-proxy, one behind a Lightpath beside it.",
    isParallel: true,
    goals: [NO_MORE_FAILURES],
  },
  "whoami-10": {
    title: "whoami, 10 replicas",
    about: "What a small request costs: 100 GETs a second that are answered at once.",
    goals: WHOAMI_GOALS,
    published: "kube-proxy mean 0.45 ms; proof of concept 0.75",
  },
  "whoami-100": {
    title: "whoami, 100 replicas",
    about: "The same with 100 replicas.",
    goals: WHOAMI_GOALS,
    published: "kube-proxy mean 0.46 ms; proof of concept 0.81",
  },
  "whoami-400": {
    title: "whoami, 400 replicas",
    about: "The same with 400 replicas.",
    goals: WHOAMI_GOALS,
    published: "kube-proxy mean 0.48 ms; proof of concept 0.83",
  },
  "slow-replica": {
    title: "A slow replica",
    about:
      "One service of ten replicas that work for 10 ms, on four requests at a time; one of them for 200 ms. The Service says " +
      "how long an answer may take (`upstream-request-timeout: 100ms`).",
    goals: [{ kind: "times lower", figure: "p99Ms", factor: 5 }, NO_MORE_FAILURES],
  },
  "slow-replica-defaults": {
    title: "A slow replica, without a word",
    about: "The same; the Service says nothing, and Lightpath only counts requests under way.",
    goals: [NO_MORE_FAILURES],
  },
  "rolling-restart": {
    title: "A rolling restart",
    about:
      "The graph, all of whose replicas are replaced one by one meanwhile. They end when they are told to, without a preStop hook.",
    goals: [NO_MORE_FAILURES],
  },
};

/** In the order in which they are shown. */
export const SCENARIO_NAMES = Object.keys(SCENARIOS) as readonly ScenarioName[];

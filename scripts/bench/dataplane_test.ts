/**
 * The command line of `bench dataplane`, its arithmetic, and one run from end to end, small and brief: that the harness still fits
 * agent, Envoy and kube-proxy. What the figures are is no test's business.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { testUnless } from "../lab/testing.ts";
import { parseDataplaneOptions } from "./dataplane.ts";
import { CASE_NAMES, type CaseName, CASES, manifests, urlOf } from "./dataplane_cases.ts";
import { type DataplaneFigure, renderSummary, type Rounds, summarizeRounds } from "./dataplane_figures.ts";
import { RESULTS_FOLDER } from "./results.ts";
import { benchUnavailable, runBench, toolsUnavailable } from "./testing/run_bench.ts";

Deno.test("parseDataplaneOptions() fills in defaults, and says what it wants instead of what it got", () => {
  assertEquals(parseDataplaneOptions([]), { rounds: 20, quick: false, results: RESULTS_FOLDER, json: false });
  assertEquals(parseDataplaneOptions(["--quick", "--json"]).rounds, 1);
  assertEquals(parseDataplaneOptions(["--quick", "--rounds=3"]).rounds, 3);
  assertThrows(() => parseDataplaneOptions(["--rounds=0"]), TypeError, '--rounds is "0": wanted 1 to 1000');
});

Deno.test("the cases of both proxies ask the Service that their manifests make", () => {
  const destinations = manifests("10.244.0.12").map(({ service }) => {
    const { clusterIP, ports: [port] } = service["spec"] as {
      readonly clusterIP: string;
      readonly ports: readonly { readonly port: number }[];
    };
    return `${clusterIP}:${port?.port}`;
  });
  for (const name of CASE_NAMES) {
    const { host } = new URL(urlOf(name, "10.244.0.11").replace(/^udp:/, "ws:"));
    const address = host.includes(":") ? host : `${host}:80`;
    assertEquals([name, destinations.includes(address)], [name, CASES[name].side !== "none"]);
  }
});

Deno.test("summarizeRounds() compares within a round, and renderSummary() holds the kernel against kube-proxy", () => {
  const rounds: Rounds = new Map([
    // The machine was half as fast in the second round, for all.
    ["tcp-direct", [{ requestsPerSecond: 2_000 }, { requestsPerSecond: 1_000 }]],
    ["tcp-kube-proxy", [{ requestsPerSecond: 1_000, p50Ms: 2 }, { requestsPerSecond: 500, p50Ms: 4 }]],
    ["tcp-kernel", [{ requestsPerSecond: 980, p50Ms: 3 }, { requestsPerSecond: 480, p50Ms: 6 }]],
    ["tcp-envoy", [{ requestsPerSecond: 100 }, { requestsPerSecond: 50 }]],
    ["udp-kube-proxy", [{ requestsPerSecond: 1_000 }]],
    ["udp-kernel", [{ requestsPerSecond: 940 }]],
  ]);
  const summary = summarizeRounds(rounds);
  assertEquals(summary.timesKubeProxy.get("tcp-kernel"), {
    requestsPerSecond: { median: 0.96, quartiles: [0.96, 0.98] },
    p50Ms: { median: 1.5, quartiles: [1.5, 1.5] },
  });
  assertEquals(summary.timesDirect.get("tcp-kube-proxy")?.requestsPerSecond?.median, 0.5);
  const lines = renderSummary(summary).split("\n");
  const verdicts = [
    /^TCP, .*kernel .* met$/,
    /^UDP, .*kernel .* MISSED$/,
    /^TCP, .*Envoy +0\.10 \([^)]*\)[ –]*$/,
  ];
  for (const verdict of verdicts) {
    assert(lines.some((line) => verdict.test(line)), `${verdict}\n${lines.join("\n")}`);
  }
});

testUnless(
  "bench dataplane measures every way and ends with one line of JSON",
  {
    unavailable: [
      ...benchUnavailable,
      ...await toolsUnavailable("fortio", "kube-proxy", "etcd", "kube-apiserver", "conntrack"),
    ],
  },
  async () => {
    const result = await runBench(["dataplane", "--quick", "--json"]);
    const cases = result["cases"] as Readonly<
      Record<CaseName, Readonly<Partial<Record<DataplaneFigure, number>>>>
    >;
    assertEquals(Object.keys(cases), CASE_NAMES);
    for (const [name, figures] of Object.entries(cases) as [CaseName, typeof cases[CaseName]][]) {
      const wanted: DataplaneFigure[] = ["requestsPerSecond", "p50Ms", "p99Ms"];
      if (CASES[name].scheme === "http") wanted.push("megabytesPerSecond", "connectionsPerSecond");
      for (const figure of wanted) {
        assert(Number(figures[figure]) > 0, `${figure} of ${name}: ${figures[figure]}`);
      }
    }
    assertEquals(Object.keys(result["timesKubeProxy"] as object), [
      "udp-kernel",
      "tcp-kernel",
      "tcp-envoy",
      "http-envoy",
    ]);
  },
);

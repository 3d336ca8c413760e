/**
 * The command line of `bench l7`, its arithmetic, and one run from end to end, small and brief: that the harness still fits
 * agent and Envoy. What the figures are is no test's business.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { assertThrows } from "@std/assert/throws";
import { testUnless } from "../lab/testing.ts";
import { parseL7Options } from "./l7.ts";
import { CASE_NAMES, type CaseName, CASES } from "./l7_cases.ts";
import { joinRounds, type L7Figure, renderSummary, type Rounds, summarizeRounds } from "./l7_figures.ts";
import { parseFortio } from "./fortio.ts";
import { RESULTS_FOLDER } from "./results.ts";
import { benchUnavailable, runBench, toolsUnavailable } from "./testing/run_bench.ts";

Deno.test("parseL7Options() fills in defaults, and says what it wants instead of what it got", () => {
  assertEquals(parseL7Options([]), { rounds: 20, quick: false, results: RESULTS_FOLDER, json: false });
  assertEquals(parseL7Options(["--quick", "--json"]).rounds, 1);
  assertEquals(parseL7Options(["--quick", "--rounds=3"]).rounds, 3);
  assertThrows(() => parseL7Options(["--rounds=0"]), TypeError, '--rounds is "0": wanted 1 to 1000');
});

Deno.test("summarizeRounds() compares within a round, and renderSummary() judges what remains of the throughput", () => {
  const rounds: Rounds = new Map([
    // The machine was half as fast in the second round, for both.
    ["http", [{ requestsPerSecond: 950, cpuUs: 40 }, { requestsPerSecond: 460, cpuUs: 80 }]],
    ["http-static", [{ requestsPerSecond: 1_000, cpuUs: 32 }, { requestsPerSecond: 500, cpuUs: 64 }]],
    ["tcp", [{ requestsPerSecond: 800 }]],
    ["tcp-static", [{ requestsPerSecond: 1_000 }]],
  ]);
  const summary = summarizeRounds(rounds);
  const { requestsPerSecond, cpuUs } = summary.ratios.get("http")!;
  assertEquals(requestsPerSecond, { median: 0.92, quartiles: [0.92, 0.95] });
  assertEquals(cpuUs, { median: 1.25, quartiles: [1.25, 1.25] });
  const lines = renderSummary(summary).split("\n");
  assert(lines.some((line) => /^HTTP path .*0\.92 … 0\.95.* met$/.test(line)), lines.join("\n"));
  assert(lines.some((line) => /^TCP path .* MISSED$/.test(line)), lines.join("\n"));
});

Deno.test("parseFortio() reads rate and latency, and takes no failures for figures", () => {
  const histogram = {
    Count: 30,
    Percentiles: [{ Percentile: 50, Value: 0.001 }, { Percentile: 99, Value: 0.0025 }],
  };
  const text = (codes: Readonly<Record<string, number>>): string =>
    JSON.stringify({ RetCodes: codes, ActualQPS: 10, DurationHistogram: histogram });
  assertEquals(parseFortio(text({ 200: 30 }), "http://a/"), {
    calls: 30,
    perSecond: 10,
    p50Ms: 1,
    p99Ms: 2.5,
  });
  assertEquals(parseFortio(text({ OK: 30 }), "udp://a/").calls, 30);
  const error = assertThrows(() => parseFortio(text({ 200: 29, "-1": 1 }), "http://a/"), Error);
  assertStringIncludes(error.message, "http://a/ did not always answer with 200");
});

Deno.test("joinRounds() puts the rounds of each case behind one another", () => {
  const part = (perSecond: number): Rounds => new Map([["http", [{ requestsPerSecond: perSecond }]]]);
  const joined = joinRounds([part(1), part(2)]);
  assertEquals(joined.get("http"), [{ requestsPerSecond: 1 }, { requestsPerSecond: 2 }]);
  assertEquals([...joined.keys()], CASE_NAMES);
});

testUnless(
  "bench l7 measures every way and ends with one line of JSON",
  { unavailable: [...benchUnavailable, ...await toolsUnavailable("fortio")] },
  async () => {
    const result = await runBench(["l7", "--quick", "--json"]);
    const cases = result["cases"] as Readonly<Record<CaseName, Readonly<Partial<Record<L7Figure, number>>>>>;
    assertEquals(Object.keys(cases), CASE_NAMES);
    for (const [name, figures] of Object.entries(cases) as [CaseName, typeof cases[CaseName]][]) {
      const wanted: L7Figure[] = ["requestsPerSecond", "p50Ms", "p99Ms", "calmP50Ms"];
      if (CASES[name].proxy !== "none") wanted.push("cpuUs");
      if (CASES[name].opensConnections) wanted.push("connectionsPerSecond");
      for (const figure of wanted) {
        assert(Number(figures[figure]) > 0, `${figure} of ${name}: ${figures[figure]}`);
      }
    }
    assertEquals(Object.keys(result["ratios"] as object), ["tcp", "http", "unlogged", "annotated"]);
  },
);

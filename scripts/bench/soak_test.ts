/**
 * The command line of `bench soak`, and a short run of it: that all agree after some hundred random changes under traffic.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { testUnless } from "../lab/testing.ts";
import { summarize } from "./figures.ts";
import { RESULTS_FOLDER } from "./results.ts";
import { faultsOf, parseSoakOptions } from "./soak.ts";
import { SOAK_FIGURES, type SoakFigure } from "./soak_figures.ts";
import { benchUnavailable, runBench } from "./testing/run_bench.ts";

Deno.test("parseSoakOptions() fills in defaults, and says what it wants instead of what it got", () => {
  assertEquals(parseSoakOptions(["--minutes=0.5"]), {
    minutes: 0.5,
    services: 1_000,
    rate: 50,
    source: "synthetic",
    seed: 1,
    results: RESULTS_FOLDER,
    json: false,
  });
  for (
    const [args, message] of [
      [[], "--minutes is missing: wanted more than 0, at most 10000"],
      [["--minutes="], '--minutes is ""'],
      [["--minutes=-1"], '--minutes is "-1"'],
      [["--minutes=1", "--services=9"], '--services is "9": wanted 10 to 62500'],
      [["--minutes=1", "--rate=0"], '--rate is "0": wanted 1 to 1000'],
      [["--minutes=1", "--source=x"], '--source is "x": wanted api or synthetic'],
    ] as const
  ) assertThrows(() => parseSoakOptions(args), TypeError, message);
});

Deno.test("faultsOf() judges correctness always, memory only after a while", () => {
  const names = Object.keys(SOAK_FIGURES) as SoakFigure[];
  const good = Object.fromEntries(names.map((name) => [name, 0])) as Record<SoakFigure, number>;
  const judge = (changed: Partial<Record<SoakFigure, number>>, minutes: number): string[] =>
    faultsOf(summarize(SOAK_FIGURES, [{ ...good, ...changed }]), minutes);
  assertEquals(judge({}, 60), []);
  assertEquals(judge({ disagreements: 2 }, 1), [
    "destinations in which agent, Envoy or kernel are not what the API says: 2",
  ]);
  assertEquals(judge({ agent_fds_leaked: 1, failed_requests: 3 }, 1).length, 2);
  const growing = { agent_rss_mb: 100, agent_rss_growth_mb: 9, agent_rss_noise_mb: 2 };
  assertEquals(judge(growing, 1), []);
  assertEquals(judge(growing, 10), ["memory of the agent grew by 9.0 MB, which is no noise"]);
  assertEquals(judge({ ...growing, agent_rss_growth_mb: 3 }, 10), []);
  assertEquals(judge({ envoy_rss_growth_mb: NaN }, 10).length, 1);
  assertEquals(faultsOf({}, 1).length, 5);
});

testUnless(
  "bench soak: agent, Envoy and kernel are exactly what the API says after random changes under traffic",
  { unavailable: benchUnavailable },
  async () => {
    const result = await runBench(["soak", "--minutes=0.3", "--services=200", "--json"]);
    assertEquals(result["faults"], []);
    assert(Number(result["changes"]) > 500 && Number(result["requests"]) > 100, JSON.stringify(result));
    for (const name of Object.keys(SOAK_FIGURES)) {
      assert(typeof result[name] === "number", `${name} is ${result[name]}`);
    }
  },
);

/**
 * The command line of `bench scale`, and one run of it from end to end, small and brief: that the harness still fits the
 * agent. What the figures are is no test's business.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { testUnless } from "../lab/testing.ts";
import { RESULTS_FOLDER } from "./results.ts";
import { parseScaleOptions } from "./scale.ts";
import { SCALE_FIGURES } from "./scale_figures.ts";
import { benchUnavailable, runBench } from "./testing/run_bench.ts";

Deno.test("parseScaleOptions() fills in defaults, and says what it wants instead of what it got", () => {
  assertEquals(parseScaleOptions(["--services", "10000"]), {
    services: [10_000],
    mode: "on-demand",
    source: "synthetic",
    repetitions: 3,
    quick: false,
    profile: false,
    denoFlags: [],
    env: {},
    results: RESULTS_FOLDER,
    json: false,
  });
  assertEquals(parseScaleOptions(["--services=5,10,15"]).services, [5, 10, 15]);
  assertEquals(parseScaleOptions(["--services=1", "--env=A=b=c", "--env", "D="]).env, { A: "b=c", D: "" });
  for (
    const [args, message] of [
      [[], "--services is missing: wanted 1 to 62500"],
      [["--services=0"], '--services is "0"'],
      [["--services=70000"], '--services is "70000"'],
      [["--services=5,,6"], '--services is "": wanted 1 to 62500'],
      [["--services=10", "--mode=lazy"], '--mode is "lazy": wanted on-demand or eager'],
      [["--services=10", "--source=etcd"], '--source is "etcd": wanted api or synthetic'],
      [["--services=10", "--repetitions=x"], '--repetitions is "x"'],
      [["--services=10", "--env=x"], '--env is "x": wanted NAME=VALUE'],
    ] as const
  ) assertThrows(() => parseScaleOptions(args), TypeError, message);
});

testUnless(
  "bench scale measures every figure, and ends with one line of JSON",
  { unavailable: benchUnavailable },
  async () => {
    const result = await runBench(["scale", "--services=50", "--repetitions=1", "--quick", "--json"]);
    assertEquals(result["services"], 50);
    for (const name of Object.keys(SCALE_FIGURES)) {
      const value = result[name];
      assert(typeof value === "number" && Number.isFinite(value) && value >= 0, `${name} is ${value}`);
    }
    // These depend on no machine's speed.
    assert(Number(result["xds_bytes_per_endpoint_change"]) < 1_000);
    assertEquals([result["restart_resources_resent"], result["restart_failed_requests"]], [0, 0]);
  },
);

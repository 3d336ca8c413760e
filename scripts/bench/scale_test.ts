/**
 * The command line of `bench scale`, and one run of it from end to end, small and brief: that the harness still fits the
 * agent. What the figures are is no test's business.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { fromFileUrl } from "@std/path/from-file-url";
import { namespacesUnavailable } from "../lab/mod.ts";
import { testUnless } from "../lab/testing.ts";
import { progress } from "../tool_path.ts";
import { ensureTool } from "../tools/mod.ts";
import { parseScaleOptions } from "./scale.ts";
import { SCALE_FIGURES } from "./scale_figures.ts";

Deno.test("parseScaleOptions() fills in defaults, and says what it wants instead of what it got", () => {
  assertEquals(parseScaleOptions(["--services", "10000"]), {
    services: 10_000,
    mode: "on-demand",
    source: "synthetic",
    repetitions: 3,
    quick: false,
    profile: false,
    denoFlags: [],
    json: false,
  });
  for (
    const [args, message] of [
      [[], "--services is missing: wanted 1 to 62500"],
      [["--services=0"], '--services is "0"'],
      [["--services=70000"], '--services is "70000"'],
      [["--services=10", "--mode=lazy"], '--mode is "lazy": wanted on-demand or eager'],
      [["--services=10", "--source=etcd"], '--source is "etcd": wanted api or synthetic'],
      [["--services=10", "--repetitions=x"], '--repetitions is "x"'],
    ] as const
  ) assertThrows(() => parseScaleOptions(args), TypeError, message);
});

const needs = [
  await namespacesUnavailable(),
  ...await Promise.all(
    (["nft", "envoy"] as const).map(async (name) =>
      (await ensureTool(name, { onProgress: progress })).unavailable
    ),
  ),
];

testUnless(
  "bench scale measures every figure, and ends with one line of JSON",
  { unavailable: needs },
  async () => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--allow-all", "--no-check", fromFileUrl(new URL("./mod.ts", import.meta.url))],
        ...["scale", "--services=50", "--repetitions=1", "--quick", "--json"],
      ],
    }).output();
    const decoder = new TextDecoder();
    assertEquals(code, 0, decoder.decode(stderr));
    const lines = decoder.decode(stdout).trimEnd().split("\n");
    const result = JSON.parse(lines.at(-1)!) as Record<string, unknown>;
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

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { testUnless } from "../lab/testing.ts";
import { PEER_NAMES } from "./peer_names.ts";
import { parsePeersOptions } from "./peers.ts";
import { PEER_TOOLS } from "./peer_programs.ts";
import { PEER_FIGURES } from "./peer_run.ts";
import { RESULTS_FOLDER } from "./results.ts";
import { benchUnavailable, runBench, toolsUnavailable } from "./testing/run_bench.ts";

Deno.test("parsePeersOptions() compares all unless told otherwise, always in the same order", () => {
  assertEquals(parsePeersOptions(["--services", "10000"]), {
    services: 10_000,
    repetitions: 1,
    only: PEER_NAMES,
    quick: false,
    results: RESULTS_FOLDER,
    json: false,
  });
  const two = ["--services=5", "--only=kube-proxy nftables", "--only=lightpath"];
  assertEquals(parsePeersOptions(two).only, ["lightpath", "kube-proxy nftables"]);
  assertThrows(
    () => parsePeersOptions(["--services=5", "--only=cilium"]),
    TypeError,
    '--only is "cilium": wanted one of lightpath, kube-proxy nftables, kube-proxy iptables',
  );
  assertThrows(() => parsePeersOptions([]), TypeError, "--services is missing");
});

testUnless(
  "bench peers compares with a real kube-proxy, and ends with one line of JSON",
  { unavailable: [...benchUnavailable, ...await toolsUnavailable(...PEER_TOOLS)] },
  async () => {
    const names = ["lightpath", "kube-proxy nftables"] as const;
    const only = names.map((name) => `--only=${name}`);
    const result = await runBench(["peers", "--services=20", "--quick", "--json", ...only]);
    const peers = result["peers"] as Record<string, Record<string, unknown>>;
    assertEquals(Object.keys(peers), names);
    for (const [name, figures] of Object.entries(peers)) {
      for (const figure of Object.keys(PEER_FIGURES)) {
        const value = figures[figure];
        assert(typeof value === "number" && Number.isFinite(value), `${figure} of ${name} is ${value}`);
      }
    }
    const ratios = result["ratios"] as Record<string, Record<string, number>>;
    assert((ratios["kube-proxy nftables"]?.["start_ms"] ?? 0) > 0);
  },
);

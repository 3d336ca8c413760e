/**
 * One scenario from end to end, small and brief: that the harness still fits manifests, agent, Envoy and kube-proxy. What the figures
 * are is no test's business.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { testUnless } from "../../lab/testing.ts";
import { benchUnavailable, runBench, toolsUnavailable } from "../testing/run_bench.ts";
import { SIDES } from "./catalog.ts";
import type { ScenarioSummary } from "./figures.ts";

testUnless(
  "bench scenarios plays a scenario behind both proxies and ends with one line of JSON",
  {
    unavailable: [
      ...benchUnavailable,
      ...await toolsUnavailable(
        "fortio",
        "kube-proxy",
        "etcd",
        "kube-apiserver",
        "conntrack",
        "kustomize",
        "mock-graph",
      ),
    ],
  },
  async () => {
    const runs = await Deno.makeTempDir({ prefix: "lightpath-bench-test-" });
    try {
      const flags = ["--quick", "--only=simulated-error-rate", "--qps-scale=0.1", "--json", `--runs=${runs}`];
      const result = await runBench(["scenarios", ...flags]);
      const [{ name, sides }] = result["scenarios"] as [ScenarioSummary];
      assertEquals(name, "simulated-error-rate");
      for (const side of SIDES) {
        const { requests, figures } = sides[side];
        assert(requests > 0 && (figures.p50Ms?.value ?? 0) > 0, side);
        await Deno.stat(`${runs}/${name}-1-${side}.json`);
      }
      assert((sides["kube-proxy"].failed ?? 0) > 0, "replicas that fail are not noticed behind kube-proxy");
      assertEquals(sides.lightpath.failed, 0);
      assert((sides.lightpath.figures.envoyCpuPct?.value ?? 0) > 0, "nothing went through Envoy");
      assert((sides["kube-proxy"].figures.kubeProxyMB?.value ?? 0) > 0);
    } finally {
      await Deno.remove(runs, { recursive: true });
    }
  },
);

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { assertThrows } from "@std/assert/throws";
import { join } from "@std/path/join";
import { readResults } from "./chart_results.ts";
import { INK } from "./chart_svg.ts";
import { drawAll, runCharts } from "./charts.ts";

const MACHINE = { deno: "2.9.6", kernel: "6.18.1", cpus: 2, memoryGB: 8, loadAverage: 0, startedAt: "" };

function scaleResult(services: number, value: number, mode = "on-demand"): unknown {
  const figures = { cold_start_ms: value, change_p99_ms: value, agent_rss_mb: value, envoy_rss_mb: 78 };
  const spread = Object.fromEntries(
    Object.entries(figures).map(([name, found]) => [name, { min: found - 1, max: found + 1 }]),
  );
  return {
    bench: "scale",
    services,
    mode,
    source: "synthetic",
    repetitions: 3,
    ...figures,
    spread,
    machine: MACHINE,
  };
}

function peersResult(): unknown {
  const figures = { start_ms: 1234.5, total_rss_mb: 200, spread: { start_ms: {}, total_rss_mb: {} } };
  const peers = { "lightpath": figures, "kube-proxy nftables": { ...figures, start_ms: 14_000 } };
  return { bench: "peers", services: 10_000, repetitions: 1, peers, machine: MACHINE };
}

const RESULTS = [
  scaleResult(10_000, 150),
  peersResult(),
  scaleResult(1_000, 90),
  scaleResult(1_000, 5, "eager"),
];

Deno.test("drawAll() draws what there is, the same each time, whatever the order of the files", () => {
  const charts = drawAll(readResults(RESULTS));
  assertEquals([...charts.keys()], ["growth.svg", "peers-10000.svg"]);
  assertEquals(drawAll(readResults(RESULTS.toReversed())), charts);
  const [growth = "", peers = ""] = charts.values();
  assert(growth.includes("0.1 s at 1000, 0.1 s at 10000") && growth.includes(">target<"));
  assert(growth.includes("median of 3 repetitions; 2 cores, 8 GB, Linux 6.18.1; thin lines"));
  for (const text of ["1,234.5 ms", "14,000 ms", "kube-proxy nftables", "10,000 Services"]) {
    assert(peers.includes(text), text);
  }
  assert(!peers.includes("kube-proxy iptables"));
});

Deno.test("charts are small, change their ink in the dark, and hold nothing for scripts", () => {
  for (const svg of drawAll(readResults(RESULTS)).values()) {
    assert(svg.length < 40_000, `${svg.length}`);
    assert(svg.startsWith("<svg ") && svg.endsWith("</svg>\n") && svg.includes('role="img" aria-label="'));
    assert(svg.includes("@media (prefers-color-scheme: dark)"));
    for (const color of Object.values(INK)) assert(svg.split(color).length > 2, color);
    assertEquals(/ecmeta|zr\d|class=|CDATA|:hover/.exec(svg), null);
    // All ink is of the frame's colours or those of what is shown: ECharts' own would stay dark on a dark page.
    const inks = new Set([...svg.matchAll(/<text[^>]* fill="([^"]*)"/g)].map(([, color]) => color));
    assert([...inks].every((color) => color !== "#333" && color !== "#000"), [...inks].join(" "));
  }
});

Deno.test("readResults() passes over other benchmarks, and says when a file is none of ours", () => {
  assertEquals(readResults([{ bench: "soak" }]), { scale: [], peers: [], scenarios: [] });
  for (const other of [{}, null, 5]) {
    assertThrows(() => readResults([other]), TypeError, "does not say of which benchmark");
  }
});

Deno.test("runCharts() writes beside the results, ends with one line of JSON, and says when there are none", async () => {
  const folder = await Deno.makeTempDir({ prefix: "lightpath-bench-test-" });
  try {
    const args = ["--results", folder, "--json"];
    await assertRejects(() => runCharts(args, () => {}), Error, "there are no results in");
    await Deno.writeTextFile(join(folder, "one.json"), JSON.stringify(scaleResult(1_000, 90)));
    let output = "";
    await runCharts(args, (text) => output += text);
    assertEquals(JSON.parse(output.trimEnd().split("\n").at(-1)!), {
      bench: "charts",
      folder,
      files: ["growth.svg"],
    });
    assert((await Deno.readTextFile(join(folder, "growth.svg"))).includes("<svg "));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

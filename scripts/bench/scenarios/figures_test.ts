import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { readResults } from "../chart_results.ts";
import { drawAll } from "../charts.ts";
import type { Side } from "./catalog.ts";
import { drawLatencies, drawPrograms } from "./charts.ts";
import { summarizeScenario } from "./figures.ts";
import { PERCENTILES, readOutcome } from "./load.ts";
import { machineLoad, type MachineMoment, parseMachineStat } from "./machine_load.ts";
import { parseScenariosOptions } from "./mod.ts";
import { renderReport, renderSummaries } from "./report.ts";
import { renderFiles } from "./report_files.ts";
import { type ScenariosResult, summarizeResult } from "./result.ts";
import type { Turn } from "./run.ts";

function turn(side: Side, latencyMs: number, { failed = 0, othersPct = 0 } = {}): Turn {
  return {
    side,
    load: {
      requests: 1_000,
      wantedPerSecond: 500,
      perSecond: 499,
      failed,
      codes: { 200: 1_000 - failed },
      meanMs: latencyMs,
      maxMs: 20 * latencyMs,
      percentilesMs: PERCENTILES.map((percentile) => latencyMs * percentile / 50),
    },
    programs: side === "kube-proxy"
      ? { "kube-proxy": { cpuPct: 0.5, residentMB: 120 } }
      : { agent: { cpuPct: 1, residentMB: 90 }, envoy: { cpuPct: 40, residentMB: 150 } },
    machine: { busyPct: 60, othersPct },
  };
}

const RESULT: ScenariosResult = {
  bench: "scenarios",
  command: "deno task bench scenarios",
  repetitions: 3,
  seconds: 12,
  qpsScale: 1,
  slowMotion: 1,
  machine: {
    deno: "2.9.6",
    kernel: "6.18.1",
    cpus: 2,
    memoryGB: 8,
    loadAverage: 0,
    startedAt: "2026-01-31T12:00:00.000Z",
  },
  versions: { Envoy: "1.40.0" },
  each: {
    "slow-replica": [
      [turn("lightpath", 2), turn("kube-proxy", 11)],
      [turn("kube-proxy", 10), turn("lightpath", 2, { failed: 1, othersPct: 30 })],
      [turn("kube-proxy", 40), turn("lightpath", 3)],
    ],
    "whoami-10": [[turn("kube-proxy", 0.3), turn("lightpath", 0.6)]],
  },
};

Deno.test("readOutcome() counts all that is not 200 as failed, and wants its percentiles", () => {
  const histogram = {
    Count: 100,
    Avg: 0.002,
    Max: 0.1,
    Percentiles: PERCENTILES.map((p) => ({ Percentile: p, Value: p / 1e4 })),
  };
  const fortio = {
    RequestedQPS: "500",
    ActualQPS: 498.7,
    RetCodes: { "200": 90, "500": 9, "-1": 1 },
    DurationHistogram: histogram,
  };
  const { failed, wantedPerSecond, meanMs, percentilesMs } = readOutcome(JSON.stringify(fortio));
  assertEquals({ failed, wantedPerSecond, meanMs }, { failed: 10, wantedPerSecond: 500, meanMs: 2 });
  assertEquals(percentilesMs[PERCENTILES.indexOf(99)], 9.9);
  const without = {
    ...fortio,
    DurationHistogram: { ...histogram, Percentiles: histogram.Percentiles.slice(1) },
  };
  assertThrows(() => readOutcome(JSON.stringify(without)), Error, "not asked for p10");
});

Deno.test("summarizeScenario() takes medians, adds failures up, and says which repetitions were disturbed", () => {
  const { sides, verdicts, disturbed } = summarizeScenario("slow-replica", RESULT.each["slow-replica"]!);
  assertEquals(sides["kube-proxy"].figures.meanMs, { value: 11, min: 10, max: 40 });
  assertEquals([sides.lightpath.failed, sides.lightpath.requests], [1, 3_000]);
  assertEquals(verdicts.map(({ found, isMet }) => [found, isMet]), [
    ["5.50 times lower", true],
    ["1 of 3000; kube-proxy 0 of 3000", false],
  ]);
  assertEquals(disturbed, [{ repetition: 2, othersPct: 30 }]);
});

Deno.test("an overhead is a difference of medians, and as many failures as kube-proxy has are excused, but not where there are to be none", () => {
  const [overhead] = summarizeScenario("whoami-10", RESULT.each["whoami-10"]!).verdicts;
  assertEquals([overhead?.found, overhead?.isMet], ["0.30 ms", false]);
  const both = [[turn("kube-proxy", 1, { failed: 5 }), turn("lightpath", 1, { failed: 1 })]];
  assertEquals(summarizeScenario("rolling-restart", both).verdicts.map(({ isMet }) => isMet), [true]);
  assertEquals(summarizeScenario("simulated-error-rate", both).verdicts.map(({ isMet }) => isMet), [false]);
});

Deno.test("machineLoad() tells others from what descends from this process and from the kernel's threads", () => {
  const moment = (atMs: number, cpu: number, busySeconds: number): MachineMoment => ({
    atMs,
    busySeconds,
    stolenSeconds: 0,
    processes: new Map([
      [1, { parent: 0, cpuSeconds: 0 }],
      [2, { parent: 0, cpuSeconds: 0 }],
      [20, { parent: 2, cpuSeconds: cpu }],
      [100, { parent: 1, cpuSeconds: cpu }],
      [101, { parent: 100, cpuSeconds: cpu }],
      [200, { parent: 1, cpuSeconds: cpu }],
    ]),
  });
  const found = machineLoad(moment(0, 1, 10), moment(10_000, 3, 18), { ours: 100, cpus: 2 });
  assertEquals(found, { busyPct: 40, othersPct: 10 });
  assertEquals(machineLoad(moment(0, 1, 10), moment(10_000, 31, 18), { ours: 100, cpus: 2 }).othersPct, 40);
  // One of others that ended: its parent has it all now.
  const withChild = moment(0, 1, 10);
  const processes = new Map([...withChild.processes, [300, { parent: 200, cpuSeconds: 1.5 }]]);
  assertEquals(
    machineLoad({ ...withChild, processes }, moment(10_000, 5, 18), { ours: 100, cpus: 2 }).othersPct,
    12.5,
  );
  const stat = "cpu  100 20 300 9000 5 6 70 8 0 0\ncpu0 1 2 3\n";
  assertEquals(parseMachineStat(stat), { busySeconds: 4.96, stolenSeconds: 0.08 });
});

Deno.test("renderReport() says how it came about, what was disturbed, and what was missed", () => {
  const report = renderReport(RESULT);
  const lines = [
    "`deno task bench scenarios`",
    "- slow-replica: 1 of 3 repetitions, up to 30 % of the machine",
    "| A slow replica | p99 at least 5 times lower than kube-proxy's | 5.50 times lower | met |",
    "| whoami, 10 replicas | p50 at most 0.2 ms above kube-proxy's | 0.30 ms | **missed** |",
    "- Lightpath: CPU of the agent 1 %, memory of the agent 90 MB, CPU of Envoy 40 %, memory of Envoy 150 MB, all processors busy 60 %",
  ];
  for (const line of lines) assert(report.split("\n").includes(line), `${line}\n${report}`);
  assert(
    report.includes("median of 3 repetitions; 2 cores, 8 GB, Linux 6.18.1; each load 12 s. Begun 2026-01-31"),
  );
  assert(report.includes("| 1 of 3000 (0.0 %) |"));
  assert(report.indexOf("## whoami, 10 replicas") < report.indexOf("## A slow replica"));
  const table = renderSummaries(summarizeResult(RESULT));
  assert(
    /^whoami-10 .*overhead|MISSED$/m.test(table) &&
      table.includes("disturbed: slow-replica, repetition 2: others 30 %"),
    table,
  );
});

Deno.test("the charts have a panel for each scenario, and say in words what they show", () => {
  const latencies = drawLatencies(RESULT);
  assert(
    latencies.includes("A slow replica: kube-proxy p50 11.0 ms, p99 21.8 ms, 0 failed; Lightpath p50 2.0 ms"),
    latencies.slice(0, 500),
  );
  assert(latencies.includes(">A slow replica (ms)<") && latencies.includes(">p99.9<"));
  const programs = drawPrograms(RESULT);
  assert(programs.includes(">Memory, both nodes together (MB)<") && programs.includes(">Envoy<"));
  assertEquals(drawLatencies(RESULT), latencies);
});

Deno.test("the report is drawn again from its result as it was written", () => {
  const drawn = drawAll(readResults([JSON.parse(JSON.stringify(RESULT))]));
  assertEquals(drawn, renderFiles(RESULT));
  const shown = [...drawn.get("scenarios.md")!.matchAll(/!\[[^\]]*\]\(([^)]*)\)/g)].map(([, name]) => name);
  assertEquals([...drawn.keys()], ["scenarios.md", ...shown]);
  assertEquals([...renderFiles({ ...RESULT, slowMotion: 4 }).keys()], [
    "scenarios-slow-motion-4.md",
    "scenarios-slow-motion-4-latency.svg",
    "scenarios-slow-motion-4-programs.svg",
  ]);
});

Deno.test("parseScenariosOptions() fills in defaults, and says which scenario there is not", () => {
  const { only, effort } = parseScenariosOptions(["--quick", "--only=baseline,whoami-10", "--qps-scale=0.5"]);
  assertEquals(only, ["baseline", "whoami-10"]);
  assertEquals(effort, { repetitions: 1, durationMs: 1_000, warmUpMs: 500, qpsScale: 0.5, slowMotion: 1 });
  assertEquals(parseScenariosOptions([]).effort, {
    repetitions: 5,
    durationMs: 12_000,
    warmUpMs: 3_000,
    qpsScale: 1,
    slowMotion: 1,
  });
  assertThrows(() => parseScenariosOptions(["--only=base"]), TypeError, 'there is no scenario "base"');
});

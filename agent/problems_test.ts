import { assertEquals } from "@std/assert/equals";
import { createLogger } from "./log.ts";
import type { Problem, ProblemKind } from "./model/mod.ts";
import { createProblemReporter, type ProblemReporter } from "./problems.ts";

interface Reported {
  readonly reporter: ProblemReporter;
  readonly lines: string[];
  readonly counts: Map<ProblemKind, number>;
}

function reported(): Reported {
  const lines: string[] = [];
  const counts = new Map<ProblemKind, number>();
  const count = (kind: ProblemKind, by: number): void => void counts.set(kind, (counts.get(kind) ?? 0) + by);
  const reporter = createProblemReporter({
    logger: createLogger({ level: "info", format: "text", write: (line) => lines.push(line.slice(25)) }),
    counter: { problemAppeared: (kind) => count(kind, 1), problemResolved: (kind) => count(kind, -1) },
    maxLines: 2,
  });
  return { reporter, lines, counts };
}

function problem(object: string, kind: ProblemKind = "invalid-port"): Problem {
  return { object: `Service default/${object}`, kind, message: "port 0 is not served" };
}

Deno.test("a problem is told when it appears and when it is resolved, not in between", () => {
  const { reporter, lines, counts } = reported();
  reporter.report({ problemsAppeared: [problem("a")], problemsResolved: [] });
  reporter.report({ problemsAppeared: [problem("a")], problemsResolved: [] });
  assertEquals([reporter.standing, counts.get("invalid-port")], [1, 1]);
  reporter.report({ problemsAppeared: [], problemsResolved: [problem("a"), problem("never")] });
  assertEquals([reporter.standing, counts.get("invalid-port")], [0, 0]);
  assertEquals(lines, [
    'WARN  port 0 is not served object="Service default/a" kind=invalid-port',
    'INFO  resolved object="Service default/a" kind=invalid-port was="port 0 is not served"',
  ]);
});

Deno.test("a thousand problems at once are all counted, few lines long", () => {
  const { reporter, lines, counts } = reported();
  const many = Array.from({ length: 1_000 }, (_, index) => problem(`s${index}`));
  reporter.report({ problemsAppeared: [...many, problem("x", "vip-conflict")], problemsResolved: [] });
  assertEquals([counts.get("invalid-port"), counts.get("vip-conflict")], [1_000, 1]);
  assertEquals(lines.map((line) => line.replace(/ object=.*kind/, " kind")), [
    "WARN  port 0 is not served kind=invalid-port",
    "WARN  port 0 is not served kind=invalid-port",
    "WARN  port 0 is not served kind=vip-conflict",
    "WARN  more problems of this kind kind=invalid-port more=998 total=1000",
  ]);
  reporter.report({ problemsAppeared: [], problemsResolved: many });
  assertEquals([reporter.standing, counts.get("invalid-port")], [1, 0]);
});

Deno.test("a problem that changes its message is resolved and appears anew", () => {
  const { reporter, counts } = reported();
  reporter.report({ problemsAppeared: [problem("a")], problemsResolved: [] });
  const changed = { ...problem("a"), message: "port 70000 is not served" };
  reporter.report({ problemsAppeared: [changed], problemsResolved: [problem("a")] });
  assertEquals([reporter.standing, counts.get("invalid-port")], [1, 1]);
});

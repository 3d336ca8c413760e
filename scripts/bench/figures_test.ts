import { assertEquals } from "@std/assert/equals";
import {
  type FigureDefinition,
  mean,
  quantile,
  ratiosToFirst,
  renderComparison,
  renderTable,
  summarize,
  toJson,
} from "./figures.ts";

type Name = "start_ms" | "resent" | "memory_mb";

const DEFINITIONS: Readonly<Record<Name, FigureDefinition>> = {
  start_ms: { label: "start", unit: "ms", summarize: "median", target: { 10_000: 2_500 } },
  resent: { label: "sent again", unit: "", summarize: "max", target: { 10_000: 0 } },
  memory_mb: { label: "memory", unit: "MB", summarize: "median" },
};

Deno.test("quantile() takes the nearest rank", () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index);
  assertEquals([quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1)], [50, 99, 100]);
  assertEquals([quantile([7], 0.99), quantile([], 0.5)], [7, NaN]);
  assertEquals(mean([1, 2, 6]), 3);
});

Deno.test("summarize() takes the median of most figures, and the worst of what must not happen", () => {
  const summaries = summarize(DEFINITIONS, [
    { start_ms: 900, resent: 0 },
    { start_ms: 3000, resent: 2 },
    { start_ms: 1000, resent: 0 },
    { start_ms: 1100 },
  ]);
  assertEquals(summaries, {
    start_ms: { value: 1050, min: 900, max: 3000 },
    resent: { value: 2, min: 0, max: 2 },
  });
});

Deno.test("renderTable() says whether targets are met, for the size that has them", () => {
  const summaries = summarize(DEFINITIONS, [{ start_ms: 1234.567, resent: 2 }]);
  assertEquals(
    renderTable(DEFINITIONS, summaries, { services: 10_000 }),
    `figure        value      min      max     target
start       1235 ms  1235 ms  1235 ms  ≤ 2500 ms  met
sent again        2        2        2        ≤ 0  MISSED
memory            –
`,
  );
  assertEquals(renderTable(DEFINITIONS, summaries, { services: 1_000 }).includes("met"), false);
  const always = { ...DEFINITIONS, resent: { ...DEFINITIONS.resent, target: 1 } };
  assertEquals(
    renderTable(always, summaries, { services: 5, spread: false }),
    `figure        value  target
start       1235 ms
sent again        2     ≤ 1  MISSED
memory            –
`,
  );
});

Deno.test("toJson() keeps three digits that count", () => {
  const summaries = summarize(DEFINITIONS, [{ start_ms: 0.12345, resent: 0, memory_mb: 98.765 }]);
  assertEquals(toJson(summaries), {
    start_ms: 0.123,
    resent: 0,
    memory_mb: 98.8,
    spread: {
      start_ms: { min: 0.123, max: 0.123 },
      resent: { min: 0, max: 0 },
      memory_mb: { min: 98.8, max: 98.8 },
    },
  });
});

Deno.test("renderComparison() gives multiples of the first subject, where that has something", () => {
  const subjects = new Map([
    ["ours", summarize(DEFINITIONS, [{ start_ms: 500, resent: 1 }])],
    ["theirs", summarize(DEFINITIONS, [{ start_ms: 14_000, resent: 3, memory_mb: 200 }])],
  ]);
  assertEquals(ratiosToFirst(DEFINITIONS, subjects), { theirs: { start_ms: 28 } });
  assertEquals(ratiosToFirst(DEFINITIONS, new Map()), {});
  assertEquals(
    renderComparison(DEFINITIONS, subjects),
    `figure        ours           theirs
start       500 ms  14000 ms (28 x)
sent again       1                3
memory           –           200 MB
`,
  );
});

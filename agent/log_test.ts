import { assertEquals } from "@std/assert/equals";
import { createLogger, type LogFormat, type Logger, type LogLevel } from "./log.ts";

function collect(level: LogLevel, format: LogFormat): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  const logger = createLogger({
    level,
    format,
    write: (line) => lines.push(line),
    now: () => Date.UTC(2026, 0, 2, 3, 4, 5, 6),
  });
  return { logger, lines };
}

Deno.test("text: time, level, sentence, then the fields as logfmt", () => {
  const { logger, lines } = collect("info", "text");
  logger.info("resource sent", {
    type: "Cluster",
    name: "10.0.0.1:80",
    reason: "two words",
    count: 2,
    none: undefined,
  });
  assertEquals(lines, [
    '2026-01-02T03:04:05.006Z INFO  resource sent type=Cluster name=10.0.0.1:80 reason="two words" count=2',
  ]);
});

Deno.test("json: one object per line, reserved keys stay ours", () => {
  const { logger, lines } = collect("info", "json");
  logger.warn("rejected", { level: "9", name: "a" });
  assertEquals(JSON.parse(lines[0] ?? ""), {
    time: "2026-01-02T03:04:05.006Z",
    level: "warn",
    message: "rejected",
    level_: "9",
    name: "a",
  });
});

Deno.test("lines below the level are dropped", () => {
  const { logger, lines } = collect("warn", "text");
  logger.debug("d");
  logger.info("i");
  logger.warn("w");
  logger.error("e");
  assertEquals(lines.map((line) => line.slice(25)), ["WARN  w", "ERROR e"]);
});

Deno.test("with() adds fields, the call's own win, the parent is unchanged", () => {
  const { logger, lines } = collect("debug", "text");
  logger.with({ node: "a", try: 1 }).with({ nonce: 3 }).debug("x", { try: 2 });
  logger.debug("y");
  assertEquals(lines.map((line) => line.slice(31)), ["x node=a try=2 nonce=3", "y"]);
});

Deno.test("a value with a line break cannot forge a second line", () => {
  for (const format of ["text", "json"] as const) {
    const { logger, lines } = collect("info", format);
    logger.info("first\nsecond", { reason: "a\n2026 ERROR forged", empty: "" });
    assertEquals(lines.length, 1);
    assertEquals(lines[0]?.includes("\n"), false);
  }
});

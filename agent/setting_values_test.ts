import { assertEquals } from "@std/assert/equals";
import { parseDurationMs, renderDurationMs } from "./duration.ts";
import { cidrs, hostPort, markMask, renderHostPort, routeTable } from "./setting_values.ts";

Deno.test("durations are spelt as Go and Kubernetes spell them", () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ["500ms", 500],
    ["10s", 10_000],
    ["1m30s", 90_000],
    ["1.5h", 5_400_000],
    ["0", 0],
    ["0s", 0],
    ["10", undefined],
    ["-1s", undefined],
    ["1 s", undefined],
    ["", undefined],
    ["s", undefined],
    ["1d", undefined],
    // Beyond what a timer can hold, which would fire at once.
    ["1000h", undefined],
  ];
  for (const [text, milliseconds] of cases) assertEquals(parseDurationMs(text), milliseconds, text);
  for (const milliseconds of [1, 999, 1_000, 61_001, 3_600_000, 600_000]) {
    assertEquals(parseDurationMs(renderDurationMs(milliseconds)), milliseconds);
  }
});

Deno.test("addresses to listen on become canonical; anything else is refused", () => {
  const kind = hostPort({ defaultPort: 10256 });
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["127.0.0.1:80", "127.0.0.1:80"],
    ["127.0.0.1", "127.0.0.1:10256"],
    ["[FD00:0::1]:80", "[fd00::1]:80"],
    ["::1", "[::1]:10256"],
    ["127.0.0.1:0", "127.0.0.1:0"],
    ["localhost:80", undefined],
    ["127.1:80", undefined],
    ["127.0.0.1:65536", undefined],
    ["127.0.0.1:", undefined],
    [":80", undefined],
    ["::1:80:", undefined],
  ];
  for (const [text, canonical] of cases) {
    const parsed = kind.parse([text]);
    const found = "value" in parsed && parsed.value !== undefined ? renderHostPort(parsed.value) : undefined;
    assertEquals(found, canonical, text);
  }
});

Deno.test("address ranges lose their host bits; anything else is named", () => {
  assertEquals(cidrs().parse(["10.1.2.3/8, fd00::1/8", "0.0.0.0/0"]), {
    value: ["10.0.0.0/8", "fd00::/8", "0.0.0.0/0"],
  });
  for (
    const bad of [
      "10.0.0.0",
      "10.0.0.0/33",
      "10.0.0/8",
      "fd00::/129",
      "x/8",
      "10.0.0.0/8/8",
      "/8",
      "10.0.0.0/",
    ]
  ) {
    assertEquals(cidrs().parse([`10.0.0.0/8,${bad}`]), { bad });
  }
});

Deno.test("bits and tables that are the kernel's, or no two bits, are refused", () => {
  const cases = [["0x1040", 0x1040], ["12288", 0x3000], ["0xC0000000", 0xc0000000]] as const;
  for (const [text, value] of cases) assertEquals(markMask().parse([text]), { value }, text);
  for (const text of ["0x4000", "0x7", "0", "", "-3", "0x1000000001", "3.5"]) {
    assertEquals(markMask().parse([text]), { bad: text }, text);
  }
  assertEquals(routeTable().parse(["1676"]), { value: 1676 });
  for (const text of ["0", "253", "254", "255", "main", "-1", ""]) {
    assertEquals(routeTable().parse([text]), { bad: text }, text);
  }
});

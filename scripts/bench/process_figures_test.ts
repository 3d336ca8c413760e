import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { parseCpuSeconds, parseResidentMB } from "./process_figures.ts";

Deno.test("parseResidentMB() reads VmRSS and not another figure", () => {
  const status =
    "Name:\tdeno\nVmPeak:\t 9999999 kB\nVmHWM:\t  888888 kB\nVmRSS:\t  125000 kB\nRssAnon:\t  7 kB\n";
  assertEquals([parseResidentMB(status), parseResidentMB(status, "VmHWM")], [128, 910.221312]);
  assertThrows(() => parseResidentMB("Name:\tzombie\n"), SyntaxError);
});

Deno.test("parseCpuSeconds() adds the times of a process and its children, whatever the process is called", () => {
  const rest = "S 1 77 77 0 -1 4194560 5000 6 7 8 250 125 40 10 20 0 12 0 1000 2 3";
  assertEquals(parseCpuSeconds(`77 (a ) S (b) ${rest}`), 4.25);
  assertThrows(() => parseCpuSeconds("77 (deno) Z"), SyntaxError);
});

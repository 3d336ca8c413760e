import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import {
  cpuSeconds,
  descendantsResidentMB,
  parseCpuSeconds,
  parseParent,
  parseResidentMB,
} from "./process_figures.ts";

Deno.test("parseResidentMB() reads VmRSS and not another figure", () => {
  const status =
    "Name:\tdeno\nVmPeak:\t 9999999 kB\nVmHWM:\t  888888 kB\nVmRSS:\t  125000 kB\nRssAnon:\t  7 kB\n";
  assertEquals([parseResidentMB(status), parseResidentMB(status, "VmHWM")], [128, 910.221312]);
  assertThrows(() => parseResidentMB("Name:\tzombie\n"), SyntaxError);
});

Deno.test("parseCpuSeconds() adds the times of a process and its children, whatever the process is called", () => {
  const rest = "S 1 77 77 0 -1 4194560 5000 6 7 8 250 125 40 10 20 0 12 0 1000 2 3";
  assertEquals([parseCpuSeconds(`77 (a ) S (b) ${rest}`), parseParent(`77 (a ) S (b) ${rest}`)], [4.25, 1]);
  assertThrows(() => parseCpuSeconds("77 (deno) Z"), SyntaxError);
});

Deno.test("cpuSeconds() and descendantsResidentMB() see what a process has started, while it runs", async () => {
  // A shell that waits for a shell that works, and then for this test.
  const script = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done; read -r line'; exit 0";
  const shell = new Deno.Command("sh", { args: ["-c", script], stdin: "piped", stdout: "piped" }).spawn();
  const reader = shell.stdout.getReader();
  await reader.read();
  const own = parseCpuSeconds(await Deno.readTextFile(`/proc/${shell.pid}/stat`));
  assert(await cpuSeconds(shell.pid) > own + 0.02);
  assert(await descendantsResidentMB(shell.pid) > 0.1);
  await shell.stdin.close();
  await reader.cancel();
  await shell.status;
});

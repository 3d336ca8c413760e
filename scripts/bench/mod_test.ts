import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { COMMANDS, main } from "./mod.ts";

Deno.test("every benchmark takes --json, and says so", () => {
  assertEquals([...COMMANDS.keys()], [
    "scale",
    "soak",
    "peers",
    "table",
    "dataplane",
    "l7",
    "scenarios",
    "failover",
    "warm",
    "charts",
  ]);
  for (const [name, { usage }] of COMMANDS) {
    assert(usage.startsWith(`deno task bench ${name} `), usage);
    assert(/^ {2}--json +ends with one line of JSON/m.test(usage), usage);
  }
});

Deno.test("bench ends with code 2 when it is asked for wrongly, 0 when it is asked for help", async () => {
  for (const args of [["nothing"], ["scale"], ["scale", "--services=x"], ["soak"], ["charts", "--unknown"]]) {
    assertEquals([args, await main(args)], [args, 2]);
  }
  for (const args of [[], ["--help"], ["soak", "--help"]]) assertEquals([args, await main(args)], [args, 0]);
});

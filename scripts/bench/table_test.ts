/**
 * The command line of `bench table`, and one run of it: that it still fits the redirector. What the figures are is no test's
 * business.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { testUnless } from "../lab/testing.ts";
import { RESULTS_FOLDER } from "./results.ts";
import { parseTableOptions, type TableFigure, type Writer, WRITERS } from "./table.ts";
import { benchUnavailable, runBench } from "./testing/run_bench.ts";

Deno.test("parseTableOptions() fills in defaults, and says what it wants instead of what it got", () => {
  assertEquals(parseTableOptions([]), {
    services: 10_000,
    repetitions: 5,
    results: RESULTS_FOLDER,
    json: false,
  });
  assertThrows(
    () => parseTableOptions(["--services=60001"]),
    TypeError,
    '--services is "60001": wanted 1 to 60000',
  );
});

testUnless("bench table fills and changes a table by netlink and by nft", {
  unavailable: benchUnavailable,
}, async () => {
  const result = await runBench(["table", "--services=20", "--repetitions=1", "--json"]);
  const writers = result["writers"] as Readonly<Record<Writer, Readonly<Record<TableFigure, number>>>>;
  assertEquals(Object.keys(writers), [...WRITERS]);
  for (const figures of Object.values(writers)) {
    for (const name of ["loadMs", "changeP50Ms", "changeP99Ms"] as const) {
      assert(figures[name] > 0, `${name} is ${figures[name]}`);
    }
  }
});

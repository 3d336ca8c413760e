import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { RESULTS_FOLDER } from "./results.ts";
import { parseWarmOptions } from "./warm.ts";

Deno.test("parseWarmOptions() measures a cold start beside what is asked for", () => {
  assertEquals(parseWarmOptions([]), {
    clusters: [0, 100, 1000],
    repetitions: 5,
    results: RESULTS_FOLDER,
    json: false,
  });
  assertEquals(parseWarmOptions(["--clusters=7", "--repetitions", "2", "--json"]), {
    clusters: [0, 7],
    repetitions: 2,
    results: RESULTS_FOLDER,
    json: true,
  });
  assertThrows(
    () => parseWarmOptions(["--clusters=1001"]),
    TypeError,
    '--clusters is "1001": wanted 1 to 1000',
  );
});

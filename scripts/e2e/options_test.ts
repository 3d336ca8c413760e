import { assertEquals } from "@std/assert/equals";
import { parseOptions } from "./options.ts";

const NAMES = ["reach", "udp"];

/** What is wrong with a command line; undefined where nothing is. */
function complaint(...args: readonly string[]): string | undefined {
  const options = parseOptions(args, NAMES);
  return options.kind === "error" ? options.message : undefined;
}

Deno.test("without a word the whole suite is run on what there is, from the commit before", () => {
  const all = {
    kind: "run",
    backend: "auto",
    only: [],
    previous: "HEAD~",
    apiDownMs: 60_000,
    dryRun: false,
  } as const;
  assertEquals(parseOptions([], NAMES), all);
  assertEquals(parseOptions([], NAMES, true), { ...all, apiDownMs: 15_000 });
});

Deno.test("scenarios are named one by one, or with commas", () => {
  const options = parseOptions(["--only", "udp,reach", "--only=udp"], NAMES);
  assertEquals(options.kind === "run" && options.only, ["udp", "reach", "udp"]);
});

Deno.test("what is not understood is named", () => {
  assertEquals(complaint("--backend=local", "--api-down=1", "--previous=abc"), undefined);
  assertEquals(complaint("--only=dns"), "there is no scenario dns, but reach, udp");
  assertEquals(complaint("--backend=k3s"), "--backend is one of local, kind, auto");
  assertEquals(complaint("--fast"), "--fast is not known");
  assertEquals(complaint("reach"), "reach is not known");
  assertEquals(complaint("--api-down=0"), "--api-down is a number of seconds, 180 at most");
  assertEquals(complaint("--api-down=soon"), "--api-down is a number of seconds, 180 at most");
  assertEquals(complaint("--dry-run"), "--dry-run is for --backend kind");
});

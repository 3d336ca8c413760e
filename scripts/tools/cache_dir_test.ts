import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { cacheDir } from "./cache_dir.ts";

Deno.test("cacheDir() follows XDG_CACHE_HOME when absolute, else HOME", () => {
  const home: [string, string] = ["HOME", "/home/u"];
  assertEquals(cacheDir(new Map([home, ["XDG_CACHE_HOME", "/cache"]])), "/cache/lightpath");
  assertEquals(cacheDir(new Map([home, ["XDG_CACHE_HOME", "relative"]])), "/home/u/.cache/lightpath");
  assertEquals(cacheDir(new Map([home])), "/home/u/.cache/lightpath");
  assertThrows(() => cacheDir(new Map()), Error, "set XDG_CACHE_HOME or HOME");
});
